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
    ends = (event for event in record.events(KINDS, payloads=False) if event.kind is Kind.EXITED)
    last = {event.pid: bool(event.data.get("cut")) for event in ends}
    cut = {pid for pid, was in last.items() if was}
    living = {pid for pid, process in history.processes.items() if process.ended is None}  # nobody has recorded its end
    programs = {history.processes[pid].program for pid in cut | living}
    if not programs:
        raise BadRequest(f"run {record.id} has come to its end, so there is nothing to resume; start it anew: aios run")
    return programs
