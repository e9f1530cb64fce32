"""The command line: a function for each command, imported only as far as its flags and its help need."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from aios.cli.commands import access, daemon, files, fs, inventory, record, route, trust, upkeep, work
from aios.terminal.exit import EPILOG, guarded
from aios.terminal.output import clean as safe

app = typer.Typer(
    help="An operating-system kernel for LLM agents.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,  # help in colour takes a tenth of a second more
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class CleanCommand(TyperCommand):
    """A command whose usage errors are harmless to print, and say how a text that begins with - is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = list(args)  # which parsing takes out
        try:
            return super().parse_args(ctx, args)
        except Exception as error:  # typer has its own copy of click, whose errors have no public name
            if isinstance(message := getattr(error, "message", None), str):
                error.message = safe(message) + self._hint(ctx, error, words)  # type: ignore[attr-defined]
            raise

    def _hint(self, ctx: Any, error: Exception, words: list[str]) -> str:
        option = getattr(error, "option_name", None)
        takes_text = any(param.param_type_name == "argument" for param in self.params)
        if not isinstance(option, str) or not takes_text:
            return ""
        long = option.startswith("--")  # else it is one letter of several behind one dash
        word = next((each for each in words if each.startswith(option if long else "-") and option[1] in each), option)
        return f"; if {safe(word)} is text, write -- before it: {ctx.command_path} -- {safe(word)}"


for module in (work, daemon, access, files, fs, record, inventory, trust):
    for command in module.COMMANDS:
        app.command(command.__name__.rstrip("_"), cls=CleanCommand)(guarded(command))

for name, commands, what in (
    ("files", upkeep.COMMANDS, "Look after an indexed directory."),
    ("route", route.COMMANDS, "How calls find their models."),
):
    below = typer.Typer(help=what, no_args_is_help=True, rich_markup_mode=None)
    for command in commands:
        below.command(cls=CleanCommand)(guarded(command))
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
