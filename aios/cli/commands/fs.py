"""Files in plain words."""

from __future__ import annotations

from typing import Annotated

import typer

from aios.cli import flags
from aios.terminal.exit import Code


def fs(
    request: Annotated[list[str], typer.Argument(metavar="REQUEST", help="What to do, in plain words.")],
    root: flags.Root = None,
    model: flags.Model = None,
    config: flags.ConfigFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and do nothing.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Confirm what was read by rule; a model's reading is asked about still.")
    ] = False,
    rules: Annotated[bool, typer.Option("--rules", help="Ask no model what the request means.")] = False,
    as_json: flags.Json = False,
) -> Code:
    """Do something with files, said in plain words: shows the plan, asks before what destroys, and runs it.

    For example: aios fs "roll report.md back to last Tuesday and tell me what changed"
    """
    from aios.cli.files.fs import Options, execute
    from aios.cli.machine.settings import settings

    chosen = settings(config, model=model, root=root)
    return execute(" ".join(request), chosen, Options(dry_run=dry_run, yes=yes, model=not rules, json=as_json))


COMMANDS = (fs,)
