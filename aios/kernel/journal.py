"""The journal: the one record of a run. A port, and its SQLite implementation."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from pydantic_core import to_json

from aios.kernel.instrument import Event, Kind
from aios_syscalls import StorageFailed

COMMIT = 4_000
"""Events in one transaction, at most."""
CHUNK = 128
"""Events in one statement: turning them to JSON holds the interpreter's lock, for under half a millisecond."""
BACKLOG = 20_000
TICK_S = 0.02

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS event (
    seq  INTEGER PRIMARY KEY,
    at   REAL NOT NULL,
    kind TEXT NOT NULL,
    pid  INTEGER NOT NULL,
    call INTEGER NOT NULL,
    data TEXT NOT NULL
);
"""

# One statement for many rows: SQLite runs it without the interpreter's lock, while a statement a row would
# hand the lock to and fro with the event loop thousands of times.
INSERT = """
INSERT INTO event (at, kind, pid, call, data)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value -> 4 FROM json_each(?)
"""


class Journal(Protocol):
    """Takes every event of a run, in order, and keeps it."""

    def record(self, event: Event) -> None:
        """Take an event; never blocks, never raises."""

    async def room(self) -> None:
        """Wait while too many events are not on the disk yet. Raises StorageFailed once one could not be kept."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what was taken, then close. Raises StorageFailed when something was not kept."""


class SqliteJournal:
    """Events in one SQLite table, committed in groups by a task of its own.

    A commit is on the disk (WAL, synchronous FULL). An event is at most one tick and one commit behind; leaving
    the context waits for the last one. After a failed write nothing more is taken, since a gap would be a lie.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[Event] = []
        self._failure: StorageFailed | None = None
        self._wake = anyio.Event()
        self._written = anyio.Event()
        self._closing = False

    def record(self, event: Event) -> None:
        if self._failure is None:
            self._pending.append(event)
            if len(self._pending) == 1:
                self._wake.set()

    async def room(self) -> None:
        while len(self._pending) > BACKLOG:
            await self._written.wait()
        if self._failure is not None:
            raise self._failure

    async def __aenter__(self) -> Self:
        self._db = await anyio.to_thread.run_sync(self._open)
        self._tasks: TaskGroup = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._write_all)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._wake.set()
        self._tasks.cancel_scope.shield = True
        await self._tasks.__aexit__(None, None, None)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._db.close)
        if self._failure is not None:
            raise self._failure

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise _failed(self.path, error) from error
        self.path.chmod(0o600)
        return db

    async def _write_all(self) -> None:
        while not (self._closing and not self._pending):
            if not self._pending:
                await self._wake.wait()
                self._wake = anyio.Event()
            batch, self._pending[:COMMIT] = self._pending[:COMMIT], []
            try:
                await anyio.to_thread.run_sync(self._insert, batch)
            except sqlite3.Error as error:
                self._failure = _failed(self.path, error)
                self._pending.clear()
            self._written.set()
            self._written = anyio.Event()
            if not (self._closing or self._pending):
                await anyio.sleep(TICK_S)

    def _insert(self, batch: list[Event]) -> None:
        self._db.execute("BEGIN")
        for first in range(0, len(batch), CHUNK):
            self._db.execute(INSERT, (to_json(batch[first : first + CHUNK]).decode(),))
        self._db.execute("COMMIT")


def _failed(path: Path, error: Exception) -> StorageFailed:
    return StorageFailed(f"the journal {path} cannot be written: {error}; free or mend the disk, then start again")


def read_events(path: Path, kinds: Collection[Kind] = tuple(Kind)) -> Iterator[Event]:
    """The events of a run's journal, in order; payloads are JSON objects. Raises StorageFailed."""
    query = f"SELECT at, kind, pid, call, data FROM event WHERE kind IN ({','.join('?' * len(kinds))}) ORDER BY seq"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            for at, kind, pid, call, data in db.execute(query, tuple(kinds)):
                yield Event(at, Kind(kind), pid, call, json.loads(data))
    except sqlite3.Error as error:
        raise StorageFailed(f"the journal {path} cannot be read: {error}") from error
