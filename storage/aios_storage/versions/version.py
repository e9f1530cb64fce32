"""What is known of a change: who made it, when, and which bytes came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Op = Literal["create", "write", "append", "move", "copy", "delete", "rollback", "undo", "external"]

At = int | datetime | str
"""A point of a file's history: a version's number (-1 is the one before the last), the last version at or before a
time, or a tag's name."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who changed a file: the user, another program (`external`), or an agent, named by its program."""

    name: str = "user"
    run: str | None = None
    pid: int | None = None
    call: int | None = None


USER = Author()
EXTERNAL = Author("external")


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a file.

    `number` counts along the file's history, which moves carry on; `seq` counts all changes below the root and alone
    decides what came first; `time` is in seconds since the epoch; `sha256` is None where the file was deleted;
    `parent` is the seq of the state before, `source` the path that it was moved or copied from.
    """

    seq: int
    path: str
    number: int
    op: Op
    sha256: str | None
    size: int
    time: float
    author: Author
    parent: int | None = None
    source: str | None = None
    note: str = ""

    @property
    def deleted(self) -> bool:
        """Whether there is no file from here on."""
        return self.sha256 is None
