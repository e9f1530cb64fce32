"""What the words after a verb name."""

from __future__ import annotations

from aios.cli.files import when
from aios.cli.shell.session import ShellSession
from aios_storage import At
from aios_syscalls.errors import AiosError

Words = tuple[str, ...]


class NotACommand(Exception):
    """The words after a verb name nothing, so that the line may be a sentence."""


def existing(session: ShellSession, word: str) -> str:
    path = session.named(word)
    try:
        session.library.files.stat(path)
    except AiosError as error:
        raise NotACommand(f"no file {word} is here") from error
    return session.library.files.root.alike(path)


def directory(session: ShellSession, word: str) -> str:
    path = session.path(word)
    try:
        if session.library.files.stat(path).kind == "directory":
            return session.library.files.root.alike(path)
    except AiosError as error:
        raise NotACommand(f"no directory {word} is here") from error
    raise NotACommand(f"{word} is a file, not a directory")


def at(session: ShellSession, words: Words) -> At:
    return when.at(" ".join(words), session.library.files.tags())
