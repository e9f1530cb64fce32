"""The truth of a root: a SQLite database of versions and blobs, one writer at a time.

Connections belong to threads. A writer holds a lock on a file beside the database for the whole of what it does, on the
disk too: so whatever is found half done by the next one was left by a crash.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar, cast

from aios_storage.disk.errors import typed
from aios_storage.versions import store
from aios_storage.versions.database import Database, contents, promised
from aios_syscalls.errors import StorageFailed

FORMAT = 1

SCHEMA = """
CREATE TABLE blob (
    sha256 BLOB PRIMARY KEY, size INTEGER NOT NULL, encoding TEXT NOT NULL, data BLOB, base BLOB, depth INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX blob_base ON blob (base) WHERE base IS NOT NULL;
CREATE TABLE version (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL, number INTEGER NOT NULL, op TEXT NOT NULL, sha256 BLOB,
    size INTEGER NOT NULL, time REAL NOT NULL, author TEXT NOT NULL, run TEXT, pid INTEGER, call INTEGER,
    parent INTEGER, source TEXT, note TEXT NOT NULL DEFAULT ''
);
CREATE INDEX version_path ON version (path, seq);
CREATE INDEX version_sha256 ON version (sha256);
CREATE INDEX version_run ON version (run) WHERE run IS NOT NULL;
CREATE INDEX version_parent ON version (parent) WHERE parent IS NOT NULL;
CREATE TABLE head (
    path TEXT PRIMARY KEY, seq INTEGER NOT NULL, sha256 BLOB NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, sure INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX head_sha256 ON head (sha256);
CREATE TABLE tag (name TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (name, seq)) WITHOUT ROWID;
CREATE TABLE pending (path TEXT PRIMARY KEY, sha256 BLOB, temporary TEXT, was BLOB) WITHOUT ROWID;
CREATE TABLE lease (
    path TEXT PRIMARY KEY, token TEXT NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE link (name TEXT PRIMARY KEY, owner TEXT NOT NULL, query TEXT NOT NULL, time REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE share (
    token TEXT PRIMARY KEY, owner TEXT NOT NULL, seq INTEGER NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound="Held")


class Held(Protocol):
    """What holds a truth."""

    version_store: VersionStore


def typed_errors(kind: type[F]) -> type[F]:
    """Every public method raises the ABI's errors where SQLite or the disk fail it: also amid reading, for a damaged
    page is met when it is read."""
    for name, method in list(vars(kind).items()):
        if callable(method) and not name.startswith("_") and name != "close":
            setattr(kind, name, _typed(method))
    return kind


def _typed(method: Callable[P, T]) -> Callable[P, T]:
    @wraps(method)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        held = cast(Held, args[0])
        with held.version_store.told():
            return method(*args, **kwargs)

    return told


class VersionStore:
    """The database of a root, for any number of threads and processes.

    Raises StorageFailed when it cannot be made or opened, or is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.place = root / store.STORE_DIRECTORY
        self.path = self.place / "truth.db"
        self._database = Database(self.path)
        self._local = threading.local()
        with self.told():
            store.own(root)
            with self.locked():
                self._prepare()

    def read(self) -> sqlite3.Connection:
        """This thread's connection."""
        return self._database.connection()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among writers, of all processes, for the block; nested blocks of a thread are one."""
        if getattr(self._local, "locked", False):
            yield
            return
        fd = store.open_own(self.place / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._local.locked = True
            yield
        finally:
            self._local.locked = False
            os.close(fd)

    @contextmanager
    def transaction(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Everything of the block or nothing; on the disk when the block is over, unless it need not be durable."""
        with self.told(), self._database.transaction("FULL" if durable else "NORMAL", "truth") as connection:
            yield connection

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turns every error of SQLite or of the disk that the block raises into the ABI's."""
        try:
            yield
        except sqlite3.Error as error:
            raise self.failed(error) from error
        except OSError as error:
            raise typed(error, str(self.place)) from error

    def failed(self, error: sqlite3.Error) -> StorageFailed:
        """What a person can make of an error of SQLite."""
        if isinstance(error, sqlite3.ProgrammingError):
            return StorageFailed(f"{self.path} was closed ({error}); open its root again")
        code = getattr(error, "sqlite_errorname", "") or ""
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return StorageFailed(f"{self.path} cannot be written ({error}); free some disk, then try again")
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StorageFailed(f"{self.path} is held by another program ({error}); end it, then try again")
        if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return StorageFailed(f"{self.path} cannot be opened ({error}); make {self.place} writable")
        return StorageFailed(
            f"{self.path} is damaged ({error}). The files themselves are whole: move the directory {self.place} away "
            "and their history begins anew, or put a copy of it back"
        )

    def check(self) -> list[str]:
        """What SQLite finds wrong with the database's own structure."""
        with self.told():
            return [line for (line,) in self.read().execute("PRAGMA integrity_check") if line != "ok"]

    def close(self) -> None:
        """Close every thread's connection; nothing else may be called after."""
        self._database.close()

    def _prepare(self) -> None:
        connection = self.read()
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == FORMAT:
            return self._refuse_planted(connection)
        if found:
            raise StorageFailed(
                f"{self.path} has format {found} and this version reads {FORMAT}; use the version of aios that made it"
            )
        if left := [name for name in ("index.db", "blobs") if (self.place / name).exists()]:
            raise StorageFailed(
                f"{self.path} is missing or empty, though {left[0]} beside it was made from it. The files are whole: "
                f"put a copy of it back, or move the directory {self.place} away and their history begins anew"
            )
        connection.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {FORMAT};COMMIT;")

    def _refuse_planted(self, connection: sqlite3.Connection) -> None:
        """Raises StorageFailed for what would do more than it is asked for, as a trigger does, or answer for a table.

        What else there is are tables and indexes, perhaps of a later version.
        """
        code = "type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
        odd = [name for (name,) in connection.execute(f"SELECT name FROM sqlite_schema WHERE {code}")]
        missing = sorted(name for _, name in promised(SCHEMA) - contents(connection))
        if odd or missing:
            why = f"has {odd[0]!r}, which aios does not make" if odd else f"lacks {missing[0]!r}"
            raise StorageFailed(
                f"{self.path} {why}. The files themselves are whole: move the directory {self.place} away and their "
                "history begins anew, or put a copy of it back"
            )
