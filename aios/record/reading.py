"""Reading the journal: which runs there are, and what happened in them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aios.record.database import BOOTS, OUTLINE, died, open_to_read
from aios.record.event import EVENT_VERSION, Event, Kind
from aios.record.open_calls import open_calls
from aios.record.row import KEPT_APART, checksum
from aios_syscalls import StorageFailed

OUTLINE_KINDS = frozenset({Kind.RUN, Kind.CLOSED, Kind.SPAWNED, Kind.EXITED})
"""The events that tell which processes there were and how they ended, and nothing of their calls."""
ALL_KINDS = frozenset(Kind)
RUNS = """
SELECT id, number, boot, began, ended, first, last, fingerprint, (SELECT at FROM event WHERE seq = run.last)
FROM run {} ORDER BY number
"""
EVENTS = """
SELECT seq, previous, at, kind, pid, n, node, schema, checksum, data FROM event
WHERE run = ? AND seq BETWEEN ? AND ? {} ORDER BY seq
"""
PAYLOADS = "SELECT key, blob.hash, data FROM payload JOIN blob USING (hash) WHERE seq = ?"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run in a journal; times in seconds since the epoch."""

    path: Path
    """The journal's file."""
    id: str
    number: int
    boot: int
    began: float
    written: float
    """When its last event so far happened."""
    first: int
    last: int
    fingerprint: dict[str, Any] | None = None
    ended: float | None = None
    """None while it goes on, or where its kernel died."""

    def events(self, kinds: Collection[Kind] = ALL_KINDS, *, payloads: bool = True) -> Iterator[Event]:
        """Its events, in order, times since it began; without `payloads`, long values are cut. Raises StorageFailed."""
        with open_to_read(self.path) as db:
            yield from self._read(db, kinds, payloads=payloads)

    def open_events(self) -> Iterator[Event]:
        """Its outline, and the events of calls that have not ended, long values cut. Raises StorageFailed."""
        with open_to_read(self.path) as db:
            calls = open_calls(db, [self.number], self.first, self.last).get(self.number, {})
            seqs = json.dumps([seq for call in calls.values() for seq in call])
            outline = f"SELECT seq FROM event WHERE run = {self.number:d} AND kind IN {OUTLINE}"
            wanted = f"AND seq IN ({outline} UNION ALL SELECT value FROM json_each('{seqs}'))"
            yield from self._rows(db, wanted, payloads=False)

    def unknown_events(self) -> Iterator[Event]:
        """Its processes, when it was resumed, and the events of calls that ended unknown. Raises StorageFailed."""
        calls = f"SELECT pid, n, node FROM event WHERE run = {self.number:d} AND kind = 'unknown'"
        with open_to_read(self.path) as db:
            wanted = f"AND (kind IN ('spawned','resumed') OR (pid, n, node) IN ({calls}))"
            yield from self._rows(db, wanted, payloads=False)

    def _read(self, db: sqlite3.Connection, kinds: Collection[Kind], *, payloads: bool) -> Iterator[Event]:
        yield from self._rows(db, _among(kinds), payloads=payloads)

    def _rows(self, db: sqlite3.Connection, wanted: str, *, payloads: bool) -> Iterator[Event]:
        began = round(self.began * 1_000_000)
        where = "SELECT DISTINCT seq FROM payload WHERE seq BETWEEN ? AND ?"
        large = {seq for (seq,) in db.execute(where, (self.first, self.last))} if payloads else set()
        before = 0
        for seq, previous, at, kind, pid, n, node, schema, crc, text in db.execute(
            EVENTS.format(wanted), (self.number, self.first, self.last)
        ):
            if not wanted and previous is not None and previous != before:
                raise ValueError(f"what stood between events {before} and {seq} of run {self.id} is lost")
            before = seq
            place = None if previous is None else (seq, previous)
            if crc != checksum(place, self.id, at, kind, pid, n, node, text.encode()):
                raise ValueError(f"event {seq} of run {self.id} is not as it was written")
            if schema != EVENT_VERSION:
                raise ValueError(f"event {seq} of run {self.id} has version {schema}; this aios knows {EVENT_VERSION}")
            data = json.loads(text)
            named = data.pop(KEPT_APART, None)
            if payloads and (seq in large or named):
                found = dict(_payloads(db, seq))
                if named is not None and found.keys() != {*named}:
                    raise ValueError(f"a payload of event {seq} of run {self.id} is not on record any more")
                if not found.keys() <= data.keys():
                    raise ValueError(f"a payload of event {seq} of run {self.id} is of another value than was written")
                data.update(found)
            yield Event((at - began) / 1_000_000, Kind(kind), pid, n, data, node, self.id)
        if not wanted and before and before != self.last:  # one without events is for the reader to find
            raise ValueError(f"what stood after event {before} of run {self.id}, up to {self.last}, is lost")


