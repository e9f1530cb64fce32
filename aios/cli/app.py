"""The command line: a function for each command, imported only as far as its flags and its help need."""

from __future__ import annotations

from typing import Annotated

import typer

from aios.cli.commands import files, fs, inventory, record, route, trust, upkeep, work
from aios.cli.exit import EPILOG, guarded

app = typer.Typer(
    help="An operating-system kernel for LLM agents.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # help in colour takes a tenth of a second more
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for module in (work, files, fs, record, inventory, trust):
    for command in module.COMMANDS:
        app.command()(guarded(command))

for name, commands, what in (
    ("files", upkeep.COMMANDS, "Look after an indexed directory."),
    ("route", route.COMMANDS, "How calls find their models."),
):
    below = typer.Typer(help=what, no_args_is_help=True, rich_markup_mode=None)
    for command in commands:
        below.command()(guarded(command))
    app.add_typer(below, name=name)


def _version(wanted: bool) -> None:
    if wanted:
        from aios import __version__

        print(f"aios {__version__}")
        raise typer.Exit


@app.callback()
def _aios(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None: ...
