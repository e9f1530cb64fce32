"""First come, first served, by the arrival of programs."""

from __future__ import annotations

from aios.scheduler.programs import Program, ProgramQueue


class ProgramFcfs(ProgramQueue):
    """The calls of the run that arrived first go first, to their end.

    Call-by-call FIFO makes a run of n calls queue n times; here it queues once. No run waits for one that arrived
    later, but for the calls of it that run already.
    """

    def key(self, program: Program) -> float:
        return program.arrival
