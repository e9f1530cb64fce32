"""First in, first out."""

from __future__ import annotations

from aios.scheduler.base import Job, ReadyQueue


class Fifo(ReadyQueue):
    """Jobs run to their end in the order of arrival, within a priority."""

    def add(self, job: Job, now: int = 0) -> None:  # noqa: ARG002
        self.push(job)

    def requeue(self, job: Job, now: int = 0) -> None:  # noqa: ARG002
        self.push(job)


class Resuming(Fifo):
    """As FIFO, but a paused job goes before those that have not begun."""

    def requeue(self, job: Job, now: int = 0) -> None:  # noqa: ARG002
        self.push(job, -1.0)
