"""Memory for contexts: what runs, and what programs left there."""

from __future__ import annotations

from collections.abc import Callable

from aios.simulate.task import Task


class SimulatedMemory:
    """So many tokens: what runs is sure of its place, what rests goes when others need it, the longest unused first.

    Where a policy says whose contexts are worth their place, the others go before these. With `spill` they go to the
    host's memory.
    """

    def __init__(self, size: int, spill: bool = False, inside: Callable[[int], bool] | None = None) -> None:
        self.size, self.spill = size, spill
        self._inside = inside
        self._resting: dict[int, int] = {}
        """Process -> tokens of its context, the least recently used first."""
        self._sum = 0
        self._peak = 0

    def fits(self, task: Task, running: list[Task], steps: int) -> bool:
        """Whether a task could run beside the others until all have ended: the peak as LightLLM reckons it."""
        rows = [(task.left, task.context + task.call.output - task.left)]
        for each in running:
            done = each.planned - (each.end - steps)
            left = each.left - done
            rows.append((left, each.context + each.call.output - left))
        rows.sort(key=lambda row: -row[0])
        held = peak = 0
        for number, (left, has) in enumerate(rows, 1):
            held += has
            peak = max(peak, held + left * number)
        self._peak = peak
        return peak <= self.size

    def take(self, task: Task, running: list[Task]) -> int:
        """A task starts: tokens that it has to read again, or have back, as they are no longer here."""
        has = self._resting.pop(task.pid, 0)
        self._sum -= has
        written = task.call.output - task.left
        needs = task.context + written if task.paused >= 0 else task.call.prefix
        if task.paused < 0 and any(each.pid == task.pid for each in running):
            has = needs  # a sibling has their common beginning there
        if self._sum > self.size - self._peak:
            self._evict(self.size - self._peak)
        return max(0, needs - has)

    def _evict(self, most: int) -> None:
        pids = list(self._resting)
        if self._inside is not None:
            pids.sort(key=self._inside)
        for pid in pids:
            self._sum -= self._resting.pop(pid)
            if self._sum <= most:
                break

    def rest(self, pid: int, tokens: int) -> None:
        """A context is not in use for now."""
        self._sum += tokens - self._resting.pop(pid, 0)
        self._resting[pid] = tokens

    def drop(self, pid: int) -> None:
        """A process has ended."""
        self._sum -= self._resting.pop(pid, 0)
