"""What tenants got of a simulated core, looked at every so often."""

from __future__ import annotations

from aios.simulate.result import Sample
from aios.simulate.task import Task

PROMPT, OUTPUT = 1, 2
"""What a token read and a token written count in the service of a tenant, as VTC weighs them."""


class SimulationWatch:
    """Adds to `samples` every `every_us`."""

    def __init__(self, every_us: int, samples: list[Sample]) -> None:
        self.next_us = every_us
        self._every_us, self._samples = every_us, samples
        self._served: dict[str, float] = {}
        self._waiting: dict[str, int] = {}

    def waits(self, task: Task, more: int) -> None:
        """One more call of its tenant waits, or one less."""
        self._waiting[task.tenant] = self._waiting.get(task.tenant, 0) + more

    def served(self, task: Task, prompt: int, output: int) -> None:
        """A call has read and written so many tokens."""
        self._served[task.tenant] = self._served.get(task.tenant, 0) + PROMPT * prompt + OUTPUT * output

    def look(self, now: int) -> None:
        """It has become so late."""
        if now >= self.next_us:
            self._samples.append(Sample(now, dict(self._served), dict(self._waiting)))
            self.next_us = now - now % self._every_us + self._every_us
