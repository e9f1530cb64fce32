"""Line after line, from a person or from a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from aios.cli.shell.commands import Quit, obey
from aios.cli.shell.line import parse
from aios.terminal.exit import Code, code_of
from aios.terminal.output import say
from aios_syscalls.errors import AiosError

if TYPE_CHECKING:
    from aios.cli.shell.session import ShellSession

GREETING = "type words to search, `help` for the commands, Ctrl-D to leave"


def one(session: ShellSession, line: str) -> Code:
    """Do one line; what goes wrong is told, and is the line's exit code. Raises Quit."""
    try:
        return obey(session, parse(line))
    except AiosError as error:
        say(error.message)
        return code_of(error.code)


def batch(session: ShellSession, lines: Iterable[str]) -> Code:
    """Do all lines, one after the other; the code of the last one that did something."""
    code = Code.OK
    for line in lines:
        try:
            if line.strip():
                code = one(session, line)
        except Quit:
            break
    return code


def interact(session: ShellSession, status: Callable[[], str], past: Path) -> Code:
    """Prompt for lines until the user leaves; `status` tells the line below, `past` is the file that remembers them."""
    from aios.cli.shell.screen import Screen

    def where() -> tuple[str, str]:
        inside = "" if session.directory == "." else f"/{session.directory}"
        return f"{session.library.root.name or '/'}{inside}", session.scope.words

    session.console.print(GREETING, style="dim")
    with Screen(session, where, status, past) as screen:
        while True:
            try:
                one(session, screen.read())
            except KeyboardInterrupt:
                continue  # the line is dropped, or the command was given up
            except (EOFError, Quit):
                return Code.OK
