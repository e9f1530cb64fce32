"""What a directory's configuration may do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aios.cli import flags
from aios.terminal.exit import Code


def trust(
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="A directory with an aios.toml, or the file.")] = Path(
        "."
    ),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Trust it without being asked.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List what is trusted.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Trust it no longer.")] = False,
    as_json: flags.Json = False,
) -> Code:
    """Show what a directory's aios.toml would allow, and trust it, as it is now, after a yes.

    Until then only its [budget], [budgets.*] and [limits] count, where they are smaller, and its [files] private.
    """
    from aios.cli.machine import trust as trusting

    if listing:
        return trusting.show_list(as_json=as_json)
    if forget:
        return trusting.forget(path, as_json=as_json)
    return trusting.trust(path, yes=yes, as_json=as_json)


COMMANDS = (trust,)
