"""The order that only a simulator can have: it knows what is left of each program."""

from __future__ import annotations

from collections.abc import Callable

from aios.scheduler.base import Job
from aios.scheduler.programs import Program, ProgramQueue
from aios.scheduler.round_robin import sliced


class SrptOracle(ProgramQueue):
    """Shortest remaining program first; `total` tells the whole service of a job's run, in tokens written.

    The best mean on one slot (Schrage, 1968), and a yardstick on more. Long runs may starve.
    """

    def __init__(self, slice: int, total: Callable[[Job], float]) -> None:
        super().__init__(sliced(slice))
        self._total = total
        self._totals: dict[int, float] = {}

    def key(self, program: Program) -> float:
        return self._totals.get(program.id, 0.0) - program.served

    def program(self, job: Job, now: int) -> Program:
        number = job.pid or -job.id
        if number not in self._totals:
            self._totals[number] = self._total(job)
        return super().program(job, now)

    def forget(self, program: Program) -> None:
        super().forget(program)
        self._totals.pop(program.id, None)
