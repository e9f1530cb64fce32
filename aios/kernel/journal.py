"""The journal: the one record of a run. A port, and its SQLite implementation."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from pydantic_core import to_json

from aios.kernel.instrument import Event, Kind
from aios_syscalls import StorageFailed

COMMIT = 4_000
"""Events in one transaction, at most."""
CHUNK = 128
"""Events in one statement, at most."""
CHUNK_BYTES = 4 * 1024 * 1024
LARGEST = 1024 * 1024
"""Bytes of an event's JSON beyond which its payload is left out, and its size recorded in the place."""
SHORT = 1_000
"""Characters of a text, or bytes of another value's JSON, that are kept of such an event."""
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
        self._tasks.start_soon(self._write_on)
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
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.parent.chmod(0o700)
            # Before SQLite opens it, whose side files take the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise _failed(self.path, error) from error
        return db

    async def _write_on(self) -> None:
        # A kernel that is cancelled has things to record until it has stopped; leaving the context ends this.
        with anyio.CancelScope(shield=True):
            await self._write_all()

    async def _write_all(self) -> None:
        while not (self._closing and not self._pending):
            if not self._pending:
                await self._wake.wait()
                self._wake = anyio.Event()
            batch, self._pending[:COMMIT] = self._pending[:COMMIT], []
            try:
                await anyio.to_thread.run_sync(self._insert, batch)
            except Exception as error:  # whatever it is, the kernel must hear of it and go on
                self._failure = _failed(self.path, error)
                self._pending.clear()
            self._written.set()
            self._written = anyio.Event()
            if not (self._closing or self._pending):
                await anyio.sleep(TICK_S)

    def _insert(self, batch: list[Event]) -> None:
        self._db.execute("BEGIN")
        chunk: list[bytes] = []
        size = 0
        for event in batch:
            chunk.append(row := _encode(event))
            size += len(row)
            if len(chunk) == CHUNK or size > CHUNK_BYTES:
                self._insert_rows(chunk)
                chunk, size = [], 0
        self._insert_rows(chunk)
        self._db.execute("COMMIT")

    def _insert_rows(self, rows: list[bytes]) -> None:
        self._db.execute(INSERT, ((b"[" + b",".join(rows) + b"]").decode(),))


def _encode(event: Event) -> bytes:
    """An event as JSON; what JSON cannot hold, or is too large, is described instead."""
    try:
        row = to_json(event)
    except (ValueError, TypeError) as error:
        return to_json(event._replace(data=_without_payload(event, f"not JSON: {type(error).__name__}")))
    if len(row) > LARGEST:
        return to_json(event._replace(data=_without_payload(event, f"{len(row)} bytes")))
    return row


def _without_payload(event: Event, why: str) -> dict[str, Any]:
    """The data of an event with every value replaced that is not short."""
    """The data of an event with every value that is not a short plain one replaced."""
    return {key: _short(value, why) for key, value in event.data.items()}


def _short(value: object, why: str) -> object:
    """A value that is short enough to keep, the beginning of a text, or why it is left out."""
    if isinstance(value, str):
        return value[:SHORT].encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, int | float):
        return value
    try:
        return value if len(to_json(value)) <= SHORT else {"omitted": why}
    except (ValueError, TypeError):
        return {"omitted": why}


def _failed(path: Path, error: Exception) -> StorageFailed:
    return StorageFailed(f"the journal {path} cannot be written: {error}; free or mend the disk, then start again")


def read_events(path: Path, kinds: Collection[Kind] = tuple(Kind)) -> Iterator[Event]:
    """The events of a run's journal, in order; payloads are JSON objects. Raises StorageFailed."""
    query = f"SELECT at, kind, pid, call, data FROM event WHERE kind IN ({','.join('?' * len(kinds))}) ORDER BY seq"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            for at, kind, pid, call, data in db.execute(query, tuple(kinds)):
                yield Event(at, Kind(kind), pid, call, json.loads(data))
    except (sqlite3.Error, ValueError) as error:
        raise StorageFailed(f"the journal {path} cannot be read: {error}") from error
