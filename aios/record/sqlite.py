"""The journal in SQLite: one file for all kernels of a home, which may write at the same time."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from copy import copy
from pathlib import Path
from typing import Self

import anyio
import anyio.to_thread
from pydantic_core import to_json

from aios.record.database import (
    RETRY_FULL_S,
    STATEMENT_ROWS,
    EventRow,
    cannot_write,
    disk_fails,
    disk_is_full,
    in_statements,
    insert_events,
    insert_payloads,
    no_room,
    now_us,
    open_to_write,
    transaction,
)
from aios.record.event import Event, Kind
from aios.record.quota import make_room
from aios.record.reading import RunRecord, runs
from aios.record.recovery import recover
from aios.record.row import Row, row
from aios.tasks import Signal, background_tasks
from aios_syscalls import Conflict, NotFound, StorageFailed

COMMIT = 4_000
"""Events in one transaction, at most."""
CHUNK = STATEMENT_ROWS
"""Events that are encoded and inserted together, at most."""
CHUNK_BYTES = 4 * 1024 * 1024
BACKLOG = 20_000
BACKLOG_BYTES = 256 * 1024 * 1024
"""Events, and bytes of them, that may wait for the disk before calls do. Bytes are events times the average of the rows
written last: what an event weighs is known once it is JSON."""
PAYLOADS_PER_PROCESS = 64 * 1024 * 1024
"""Bytes of payloads that one process may put on record; beyond, its large events keep their short values only."""
PAYLOADS = 1024 * 1024 * 1024
"""The same of all processes of a kernel together."""
TICK_S = 0.02
LEASE = 32
"""Pids that a kernel takes at once; those that it does not use are lost if it is killed."""

log = logging.getLogger("aios.record")


class SqliteJournal(anyio.AsyncContextManagerMixin):
    """Events of one kernel in the file of its home, committed in groups by a task of its own.

    A commit is on the disk (WAL, synchronous FULL). An event is at most one tick and one commit behind; leaving
    the context waits for the last one. Who waits for the disk has it written at once, with all that came meanwhile:
    that is the group. An event that JSON or SQLite does not take costs its own payload only; after a failed write
    nothing more is taken, since a gap would be a lie, and an fsync is never repeated. On a full disk a transaction is
    undone whole and none of it was acknowledged, so there the same events are written again once there is room; those
    that come meanwhile wait, as many as the backlog has room for.

    When it is opened, what dead kernels left open is recorded as ended (recovery.py).
    With `max_bytes` the oldest runs that have ended make room when it is opened; what is left may not be more.
    """

    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._pending: list[Event] = []
        self._taken = self._kept = 0
        """Events so far, and those of them that are on the disk."""
        self._writing = 0
        """Events that the writer has taken and not written yet."""
        self._row_bytes = 0.0
        """Of the rows that were written last, on average."""
        self._payloads: Counter[int] = Counter()
        """Bytes on record of each process's large events."""
        self._origins: dict[str, int] = {}
        """The wall clock, in microseconds, at time 0 of each run's events."""
        self._runs: dict[str, int] = {}
        """The numbers of the runs that have begun here."""
        self._last: dict[int, int] = {}
        """The place of each such run's last event on the disk."""
        self._pids: deque[int] = deque()
        self._leasing = anyio.Lock()
        self._failure: StorageFailed | None = None
        self._full_disk: StorageFailed | None = None
        """What is said while there is no room; it passes, and a failure does not."""
        self._urgent = Signal()
        """Somebody waits for the disk."""
        self._waiting = 0
        """So many do."""
        self._wake = Signal()
        self._written = Signal()
        self._closing = False

    def record(self, event: Event) -> None:
        if event.run not in self._origins:
            self._origins[event.run] = now_us() - _us(event.at)
        if self._failure is None:
            self._taken += 1
            self._pending.append(event)
            if len(self._pending) == 1:
                self._wake.notify()

    @property
    def failure(self) -> StorageFailed | None:
        return self._failure or self._full_disk

    async def room(self) -> None:
        while self._full() and self.failure is None:
            await self._written.wait()
        if self.failure is not None:
            raise copy(self.failure)

    async def sync(self) -> None:
        await self._wait_for_disk(through_full=False)

    async def flush(self) -> None:
        await self._wait_for_disk(through_full=True)

    async def _wait_for_disk(self, *, through_full: bool) -> None:
        until = self._taken
        self._waiting += 1
        self._urgent.notify()
        try:
            while self._kept < until and self._failure is None and (through_full or self._full_disk is None):
                await self._written.wait()
        finally:
            self._waiting -= 1
        if self._failure is not None:
            raise copy(self._failure)
        if self._kept < until and self._full_disk is not None:
            raise copy(self._full_disk)

    async def new_pid(self) -> int:
        async with self._leasing:
            if not self._pids:
                self._pids.extend(await anyio.to_thread.run_sync(self._lease))
            return self._pids.popleft()

    async def reopen(self, run: RunRecord) -> RunRecord:
        found = await anyio.to_thread.run_sync(self._reopen, run)
        self._origins[run.id], self._runs[run.id] = round(run.began * 1_000_000), run.number
        self._last[run.number] = found.last
        return found

    def _reopen(self, run: RunRecord) -> RunRecord:
        try:
            with closing(open_to_write(self.path)) as db, transaction(db):
                found = db.execute("SELECT ended FROM run WHERE number = ? AND id = ?", (run.number, run.id)).fetchone()
                if found is None:
                    raise NotFound(f"run {run.id} is not on record any more; `aios runs` lists those that are")
                if found[0] is None:
                    raise Conflict(f"run {run.id} goes on already, so it is not resumed a second time; see aios ps")
                db.execute("UPDATE run SET ended = NULL, boot = ? WHERE number = ?", (self._boot, run.number))
            # Again, for this kernel's start may have recorded how the last one left it.
            return next(each for each in runs(self.path) if each.id == run.id)
        except sqlite3.Error as error:
            raise cannot_write(self.path, error) from error

    def _full(self) -> bool:
        return len(self._pending) > BACKLOG or self._over_bytes(len(self._pending) + self._writing)

    def _over_bytes(self, events: int) -> bool:
        return events * self._row_bytes > BACKLOG_BYTES

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._db = await anyio.to_thread.run_sync(self._open)
        try:
            async with background_tasks() as tasks:
                tasks.start_soon(self._write_on)
                try:
                    yield self
                finally:
                    self._closing = True
                    self._wake.notify()
                    self._urgent.notify()
                    tasks.cancel_scope.shield = True
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._close)
        if self._failure is not None:
            raise self._failure

    def _open(self) -> sqlite3.Connection:
        db = open_to_write(self.path)
        try:
            with transaction(db):
                cursor = db.execute("INSERT INTO boot (began, os_pid) VALUES (?, ?)", (now_us(), os.getpid()))
                self._boot = cursor.lastrowid or 0
            recover(db, self._boot)
            if self._max_bytes is not None:
                make_room(db, self.path, self._max_bytes)
        except sqlite3.Error as error:
            db.close()
            raise cannot_write(self.path, error) from error
        except StorageFailed:
            db.close()
            raise
        return db

    def _close(self) -> None:
        """Note the end, and give back the pids that were not used, where nobody has taken others since.

        Where something was not kept no end is noted: the next kernel ends what is left open, as of one that was killed.
        """
        with closing(self._db):
            if self._failure is not None:
                return
            try:
                with transaction(self._db):
                    self._db.execute("UPDATE boot SET ended = ? WHERE id = ?", (now_us(), self._boot))
                    if self._pids:
                        first, last = self._pids[0], self._pids[-1]
                        self._db.execute(
                            "UPDATE counter SET value = ? WHERE name = 'pid' AND value = ?", (first - 1, last)
                        )
            except sqlite3.Error as error:
                self._failure = cannot_write(self.path, error)

    def _lease(self) -> range:
        """Pids that are this kernel's alone; by a connection of its own, as the writer's may be in a transaction."""
        try:
            with closing(open_to_write(self.path)) as db, transaction(db):
                (last,) = db.execute(
                    "UPDATE counter SET value = value + ? WHERE name = 'pid' RETURNING value", (LEASE,)
                ).fetchone()
        except sqlite3.Error as error:
            raise cannot_write(self.path, error) from error
        return range(last - LEASE + 1, last + 1)

    async def _write_on(self) -> None:
        # A kernel that is cancelled has things to record until it has stopped; leaving the context ends this.
        with anyio.CancelScope(shield=True):
            await self._write_all()

    async def _write_all(self) -> None:
        while not (self._closing and not self._pending):
            if not self._pending:
                await self._wake.wait()
            batch, self._pending[:COMMIT] = self._pending[:COMMIT], []
            self._writing = len(batch)
            try:
                await anyio.to_thread.run_sync(self._insert, batch)
                self._kept += len(batch)
                self._has_room()
            except Exception as error:  # whatever it is, the kernel must hear of it and go on
                self._not_kept(batch, error)
            self._writing = 0
            self._written.notify()
            if self._full_disk is not None and not self._closing:
                await self._pause(RETRY_FULL_S)
            elif not (self._closing or self._pending or self._waiting):
                await self._pause(TICK_S)

    async def _pause(self, seconds: float) -> None:
        """Let events come together, until somebody waits for the disk."""
        with anyio.move_on_after(seconds):
            await self._urgent.wait()

    def _has_room(self) -> None:
        if self._full_disk is not None:
            self._full_disk = None
            log.warning("the journal %s can be written again; all is on record, and calls go on", self.path)

    def _not_kept(self, batch: list[Event], error: Exception) -> None:
        """Keep what was not written for later where the disk is only full, else give up."""
        waiting = len(batch) + len(self._pending)
        if disk_is_full(error) and not self._closing and waiting <= BACKLOG and not self._over_bytes(waiting):
            self._pending[:0] = batch
            if self._full_disk is None:
                self._full_disk = no_room(self.path, error)
                log.error("%s", self._full_disk.message)
            return
        self._failure, self._full_disk = cannot_write(self.path, error), None
        self._pending.clear()
        log.error("%s; until then calls with an effect are refused, and nothing is recorded", self._failure.message)

    def _insert(self, batch: list[Event]) -> None:
        runs, payloads = dict(self._runs), self._payloads.copy()
        try:
            last = self._insert_all(batch)
        except BaseException:
            for run in self._runs.keys() - runs.keys():  # undone with the transaction
                del self._runs[run]
            self._payloads = payloads
            raise
        self._last.update(last)
        for event in batch:
            if event.kind is Kind.CLOSED:
                del self._origins[event.run], self._last[self._runs.pop(event.run)]

    def _insert_all(self, batch: list[Event]) -> dict[int, int]:
        """The place of each run's last event."""
        last: dict[int, int] = {}
        with transaction(self._db):
            (seq,) = self._db.execute(
                "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)"
            ).fetchone()
            chunk: list[_Numbered] = []
            size = 0
            for event in batch:
                seq += 1
                number = self._number(event, seq)
                before = last.get(number) or self._last.get(number, 0)
                each = _Numbered(seq, before, event.run, number, self._at(event), self._row(event))
                last[number] = seq
                chunk.append(each)
                size += each.row.size
                if len(chunk) == CHUNK or size > CHUNK_BYTES:
                    self._insert_chunk(chunk, size)
                    chunk, size = [], 0
            if chunk:
                self._insert_chunk(chunk, size)
            self._db.executemany("UPDATE run SET last = ? WHERE number = ?", ((at, run) for run, at in last.items()))
            for event in batch:
                if event.kind is Kind.CLOSED:
                    self._close_run(event)
        return last

    def _close_run(self, event: Event) -> None:
        """Note a run's end; nothing more comes of it."""
        self._db.execute("UPDATE run SET ended = ? WHERE number = ?", (self._at(event), self._runs[event.run]))

    def _insert_chunk(self, rows: Sequence[_Numbered], size: int) -> None:
        self._insert_rows(rows)
        self._insert_payloads(rows)
        self._row_bytes = size / len(rows)
        self._writing -= len(rows)

    def _number(self, event: Event, seq: int) -> int:
        """The number of the event's run, which begins with its first event."""
        if event.kind is Kind.RUN or event.run not in self._runs:
            self._db.execute(
                "INSERT OR IGNORE INTO run (id, boot, began, first, last) VALUES (?, ?, ?, ?, ?)",
                (event.run, self._boot, self._origins[event.run], seq, seq),
            )
            number, last = self._db.execute("SELECT number, last FROM run WHERE id = ?", (event.run,)).fetchone()
            self._runs[event.run] = number
            if last != seq:  # an earlier kernel had begun it
                self._last[number] = last
        return self._runs[event.run]

    def _at(self, event: Event) -> int:
        return self._origins[event.run] + _us(event.at)

    def _row(self, event: Event) -> Row:
        """The event's row, without its payloads where its process has put enough of them on record."""
        if event.kind is Kind.RUN and "fingerprint" in event.data:
            event = self._take_fingerprint(event)
        found = row(event)
        if not found.payloads:
            return found
        if self._payloads[event.pid] >= PAYLOADS_PER_PROCESS or self._payloads.total() >= PAYLOADS:
            return found.without_payloads(
                f"{found.large} bytes; the record has its fill of large payloads of this process or run"
            )
        self._payloads[event.pid] += found.large
        return found

    def _take_fingerprint(self, event: Event) -> Event:
        """The event without the run's fingerprint, which is the run's own column."""
        data = dict(event.data)
        text = to_json(data.pop("fingerprint")).decode()
        self._db.execute("UPDATE run SET fingerprint = ? WHERE number = ?", (text, self._runs[event.run]))
        return event._replace(data=data)

    def _insert_rows(self, rows: Sequence[_Numbered]) -> None:
        """Insert rows; where SQLite does not take them together, one by one, so that only a bad one is replaced."""
        for part in in_statements(rows):
            try:
                self._execute(part)
            except sqlite3.Error as error:
                if disk_fails(error) or not self._db.in_transaction:
                    raise
                if len(part) == 1:
                    self._replace(part[0], error)
                else:
                    for each in part:
                        self._insert_rows([each])

    def _replace(self, refused: _Numbered, error: sqlite3.Error) -> None:
        """Put an event on record without what SQLite does not take of it. Raises sqlite3.Error when it is the disk."""
        event = refused.row.event
        refused.row = refused.row.without_payloads(f"SQLite refused it: {error}")
        self._execute([refused])
        log.warning("the record of a %s event of process %d is without its payload: %s", event.kind, event.pid, error)

    def _execute(self, rows: Sequence[_Numbered]) -> None:
        insert_events(self._db, [each.values(self._boot) for each in rows])

    def _insert_payloads(self, rows: Iterable[_Numbered]) -> None:
        for each in rows:
            insert_payloads(self._db, each.seq, each.row.payloads)


class _Numbered:
    """A row with its place in the file."""

    __slots__ = ("at", "before", "number", "row", "run", "seq")

    def __init__(self, seq: int, before: int, run: str, number: int, at: int, row: Row) -> None:
        self.seq, self.before, self.run, self.number, self.at, self.row = seq, before, run, number, at, row

    def values(self, boot: int) -> EventRow:
        return self.row.values(boot, self.seq, self.before, self.run, self.number, self.at)


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
