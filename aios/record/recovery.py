"""What a kernel leaves open that is killed: the next one on its journal records how that ended."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from aios.record.database import BOOTS, OUTLINE, died, in_statements, insert_events, transaction
from aios.record.event import Event, Kind
from aios.record.open_calls import open_calls
from aios.record.past import outcome_unknown
from aios.record.row import row
from aios_syscalls import CallId, NoKernel

DIED = NoKernel("kernel died: it was killed, or its machine stopped, before this had ended; start it again")
OPEN_RUNS = "SELECT number, id, began, first, last FROM run WHERE boot = ? AND ended IS NULL"
LAST_SIGN = "SELECT max(at) FROM event WHERE seq IN (SELECT last FROM run WHERE boot = ?)"
PROCESSES = f"""
SELECT kind, pid FROM event WHERE run = ? AND seq BETWEEN ? AND ? AND kind IN {OUTLINE} ORDER BY seq
"""

BEGINNINGS = """
SELECT seq, kind, CASE WHEN json_valid(data) THEN json_extract(data, '$.name') END FROM event
WHERE seq IN (SELECT value FROM json_each(?)) AND kind IN ('accepted', 'started')
"""

log = logging.getLogger("aios.record")


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run whose kernel died; `began` in microseconds since the epoch, `first` and `last` its events' places."""

    number: int
    id: str
    began: int
    first: int
    last: int


def dead_boots(db: sqlite3.Connection) -> list[int]:
    """The kernels that have not said that they ended, and live no more."""
    return [id for id, os_pid, began in db.execute(BOOTS) if died(os_pid, began)]


def recover(db: sqlite3.Connection, boot: int) -> int:
    """Record the ends of what dead kernels left open, as by kernel `boot`; how many runs that were.

    A run that has ended, or whose kernel lives, stays as it is. Of several kernels that start at once one does it.
    """
    if not dead_boots(db):
        return 0
    with transaction(db):
        return sum(_recover_boot(db, dead, boot) for dead in dead_boots(db))


def _recover_boot(db: sqlite3.Connection, dead: int, boot: int) -> int:
    runs = [OpenRun(*found) for found in db.execute(OPEN_RUNS, (dead,)).fetchall()]
    (at,) = db.execute(LAST_SIGN, (dead,)).fetchone()
    if runs:
        calls = open_calls(
            db, [run.number for run in runs], min(run.first for run in runs), max(run.last for run in runs)
        )
        for run in runs:
            _end_run(db, run, calls.get(run.number, {}), max(at, run.began), boot)
        log.warning("kernel %d had died with %d runs under way; they are on record as broken off", dead, len(runs))
    db.execute("UPDATE boot SET ended = coalesce(?, began) WHERE id = ?", (at, dead))
    return len(runs)


def _end_run(db: sqlite3.Connection, run: OpenRun, calls: Mapping[CallId, Sequence[int]], at: int, boot: int) -> None:
    """End the calls of a run, then its processes, then the run itself, when its kernel gave its last sign of life."""
    (last,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
    rows = [
        row(event).values(boot, seq, seq - 1 if seq > last + 1 else run.last, run.id, run.number, at)
        for seq, event in enumerate(_ends(db, run, calls, (at - run.began) / 1_000_000), last + 1)
    ]
    for part in in_statements(rows):
        insert_events(db, part)
    db.execute("UPDATE run SET ended = ?, last = ? WHERE number = ?", (at, last + len(rows), run.number))


def _ends(db: sqlite3.Connection, run: OpenRun, calls: Mapping[CallId, Sequence[int]], at: float) -> Iterator[Event]:
    error = {"error": DIED.to_wire()}
    unknown = _unknown(db, calls)
    for id in calls:
        kind = Kind.UNKNOWN if id in unknown else Kind.CANCELLED
        yield Event(at, kind, id.pid, id.n, error, id.node, run.id)
    for pid in _open_processes(db, run):
        yield Event(at, Kind.EXITED, pid, 0, {"state": "failed", "result": None, "cut": True, **error}, "", run.id)
    yield Event(at, Kind.CLOSED, 0, 0, error, "", run.id)


def _unknown(db: sqlite3.Connection, calls: Mapping[CallId, Sequence[int]]) -> set[CallId]:
    """Those that had begun and must not run twice: the others have had no effect, or may have it again."""
    events = {seq: id for id, seqs in calls.items() for seq in seqs}
    names: dict[CallId, str] = {}
    started: set[CallId] = set()
    for seq, kind, name in db.execute(BEGINNINGS, (json.dumps([*events]),)):
        if kind == Kind.STARTED:
            started.add(events[seq])
        else:
            names[events[seq]] = name or ""
    return {id for id in calls if outcome_unknown(names.get(id, ""), started=id in started)}


def _open_processes(db: sqlite3.Connection, run: OpenRun) -> list[int]:
    """Those that have not ended, children before their parents."""
    found: dict[int, None] = {}
    for kind, pid in db.execute(PROCESSES, (run.number, run.first, run.last)):
        if kind == Kind.SPAWNED:
            found[pid] = None
        elif kind == Kind.EXITED:
            found.pop(pid, None)
    return [*reversed(found)]
