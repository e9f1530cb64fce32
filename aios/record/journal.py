"""The journal: the one record of a run. A port, and its SQLite implementation."""

from __future__ import annotations

import json
import logging
import math
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from pydantic_core import to_json

from aios.record.event import Event, Kind
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
BACKLOG_BYTES = 256 * 1024 * 1024
"""Events, and bytes of them, that may wait for the disk before calls do. Bytes are events times the average of the rows
written last: what an event weighs is known once it is JSON."""
LARGE = 4 * 1024
"""Bytes of an event's JSON above which it counts as a payload."""
PAYLOADS_PER_PROCESS = 64 * 1024 * 1024
"""Bytes of payloads that one process may put on record; beyond, its large events keep their short values only."""
PAYLOADS = 1024 * 1024 * 1024
"""The same of all processes of a run together."""
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
log = logging.getLogger("aios.journal")

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
    the context waits for the last one. An event that JSON or SQLite does not take costs its own payload only; after
    a failed write nothing more is taken, since a gap would be a lie.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[Event] = []
        self._writing = 0
        """Events that the writer has taken and not written yet."""
        self._row_bytes = 0.0
        """Of the rows that were written last, on average."""
        self._payloads: Counter[int] = Counter()
        """Bytes on record of each process's large events."""
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
        while self._full():
            await self._written.wait()
        if self._failure is not None:
            raise self._failure

    def _full(self) -> bool:
        waiting = len(self._pending) + self._writing
        return len(self._pending) > BACKLOG or waiting * self._row_bytes > BACKLOG_BYTES

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
            self._writing = len(batch)
            try:
                await anyio.to_thread.run_sync(self._insert, batch)
            except Exception as error:  # whatever it is, the kernel must hear of it and go on
                self._failure = _failed(self.path, error)
                self._pending.clear()
            self._writing = 0
            self._written.set()
            self._written = anyio.Event()
            if not (self._closing or self._pending):
                await anyio.sleep(TICK_S)

    def _insert(self, batch: list[Event]) -> None:
        self._db.execute("BEGIN")
        chunk: list[tuple[Event, bytes]] = []
        size = 0
        for event in batch:
            chunk.append((event, row := self._row(event)))
            size += len(row)
            if len(chunk) == CHUNK or size > CHUNK_BYTES:
                self._insert_chunk(chunk, size)
                chunk, size = [], 0
        if chunk:
            self._insert_chunk(chunk, size)
        self._db.execute("COMMIT")

    def _insert_chunk(self, rows: Sequence[tuple[Event, bytes]], size: int) -> None:
        self._insert_rows(rows)
        self._row_bytes = size / len(rows)
        self._writing -= len(rows)

    def _row(self, event: Event) -> bytes:
        """An event as JSON, without its payload where its process has put enough of them on record."""
        row = _encode(event)
        if len(row) <= LARGE:
            return row
        if self._payloads[event.pid] >= PAYLOADS_PER_PROCESS or self._payloads.total() >= PAYLOADS:
            return _stand_in(
                event, f"{len(row)} bytes; the record has its fill of large payloads of this process or run"
            )
        self._payloads[event.pid] += len(row)
        return row

    def _insert_rows(self, rows: Sequence[tuple[Event, bytes]]) -> None:
        """Insert rows; where SQLite does not take them together, one by one, so that only a bad one is replaced."""
        try:
            self._execute([row for _, row in rows])
        except sqlite3.Error as error:
            if not self._db.in_transaction:
                raise  # the disk: SQLite has rolled back
            if len(rows) == 1:
                self._replace(rows[0][0], error)
            else:
                for row in rows:
                    self._insert_rows([row])

    def _replace(self, event: Event, error: sqlite3.Error) -> None:
        """Put an event on record without what SQLite does not take of it. Raises sqlite3.Error when it is the disk."""
        self._execute([_stand_in(event, f"SQLite refused it: {error}")])
        log.warning("the record of a %s event of process %d is without its payload: %s", event.kind, event.pid, error)

    def _execute(self, rows: Sequence[bytes]) -> None:
        self._db.execute(INSERT, ((b"[" + b",".join(rows) + b"]").decode(),))


def _encode(event: Event) -> bytes:
    """An event as JSON; what is no number there is null, what else it cannot hold, or is too large, is described."""
    try:
        row = to_json(event, inf_nan_mode="null")
    except Exception as error:  # whatever a value that an agent sent makes its serializer raise
        return _stand_in(event, f"not JSON: {type(error).__name__}")
    if len(row) > LARGEST:
        return _stand_in(event, f"{len(row)} bytes")
    return row


def _stand_in(event: Event, why: str) -> bytes:
    """An event as JSON with its short values only, and why the others are left out."""
    try:
        return to_json(event._replace(data=_without_payload(event, why)), inf_nan_mode="null")
    except Exception:  # a value that is short, and too deep within an event
        return to_json(event._replace(data={key: _scalar(value, why) for key, value in event.data.items()}))


def _without_payload(event: Event, why: str) -> dict[str, Any]:
    """The data of an event with every value that is not a short plain one replaced."""
    return {key: _short(value, why) for key, value in event.data.items()}


def _short(value: object, why: str) -> object:
    """A value that is short enough to keep, the beginning of a text, or why it is left out."""
    if value is None or isinstance(value, str | float):
        return _scalar(value, why)
    try:
        return value if len(to_json(value)) <= SHORT else {"omitted": why}
    except Exception:  # as above
        return {"omitted": why}


def _scalar(value: object, why: str) -> object:
    """The beginning of a text, a number that JSON has, or why a value is left out."""
    match value:
        case str():
            return value[:SHORT].encode("utf-8", "backslashreplace").decode()
        case None | bool():
            return value
        case float() if math.isfinite(value):
            return value
        case int() if abs(value) < 2**63:
            return value
        case float():
            return None
        case _:
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
    except (sqlite3.Error, ValueError, RecursionError) as error:
        raise StorageFailed(f"the journal {path} cannot be read: {error}") from error
