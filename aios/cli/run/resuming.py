"""`aios resume`: which run may go on, and with which programs."""

from __future__ import annotations

from aios.cli.record.runs import going_on, read
from aios.record import OUTLINE_KINDS, Kind, RunRecord
from aios_syscalls import BadRequest, Conflict

KINDS = OUTLINE_KINDS | {Kind.RESUMED}


def cut_off(record: RunRecord) -> set[str]:
    """The programs of the processes that a run left unfinished.

    Raises Conflict where it goes on, BadRequest where it has come to its end.
    """
    history = read(record, KINDS, calls=False, payloads=False)
    if going_on(history):
        raise Conflict(f"run {record.id} goes on: see aios ps; it can be resumed once it was cut off")
    found = {
        event.pid
        for event in record.events(KINDS, payloads=False)
        if event.kind is Kind.EXITED and event.data.get("cut")
    }
    programs = {history.processes[pid].program for pid in found if history.processes[pid].ended is not None}
    if not programs:
        raise BadRequest(f"run {record.id} has come to its end, so there is nothing to resume; start it anew: aios run")
    return programs