def runs(path: Path) -> list[RunRecord]:
    """Every run in a journal, the oldest first; none where there is no file. Raises StorageFailed."""
    if not path.exists():
        return []
    with open_to_read(path) as db:
        return [_record(path, *values) for values in db.execute(RUNS.format(""))]


@dataclass(frozen=True, slots=True)
class LivingRun:
    """A run that goes on, and the operating-system process of its kernel."""

    record: RunRecord
    os_pid: int


def living_runs(path: Path) -> list[LivingRun]:
    """The runs that go on, the oldest first; none where there is no file. Raises StorageFailed."""
    if not path.exists():
        return []
    with open_to_read(path) as db:
        kernels = {id: os_pid for id, os_pid, began in db.execute(BOOTS) if not died(os_pid, began)}
        found = [_record(path, *values) for values in db.execute(RUNS.format("WHERE ended IS NULL"))]
    return [LivingRun(run, kernels[run.boot]) for run in found if run.boot in kernels]


def _record(
    path: Path,
    id: str,
    number: int,
    boot: int,
    began: int,
    ended: int | None,
    first: int,
    last: int,
    fingerprint: str | None,
    written: int | None,
) -> RunRecord:
    return RunRecord(
        path,
        id,
        number,
        boot,
        began / 1_000_000,
        (began if written is None else written) / 1_000_000,
        first,
        last,
        json.loads(fingerprint) if fingerprint else None,
        ended and ended / 1_000_000,
    )


def run_of_process(path: Path, pid: int) -> str | None:
    """The id of the run in which a process was started. Raises StorageFailed."""
    with open_to_read(path) as db:
        found = db.execute(
            "SELECT run.id FROM event JOIN run ON run.number = event.run WHERE pid = ? AND kind = 'spawned'", (pid,)
        ).fetchone()
    return found[0] if found else None


def read_events(path: Path, kinds: Collection[Kind] = ALL_KINDS) -> Iterator[Event]:
    """The events of all runs of a journal, run by run. Raises StorageFailed."""
    for run in runs(_there(path)):
        yield from run.events(kinds)


def _among(kinds: Collection[Kind]) -> str:
    """The condition on an event's kind, in literals: by them SQLite sees that it can use the index of the outline."""
    match set(kinds):
        case all if all == ALL_KINDS:
            return ""
        case some if some == OUTLINE_KINDS:
            return f"AND kind IN {OUTLINE}"
        case some:
            return "AND kind IN (" + ",".join(f"'{kind}'" for kind in sorted(some)) + ")"


def _there(path: Path) -> Path:
    if not path.exists():
        raise StorageFailed(f"the journal {path} cannot be read: there is no such file")
    return path


def _payloads(db: sqlite3.Connection, seq: int) -> Iterator[tuple[str, Any]]:
    for key, sha256, data in db.execute(PAYLOADS, (seq,)):
        if hashlib.sha256(data).digest() != sha256:
            raise ValueError(f"the payload {key!r} of event {seq} is not as it was written")
        yield key, json.loads(data)
