"""Program-level attained service: who got least goes first."""

from __future__ import annotations

import math

from aios.scheduler.programs import Program, ProgramQueue
from aios.scheduler.round_robin import sliced


class Plas(ProgramQueue):
    """Runs by the service they have had, in levels that double from `slice` on (Autellix, Luo et al., 2025).

    Least attained service is best in the mean where long runs last the longer the longer they have lasted (decreasing
    hazard rate), and worse than FIFO where runs are of one length. It has no bound on a wait.
    """

    def __init__(self, slice: int) -> None:
        super().__init__(sliced(slice))

    def key(self, program: Program) -> float:
        return max(0.0, math.ceil(math.log2((program.served + 1e-9) / (self.slice or 1))))
