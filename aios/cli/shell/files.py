"""Commands on files and their versions."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping

from rich.text import Text

from aios.cli.files import results, versions
from aios.cli.shell.names import Words, at, directory, existing
from aios.cli.shell.session import ShellSession
from aios.cli.shell.verbs import VERBS
from aios.terminal.exit import Code
from aios.terminal.output import clean, out, size
from aios.terminal.table import grid
from aios_syscalls.errors import BadRequest, Conflict


def open_file(session: ShellSession, words: Words) -> Code:
    path = existing(session, words[0])
    whole = session.library.root / path
    if not session.interactive:
        out(str(whole))
        return Code.OK
    line = next((hit.best for hit in session.hits if hit.path == path), 1)
    code = subprocess.run([*editor(line), str(whole)], check=False).returncode
    session.library.refresh((path,))
    return Code.OK if code == 0 else Code.ERROR


JUMPS = frozenset(("vi", "vim", "nvim", "view", "nano", "emacs", "micro", "less", "more", "kak", "joe", "jed", "ed"))
"""Programs that understand +LINE."""


def editor(line: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The command that edits a file, at a line where it can; the pager where none is set."""
    chosen = next(filter(None, (environment.get(name) for name in ("VISUAL", "EDITOR", "PAGER"))), "less")
    command = shlex.split(chosen)
    return [*command, f"+{line}"] if os.path.basename(command[0]) in JUMPS else command


def cat(session: ShellSession, words: Words) -> Code:
    path = session.named(words[0])
    files = session.library.files
    data = files.show(path, at(session, words[1:])) if words[1:] else files.read(path)
    versions.print_bytes(path, data, as_json=False)
    return Code.OK


def history(session: ShellSession, words: Words) -> Code:
    session.console.print(versions.table(session.library.files.history(session.named(words[0]))))
    return Code.OK


def diff(session: ShellSession, words: Words) -> Code:
    path, rest = session.named(words[0]), words[1:]
    # Two words are two versions when the first is one, else both are one time: "last tuesday".
    two = len(rest) == 2 and (rest[0].lstrip("+-").isdecimal() or rest[0] in session.library.files.tags())
    if two:
        text = session.library.files.diff(path, at(session, rest[:1]), at(session, rest[1:]))
    elif rest:
        text = session.library.files.diff(path, at(session, rest))
    else:
        text = session.library.files.diff(path, -1)
    versions.show_diff(session.console, text)
    return Code.OK


def restore(session: ShellSession, words: Words) -> Code:
    path = session.named(words[0])
    made = session.library.files.rollback(path, at(session, words[1:]))
    session.restored.append((made.path, made.number))
    session.console.print(f"{clean(session.spelled(made.path))} is version {made.number} now; `undo` takes it back")
    return Code.OK


def undo(session: ShellSession, words: Words) -> Code:
    match words:
        case ():
            if not session.restored:
                raise BadRequest("nothing was restored here yet; say undo --run RUN or undo --agent NAME")
            path, number = session.restored.pop()
            if session.library.files.version(path).number != number:
                raise Conflict(f"{path} changed since it was restored; `hist` shows its versions, `restore` picks one")
            made = session.library.files.rollback(path, number - 1)
            session.console.print(f"{clean(session.spelled(made.path))} is version {made.number} now")
            return Code.OK
        case ("--run", run):
            undone = session.library.files.undo(run=run)
        case ("--agent", name):
            undone = session.library.files.undo(agent=name)
        case _:
            raise BadRequest(f"usage: {VERBS['undo'].usage}")
    versions.show_undone(session.console, undone, dry_run=False)
    return Code.OK if undone else Code.ERROR


def ls(session: ShellSession, words: Words) -> Code:
    rows = grid(">SIZE", "CHANGED", "~NAME")
    for entry in session.library.files.list(session.path(words[0] if words else ".")):
        if not entry.path.rpartition("/")[2].startswith("."):
            name = f"{entry.path.rpartition('/')[2]}{'/' if entry.kind == 'directory' else ''}"
            rows.add_row(
                "" if entry.kind == "directory" else size(entry.size),
                versions.when(entry.modified),
                Text(clean(results.flat(name)), style="bold blue" if entry.kind == "directory" else ""),
            )
    session.console.print(rows)
    return Code.OK


def cd(session: ShellSession, words: Words) -> Code:
    session.directory = directory(session, words[0]) if words else "."
    return Code.OK
