"""First in, first out."""

from __future__ import annotations

from aios.scheduler.base import Job, ReadyQueue


class Fifo(ReadyQueue):
    """Jobs run to their end in the order of arrival, within a priority."""

    slice: int | None = None

    def add(self, job: Job) -> None:
        self.push(job)

    def next(self) -> Job:
        return self.pop()

    def requeue(self, job: Job) -> None:
        self.push(job)
