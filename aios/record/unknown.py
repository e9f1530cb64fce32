"""Calls that had begun when their kernel died and must not run twice: which, and what the user says of them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aios.record.database import (
    cannot_write,
    insert_events,
    insert_payloads,
    now_us,
    open_to_read,
    open_to_write,
    transaction,
)
from aios.record.event import Event, Kind
from aios.record.past import outcome_unknown
from aios.record.reading import RunRecord, runs
from aios.record.row import row
from aios_syscalls import CallId, Conflict

Decision = Literal["done", "failed", "retry"]


@dataclass(slots=True)
class UnknownCall:
    """A call whose outcome nobody knows; `at`, when its kernel died, in seconds since the epoch."""

    run: RunRecord
    id: CallId
    name: str
    call: Any
    """Its fields as JSON, long ones cut."""
    program: str
    at: float
    told: bool = False
    """Whether its program has gone on since, and was told that the outcome is unknown."""
    decision: str = ""
    """What the user has said of it; empty where nothing."""


def unknown_calls(path: Path) -> Iterator[UnknownCall]:
    """Those of all runs, the oldest first, also those that the user has decided. Raises StorageFailed."""
    if not path.exists():
        return
    with open_to_read(path) as db:
        numbers = {number for (number,) in db.execute("SELECT DISTINCT run FROM event WHERE kind = 'unknown'")}
    for run in runs(path):
        if run.number in numbers:
            yield from _of_run(run, run.unknown_events())


def _of_run(run: RunRecord, events: Iterable[Event]) -> list[UnknownCall]:
    programs: dict[int, str] = {0: "user"}
    begun: dict[CallId, tuple[str, Any, bool]] = {}
    found: dict[CallId, UnknownCall] = {}
    for event in events:
        id, data = event.id, event.data
        match event.kind:
            case Kind.SPAWNED:
                programs[event.pid] = data["program"]
            case Kind.ACCEPTED:
                begun[id] = data["name"], data["call"], False
                found.pop(id, None)  # the user had it run again
            case Kind.STARTED if id in begun:
                name, call, _ = begun[id]
                begun[id] = name, call, True
            case Kind.UNKNOWN if id in begun and outcome_unknown(begun[id][0], started=begun[id][2]):
                name, call, _ = begun[id]
                found[id] = UnknownCall(run, id, name, call, programs.get(id.pid, ""), run.began + event.at)
            case Kind.RESUMED:
                for each in found.values():
                    each.told = each.told or not each.decision
            case Kind.RESOLVED if id in found:
                found[id].decision = data["decision"]
    return [*found.values()]


def record_decision(found: UnknownCall, decision: Decision, outcome: Mapping[str, Any] | None) -> None:
    """Put on record what the user says of a call: the outcome as a frame has it, or None for one that is to run again.

    Raises Conflict where its run has changed since it was read, StorageFailed.
    """
    run, id = found.run, found.id
    data = {"outcome": outcome, "decision": decision, "when": now_us() / 1_000_000}
    event = Event(run.written - run.began, Kind.RESOLVED, id.pid, id.n, data, id.node, run.id)
    try:
        with closing(open_to_write(run.path)) as db, transaction(db):
            now = db.execute("SELECT last, ended FROM run WHERE number = ? AND id = ?", (run.number, run.id)).fetchone()
            if now is None or now[0] != run.last or now[1] is None:
                raise Conflict(f"run {run.id} has gone on meanwhile, so nothing was decided; see aios runs unknown")
            boot = db.execute(
                "INSERT INTO boot (began, os_pid, ended) VALUES (?, ?, ?)", (now_us(), os.getpid(), now_us())
            ).lastrowid
            (last,) = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
            made, seq = row(event), last + 1
            at = round(run.written * 1_000_000)
            insert_events(db, [made.values(boot or 0, seq, run.last, run.id, run.number, at)])
            insert_payloads(db, seq, made.payloads)
            db.execute("UPDATE run SET last = ? WHERE number = ?", (seq, run.number))
    except sqlite3.Error as error:
        raise cannot_write(run.path, error) from error
