"""A table in a file of the user's alone, for what a kernel remembers from run to run."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE_S = 0.04
"""How long a statement waits for another kernel that uses the file: the event loop waits with it."""


class Rows:
    """A table of SQLite that several kernels may share.

    It is no more than a memory: where the file cannot be used, nothing is kept, and `trouble` says why.
    """

    def __init__(self, path: Path, table: str, what: str) -> None:
        """`table` is how it is created; `what` is not kept where it cannot be."""
        self.trouble = ""
        self._path = path
        self._table = table
        self._what = what
        self._database: sqlite3.Connection | None = None

    def run(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement; none where there is trouble, or another kernel is at it."""
        return self._try(lambda database: database.execute(statement, values).fetchall())

    def insert(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Run it for each of these, all of them or none."""

        def insert(database: sqlite3.Connection) -> list[tuple[Any, ...]]:
            with database:
                database.execute("BEGIN IMMEDIATE")
                database.executemany(statement, rows)
            return []

        self._try(insert)

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _try(self, work: Callable[[sqlite3.Connection], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        if self.trouble:
            return []
        try:
            if self._database is None:
                self._database = self._open()
            return work(self._database)
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY and self._database is not None:
                return []  # another kernel is at it; what matters is not this row
            self.trouble = f"{self._what} is not kept: {self._path}: {error}"
            return []

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))
        # A row is written in some 50 us; it survives the process, and a power cut may take the last ones.
        database = sqlite3.connect(self._path, isolation_level=None, timeout=PATIENCE_S)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(self._table)
        return database
