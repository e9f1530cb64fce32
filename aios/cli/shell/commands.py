"""What each kind of line does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

from aios.cli.shell import files, finding
from aios.cli.shell.line import Ask, CommandLine, Line, Nothing, RunLine, SearchLine
from aios.cli.shell.names import NotACommand, Words
from aios.cli.shell.session import ShellSession
from aios.cli.shell.verbs import OTHERS, VERBS
from aios.terminal.exit import Code
from aios.terminal.output import say
from aios.terminal.table import grid
from aios_syscalls.errors import NotFound

Do = Callable[[ShellSession, Words], Code]


class Quit(Exception):
    """The user wants to leave."""


def obey(session: ShellSession, line: Line) -> Code:
    """Do what a line says. Raises AiosError where that cannot be done, Quit when it is to leave."""
    match line:
        case Nothing():
            return Code.OK
        case SearchLine(text):
            return finding.search(session, text)
        case Ask(question):
            return finding.ask(session, question)
        case RunLine(command):
            return run(session, command)
        case CommandLine(verb, words, whole):
            try:
                return DO[verb](session, words)
            except NotACommand as reason:
                if not VERBS[verb].searches or len(words) < 2:
                    raise NotFound(f"{reason}; to look for these words: search {whole}") from None
                say(f"{reason}: searching for these words")
                return finding.search(session, whole)


def index(session: ShellSession, _: Words) -> Code:
    from aios.cli.files.index import take_in
    from aios.cli.files.progress import listener

    with listener(as_json=False) as told:
        take_in(session.library, told)
    return Code.OK


def run(session: ShellSession, command: str) -> Code:
    """A command of the system, in the directory that we are in."""
    sys.stdout.flush()
    place = session.library.root / session.directory
    done = subprocess.run(["/bin/sh", "-c", command], cwd=place, check=False)
    session.library.refresh()
    return Code.OK if done.returncode == 0 else Code.ERROR


def tell(session: ShellSession, words: Words) -> Code:
    if words and words[0] not in VERBS:
        raise NotFound(f"there is no command {words[0]}; `help` lists them")
    rows = grid("COMMAND", "~WHAT IT DOES")
    for usage, help in () if words else OTHERS:
        rows.add_row(usage, help)
    for verb in [VERBS[words[0]]] if words else VERBS.values():
        rows.add_row(verb.usage, verb.help)
    session.console.print(rows)
    return Code.OK


def leave(_: ShellSession, __: Words) -> Code:
    raise Quit


# `search WORDS` is a search like any other line.
DO: Mapping[str, Do] = {
    "more": finding.more,
    "like": finding.like,
    "in": finding.within,
    "since": finding.since,
    "open": files.open_file,
    "cat": files.cat,
    "hist": files.history,
    "diff": files.diff,
    "restore": files.restore,
    "undo": files.undo,
    "ls": files.ls,
    "cd": files.cd,
    "index": index,
    "help": tell,
    "quit": leave,
}
