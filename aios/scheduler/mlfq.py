"""Queues by what a call has written, which long prompts join further down."""

from __future__ import annotations

from aios.scheduler.base import Job, ReadyQueue
from aios.scheduler.round_robin import sliced

LEVELS = 8
PREFILL = 0.1
"""What reading a token costs, in tokens written."""
PROMOTE_US = 30_000_000


class Mlfq(ReadyQueue):
    """Skip-join multi-level feedback: level k has a quantum of slice * 2**k tokens, and a call that uses it up sinks.

    A call joins at the first level whose quantum covers its prompt (FastServe, Wu et al., 2023), so that a long prompt
    is not paused before its first token. Whoever waits `promote_us` goes to the top: between two slices a call waits
    at most that, and for those promoted before it.
    """

    def __init__(self, slice: int, promote_us: int = PROMOTE_US) -> None:
        super().__init__()
        self.slice = sliced(slice)
        self._promote_us = promote_us
        self._level: dict[int, int] = {}
        self._since: dict[int, int] = {}
        """When each waiting call began to wait, oldest first."""

    def quantum(self, job: Job) -> int | None:
        return (self.slice or 1) << self._level.get(job.id, 0)

    def add(self, job: Job, now: int = 0) -> None:
        level = 0
        while level < LEVELS - 1 and (self.slice or 1) << level < job.prompt * PREFILL:
            level += 1
        self._place(job, level, now)

    def requeue(self, job: Job, now: int = 0) -> None:
        self._place(job, min(self._level.get(job.id, 0) + 1, LEVELS - 1), now)

    def peek(self, now: int = 0) -> Job:
        self._promote(now)
        return super().peek(now)

    def next(self, now: int = 0) -> Job:
        self._promote(now)
        job = super().next(now)
        del self._since[job.id]
        return job

    def remove(self, job: Job) -> bool:
        self._since.pop(job.id, None)
        return super().remove(job)

    def done(self, job: Job, now: int = 0) -> None:  # noqa: ARG002
        self._level.pop(job.id, None)

    def _place(self, job: Job, level: int, now: int) -> None:
        self._level[job.id] = level
        self._since[job.id] = now
        self.push(job, level)

    def _promote(self, now: int) -> None:
        while self._since:
            job_id, since = next(iter(self._since.items()))
            if now - since < self._promote_us:
                return
            del self._since[job_id]
            held = self._held.get(job_id)
            if held is None:
                self._place(self._waiting[job_id][1], 0, now)
            else:
                self._place(held[1], 0, now)
                self.suspend(held[1])
