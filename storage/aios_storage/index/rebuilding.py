"""A cache database: rebuilt from the version store when it is corrupt, missing or of an old schema.

Whoever asks it notices nothing but the time that this takes. Vectors are taken over, since they are dear.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from aios_storage import extract
from aios_storage.index.derive import FORMAT, SCHEMA
from aios_storage.index.tamper_check import TamperCheck
from aios_storage.index.vector_recovery import Vectors, saved
from aios_storage.versions.database import Database, contents, promised
from aios_syscalls.errors import StorageFailed

T = TypeVar("T")

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Errors that say that a database's own bytes are wrong. Others are of the disk, of who else holds it, or of a question
that SQLite cannot answer: for one of these nothing is thrown away."""


class _Unfit(sqlite3.DatabaseError):
    """A database is sound, but not what is used here."""


class RebuildableDatabase(ABC):
    """The database at a path, for any number of threads and processes; what fills it is `_catch_up`.

    | state   | event                                          | next state                                     |
    |---------|------------------------------------------------|------------------------------------------------|
    | sound   | a question or a change                         | sound                                          |
    | sound   | SQLite finds its bytes wrong (`DAMAGED`)       | unfit                                          |
    | sound   | the file is gone, replaced, or was tampered with | unfit                                        |
    | missing | it is opened                                   | rebuilt                                        |
    | unfit   | whoever noticed it first                       | rebuilt: a new file, the sound vectors taken over |
    | rebuilt | the version store has been read through        | sound; the question is asked again             |
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rebuilt = 0
        """How often what was found damaged was made anew."""
        self._tamper_check = TamperCheck(path)
        self._mending = threading.RLock()
        self._database = Database(path, checkpoints=False)
        self._inode = self._tamper_check.inode()
        self._opened = [self._database]
        # Whoever ends without closing still writes the WAL into the database, which has to be sealed.
        self._end = weakref.finalize(self, _close, self._tamper_check, self._opened)
        self._guarded(self._prepare)

    def close(self) -> None:
        """Let go of the database."""
        self._end()

    @abstractmethod
    def _catch_up(self) -> int:
        """Fill what is missing; a database that was begun anew has nothing."""

    def _read(self) -> sqlite3.Connection:
        return self._database.connection()

    def _ask(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self._guarded(lambda: self._read().execute(sql, parameters).fetchall())

    def _one(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        return next(iter(self._ask(sql, parameters)), None)

    def _prepare(self) -> None:
        connection = self._read()
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == FORMAT and contents(connection) == promised(SCHEMA) and self._meta("extractors") == extract.VERSION:
            return
        raise _Unfit(f"it has format {found}, other tables, or is of other extractors")

    def _meta(self, key: str) -> Any:
        row = self._read().execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _guarded(self, ask: Callable[[], T]) -> T:
        """The answer; where the database is damaged or gone it is made anew from the truth, and asked again.

        Raises StorageFailed, also where the disk fails what is made anew.
        """
        try:
            return self._asked(ask)
        except (OSError, sqlite3.DatabaseError) as error:
            raise self._failed(error) from error

    def _asked(self, ask: Callable[[], T]) -> T:
        if self._tamper_check.whole(self._inode):
            try:
                return ask()
            except sqlite3.DatabaseError as error:
                if not _damage(error):
                    raise
            self._mend(hopeless=True)
        else:
            self._mend()
        self._catch_up()
        return ask()

    def _failed(self, error: Exception) -> StorageFailed:
        if isinstance(error, sqlite3.ProgrammingError):
            return StorageFailed(f"the index {self.path} was closed ({error}); open its root again")
        return StorageFailed(
            f"the index {self.path} cannot be used ({error}); free some disk, make it writable, or end who holds it, "
            "then try again: it is made anew from the files where it has to be"
        )

    def _mend(self, hopeless: bool = False) -> None:
        """Take the database that another process put in this one's place, or begin a new one with the old vectors."""
        with self._mending, self._tamper_check.locked():
            if not self._end.alive:
                raise StorageFailed(f"the index {self.path} was closed; open its root again")
            inode = self._tamper_check.inode()
            if not self._tamper_check.whole() or (hopeless and inode == self._inode):
                kept: list[Vectors] = []
                self._tamper_check.remove(lambda path: kept.append(saved(path)))
                self._reopen()
                with self._tamper_check.opened():
                    self._begin(kept[0] if kept else Vectors())
                self.rebuilt += bool(kept) or self._inode is not None
                self._inode = self._tamper_check.inode()
            elif inode != self._inode:
                self._reopen()
                self.rebuilt += 1
                self._inode = inode

    def _reopen(self) -> None:
        # Other threads may be at the old one: it is closed at the end.
        self._database = Database(self.path, checkpoints=False)
        self._opened.append(self._database)

    def _begin(self, kept: Vectors) -> None:
        connection = self._read()
        connection.executescript(
            f"BEGIN;{SCHEMA}INSERT INTO meta VALUES ('extractors', {extract.VERSION});"
            f"INSERT INTO meta VALUES ('generation', '{secrets.token_hex(8)}');"
            f"PRAGMA user_version = {FORMAT};COMMIT;"
        )
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", kept.meta.items())
        connection.executemany(
            "INSERT OR IGNORE INTO vector (id, hash, model, data, crc) VALUES (?, ?, ?, ?, ?)", kept.rows
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _close(seal: TamperCheck, databases: list[Database]) -> None:
    try:
        with seal.opened():
            for database in databases:
                database.close()
    except OSError:  # a disk that takes no seal: whoever opens it next sees that, and makes it anew
        for database in databases:
            database.close()


def _damage(error: sqlite3.Error) -> bool:
    """Whether an error is of the database's own bytes, or its form. Extended codes have the code in their last byte."""
    return isinstance(error, _Unfit) or (getattr(error, "sqlite_errorcode", 0) & 0xFF) in DAMAGED
