"""A SQLite database of many threads: a connection for each, closed together."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal

from aios_storage.disk.alike import canonical
from aios_storage.disk.failpoint import reach
from aios_syscalls.errors import StorageFailed

BUSY_S = 60.0
CACHE_KIB = 8192
Durability = Literal["FULL", "NORMAL"]


def contents(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """The kind and name of all that a database consists of: its tables, indexes, triggers and views."""
    return frozenset(connection.execute("SELECT type, name FROM sqlite_schema"))


@cache
def promised(schema: str) -> frozenset[tuple[str, str]]:
    """The `contents` of a new database of this schema."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema)
        return contents(connection)


class Lent:
    """A thread's connection, which the next thread gets when this one has ended: threads of a pool come and go, and
    SQLite keeps a descriptor of a connection that is closed open while others are in use."""

    def __init__(self, connection: sqlite3.Connection, free: list[sqlite3.Connection]) -> None:
        self.connection, self._free = connection, free

    def __del__(self) -> None:
        self._free.append(self.connection)


class Database:
    """Connections to one file, in WAL mode. Without `checkpoints` the WAL is moved into the file by whoever asks."""

    def __init__(self, path: Path, checkpoints: bool = True) -> None:
        self.path = path
        self._checkpoints = checkpoints
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._free: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def connection(self) -> sqlite3.Connection:
        """This thread's connection. Between transactions each statement sees what was committed last."""
        lent: Lent | None = getattr(self._local, "lent", None)
        if lent is None:
            try:
                connection = self._free.pop()
            except IndexError:
                connection = self._connect()
            lent = self._local.lent = Lent(connection, self._free)
        return lent.connection

    @contextmanager
    def transaction(self, durability: Durability, name: str) -> Iterator[sqlite3.Connection]:
        """Everything of the block or nothing; FULL is on the disk afterwards. `name` is for failpoints."""
        connection = self.connection()
        connection.execute(f"PRAGMA synchronous = {durability}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            reach(f"{name}-before-commit")
            connection.execute("COMMIT")
            reach(f"{name}-after-commit")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close every thread's connection; nothing else may be called after."""
        with self._lock:
            self._closed = True
            for connection in self._all:
                connection.close()
            self._all.clear()

    def _connect(self) -> sqlite3.Connection:
        # Closed by whichever thread closes all, hence not bound to this one.
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            # What a database that somebody else made defines must not call functions that reach beyond it.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.create_function("canonical", 1, canonical, deterministic=True)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            if not self._checkpoints:
                connection.execute("PRAGMA wal_autocheckpoint = 0")
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if self._closed:
                connection.close()
                raise StorageFailed(f"{self.path} was closed; open its root again")
            self._all.append(connection)
        return connection
