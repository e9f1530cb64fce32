"""`aios files ...`: commands that look after an indexed directory."""

from __future__ import annotations

from typing import Annotated

import typer

from aios.cli import flags
from aios.cli.commands.files import Directory, File
from aios.terminal.exit import Code


def status(directory: Directory = ".", as_json: flags.Json = False) -> Code:
    """Say what an index holds, what is pending, and who looks after it."""
    from aios.cli.files import upkeep
    from aios.cli.files.open import library as reached

    with reached(directory) as (found, _):
        return upkeep.status(found, as_json=as_json)


def rebuild(directory: Directory = ".", as_json: flags.Json = False) -> Code:
    """Build the index anew from the files and their versions; no text is embedded twice."""
    from aios.cli.files import upkeep
    from aios.cli.files.open import library as reached

    with reached(directory) as (found, _):
        return upkeep.rebuild(found, as_json=as_json)


def fsck(
    directory: Directory = ".",
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild what can be derived; versions stay.")] = False,
    as_json: flags.Json = False,
) -> Code:
    """Check every version against its hash, and the index against the versions; ends with 1 when something is wrong."""
    from aios.cli.files import upkeep
    from aios.cli.files.open import library as reached

    with reached(directory) as (found, _):
        return upkeep.fsck(found, repair=repair, as_json=as_json)


def prune(
    directory: Directory = ".",
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="Keep so many versions of a file.")] = None,
    age: Annotated[str | None, typer.Option(metavar="WHEN", help="Keep those since: 90 days ago.")] = None,
    size: Annotated[int | None, typer.Option(min=0, metavar="MB", help="Keep so much in all.")] = None,
    as_json: flags.Json = False,
) -> Code:
    """Drop old versions; never the last one of a file, nor one that a tag or a run needs."""
    from aios.cli.files import upkeep
    from aios.cli.files.open import library as reached

    with reached(directory) as (found, _):
        return upkeep.prune(found, count=count, age=age, megabytes=size, as_json=as_json)


def gc(directory: Directory = ".", as_json: flags.Json = False) -> Code:
    """Free the room of bytes that no version needs any more."""
    from aios.cli.files import upkeep
    from aios.cli.files.open import library as reached

    with reached(directory) as (found, _):
        return upkeep.gc(found, as_json=as_json)


def purge(
    path: File,
    confirm: Annotated[str, typer.Option(metavar="PATH", help="The same path again: there is no way back.")] = "",
    as_json: flags.Json = False,
) -> Code:
    """Remove every trace of a file: all its versions, and what the index has of them."""
    from aios.cli.files import upkeep
    from aios.cli.files.open import opened
    from aios.cli.files.root import indexed

    place = indexed(path)
    with opened(place.root) as found:
        return upkeep.purge(found, path, place.path, confirm, as_json=as_json)


def reembed(directory: Directory = ".", as_json: flags.Json = False) -> Code:
    """Embed everything with the model in force; may be interrupted, and goes on where it was."""
    from aios.cli.files import upkeep
    from aios.cli.files.open import library as reached

    with reached(directory) as (found, _):
        return upkeep.reembed(found, as_json=as_json)


COMMANDS = (status, rebuild, fsck, prune, gc, purge, reembed)
"""Below `aios files`."""
