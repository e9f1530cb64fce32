"""Least attained service along the longest path of a program's calls."""

from __future__ import annotations

import math

from aios.scheduler.base import Job, ReadyQueue
from aios.scheduler.programs import PREFILL
from aios.scheduler.round_robin import sliced


class Atlas(ReadyQueue):
    """A call's level is its run's longest path of service so far (Autellix, Luo et al. 2025).

    The path up to a call is that of its run when it arrived; when it ends, its run's is at least its own and its
    service. So parallel siblings do not count against each other, as they do in PLAS. No bound on a wait.
    """

    def __init__(self, slice: int) -> None:
        super().__init__()
        self.slice = sliced(slice)
        self._paths: dict[int, float] = {}
        self._own: dict[int, float] = {}

    def add(self, job: Job, now: int = 0) -> None:
        self._own[job.id] = self._paths.setdefault(job.pid, 0.0) if job.pid else 0.0
        self.requeue(job, now)

    def requeue(self, job: Job, now: int = 0) -> None:  # noqa: ARG002
        own = self._own.get(job.id, 0.0)
        self.push(job, max(0.0, math.ceil(math.log2((own + 1e-9) / (self.slice or 1)))))

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:  # noqa: ARG002
        self._own[job.id] = self._own.get(job.id, 0.0) + prefill * PREFILL + decode

    def done(self, job: Job, now: int = 0) -> None:  # noqa: ARG002
        own = self._own.pop(job.id, 0.0)
        if job.pid in self._paths:  # else its run was over before it
            self._paths[job.pid] = max(self._paths[job.pid], own)

    def ended(self, pid: int, now: int = 0) -> None:  # noqa: ARG002
        self._paths.pop(pid, None)
