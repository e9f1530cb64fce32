"""What a simulation found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aios.simulate.program import SimulatedProgram


class Ended(NamedTuple):
    """A program that has ended."""

    program: SimulatedProgram
    net_us: int
    """From its arrival, without what it waited for tools."""
    end_us: int


class Sample(NamedTuple):
    """What each tenant had got at a moment, and how many of its calls waited."""

    at_us: int
    served: Mapping[str, float]
    waiting: Mapping[str, int]


@dataclass(slots=True)
class Result:
    """Programs that ended, in that order, and sums over all."""

    ended: list[Ended] = field(default_factory=list)
    first_us: list[int] = field(default_factory=list)
    """From when each call was made until its first token, in the order of these."""
    samples: list[Sample] = field(default_factory=list)
    calls: int = 0
    events: int = 0
    preemptions: int = 0
    recomputed: int = 0
    makespan_us: int = 0
    digest: str = ""
    """SHA-256 of the event log, if it was kept."""

    def mean_s(self) -> float:
        """Of programs' latencies net of tools."""
        return sum(each.net_us for each in self.ended) / len(self.ended) / 1e6

    def percentile_s(self, share: float) -> float:
        """The latency net of tools that this share of programs stays within."""
        return percentile([each.net_us for each in self.ended], share) / 1e6

    def slowdown(self, alone: Callable[[SimulatedProgram], float]) -> float:
        """Mean of latencies over what they would be alone."""
        return sum(each.net_us / alone(each.program) for each in self.ended) / len(self.ended)

    def gap(self) -> float:
        """Largest difference of service got between two samples by two tenants that waited at both."""
        worst = 0.0
        for before, after in zip(self.samples, self.samples[1:], strict=False):
            both = [name for name, count in after.waiting.items() if count and before.waiting.get(name)]
            got = [after.served.get(name, 0) - before.served.get(name, 0) for name in both]
            worst = max(worst, max(got) - min(got)) if got else worst
        return worst


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed; 0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, -(-int(share * len(values) * 1e6) // 1_000_000) - 1)]
