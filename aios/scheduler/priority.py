"""Priorities that age: whoever waits long enough goes first."""

from __future__ import annotations

from aios.scheduler.base import Job, ReadyQueue
from aios.scheduler.round_robin import sliced

AGE_US = 10_000_000


class Priority(ReadyQueue):
    """Larger priorities first; a job gains one for each `age_us` that it waits.

    Linear aging (Kleinrock, A delay dependent queue discipline, 1964): as every waiting job ages alike, the order of
    priority - waited / age_us is that of a key fixed at its arrival. A job waits at most for those that arrived less
    than (difference of priorities) * age_us after it, so none starves.
    """

    def __init__(self, slice: int, age_us: int = AGE_US) -> None:
        super().__init__()
        self.slice = sliced(slice)
        self._age_us = age_us

    def add(self, job: Job, now: int = 0) -> None:
        self.push(job, level=now - job.priority * self._age_us)

    requeue = add
