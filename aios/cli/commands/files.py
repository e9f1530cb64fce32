"""Commands on files: found by meaning, with all their versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from aios.cli import flags
from aios.terminal.exit import Code

Mode = Literal["hybrid", "semantic", "keyword"]
File = Annotated[str, typer.Argument(metavar="PATH", help="A file of an indexed directory, also one that is gone.")]
Directory = Annotated[str, typer.Argument(metavar="[DIR]", help="An indexed directory, or one below it.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="VERSION|TAG|WHEN", help="A number (-1: the one before), a tag, or a time such as yesterday."
    ),
]


def index(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="What to index.")],
    watch: Annotated[bool, typer.Option("--watch", help="Go on, as files change, until Ctrl-C.")] = False,
    as_json: flags.Json = False,
) -> Code:
    """Make directories searchable: read what is new or changed, and nothing else."""
    from aios.cli.files.index import index

    return index(directories, watch=watch, as_json=as_json)


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help='Words, "a phrase", +must, -not, AND, OR.')],
    directory: Directory = ".",
    paths: Annotated[bool, typer.Option("-l", "--files", help="Paths alone.")] = False,
    limit: Annotated[int, typer.Option("-k", "--limit", min=1, metavar="N", help="Results at most.")] = 10,
    context: Annotated[int, typer.Option("-C", "--context", min=0, metavar="N", help="Lines around each.")] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing; the exit code says it.")] = False,
    mode: Annotated[Mode, typer.Option(help="By meaning and words, or by one of them.")] = "hybrid",
    path: Annotated[list[str] | None, typer.Option("--path", metavar="GLOB", help="Only these; repeatable.")] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="Changed since: yesterday, 2 days ago.")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Changed before.")] = None,
    type: Annotated[list[str] | None, typer.Option("--type", metavar="EXT", help="An ending or kind: md.")] = None,
    author: Annotated[
        list[str] | None, typer.Option("--author", metavar="NAME", help="Who wrote the last version.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="Only what this tag holds.")] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="KEY=VALUE", help="A field of the file's header.")
    ] = None,
    as_json: flags.Json = False,
) -> Code:
    """Find files by meaning and by words; ends with 1 when there is nothing.

    For example: aios search "how are versions kept" docs -k 3 --path '*.md' --since "2 days ago"
    """
    from aios.cli.files.search import Wanted, search

    wanted = Wanted(
        query=query,
        mode=mode,
        limit=limit,
        context=context,
        paths=path or (),
        since=since,
        until=until,
        types=type or (),
        authors=author or (),
        tags=tag or (),
        fields=field or (),
    )
    return search(wanted, directory, names=paths, quiet=quiet, as_json=as_json)


def history(
    path: File,
    limit: Annotated[int | None, typer.Option("-n", "--limit", min=1, metavar="N", help="Versions at most.")] = None,
    as_json: flags.Json = False,
) -> Code:
    """List the versions of a file, newest first, back through its renames."""
    from aios.cli.files import versions
    from aios.cli.files.open import files
    from aios.terminal.output import print_json, stdout

    with files(path) as (root, name):
        found = root.history(name, limit)
    if as_json:
        print_json([versions.to_json(version) for version in found])
    else:
        stdout().print(versions.table(found))
    return Code.OK


def show(path: File, at: At = None, as_json: flags.Json = False) -> Code:
    """Print a file as it was, byte for byte; as it is without --at."""
    from aios.cli.files.open import files, version
    from aios.cli.files.versions import print_bytes

    with files(path) as (root, name):
        print_bytes(name, root.show(name, version(root, at)) if at else root.read(name), as_json=as_json)
    return Code.OK


def diff(
    path: File,
    start: Annotated[str, typer.Option("--from", metavar="VERSION|TAG|WHEN", help="What to begin with.")] = "-1",
    end: Annotated[str | None, typer.Option("--to", metavar="VERSION|TAG|WHEN", help="Default: as it is.")] = None,
    as_json: flags.Json = False,
) -> Code:
    """Print what changed in a file; in its last version without --from. Ends with 1 when nothing did."""
    from aios.cli.files.open import files, version
    from aios.cli.files.versions import show_diff
    from aios.terminal.output import print_json, stdout

    with files(path) as (root, name):
        text = root.diff(name, version(root, start), None if end is None else version(root, end))
    if as_json:
        print_json({"path": name, "diff": text})
    else:
        show_diff(stdout(), text)
    return Code.OK if text else Code.ERROR


def restore(
    path: File,
    at: At = "-1",
    as_json: flags.Json = False,
) -> Code:
    """Make a file what it was, as a new version; what it is now stays in its history."""
    from aios.cli.files import versions
    from aios.cli.files.open import files, version
    from aios.terminal.output import out, print_json

    with files(path) as (root, name):
        made = root.rollback(name, version(root, at or "-1"))
    if as_json:
        print_json(versions.to_json(made))
    else:
        out(f"{path} is version {made.number} now; to take it back: --at {made.number - 1}")
    return Code.OK


def undo(
    directory: Directory = ".",
    run: Annotated[str | None, typer.Option(metavar="RUN", help="A run's id, its beginning, or `last`.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="A program: everything that it wrote.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    as_json: flags.Json = False,
) -> Code:
    """Take back every write of a run, an agent, or an agent in a run; what others changed since stays, and is told."""
    from dataclasses import asdict

    from aios.cli.files.open import files, run_id
    from aios.cli.files.versions import show_undone
    from aios.terminal.output import print_json, stdout
    from aios_syscalls import BadRequest

    if run is None and agent is None:
        raise BadRequest("say whose writes to take back: --run RUN, --agent NAME or both", "run")
    with files(directory) as (root, _):
        undone = root.undo(run=run and run_id(run), agent=agent, dry_run=dry_run)
    if as_json:
        print_json([asdict(each) for each in undone])
    else:
        show_undone(stdout(), undone, dry_run=dry_run)
    return Code.OK if any(each.kept is None for each in undone) else Code.ERROR


def shell(
    directory: Directory = ".",
    config: flags.ConfigFile = None,
    model: flags.Model = None,
) -> Code:
    """Search and work with files at a prompt, or by the lines of standard input."""
    from aios.cli.shell.main import shell

    return shell(directory, config=config, model=model)


COMMANDS = (index, search, history, show, diff, restore, undo, shell)
