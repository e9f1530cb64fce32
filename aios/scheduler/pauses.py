"""How long a program's runs pause between their calls, and for how long their contexts are worth their place."""

from __future__ import annotations

from aios.scheduler.histogram import EDGES, FRESH, Histogram

KNOWN = 4
"""Pauses of a name from which on they are believed."""


class Pauses:
    """Pauses in microseconds by the name of a program, and how long to keep a context when the next one begins."""

    def __init__(self, worth_us: float) -> None:
        self.worth_us = worth_us
        """The pause through which a context costs as much as to be read again."""
        self._names: dict[str, Histogram] = {}
        self._keeps: dict[str, tuple[int, int]] = {}

    def add(self, name: str, pause_us: int) -> None:
        """A run of `name` made its next call after so long."""
        histogram = self._names.get(name)
        if histogram is None:
            histogram = self._names[name] = Histogram()
        histogram.add(max(1, pause_us))

    def keep_us(self, name: str) -> int:
        """For how long a context is kept: what costs least in the mean of the pauses known.

        Kept until t, a pause x costs min(x, t), and `worth_us` more where x > t (Continuum, Li et al., 2025). The
        least over t; of a name that is not known, `worth_us`, which is never worse than twice the best (ski rental).
        """
        own = self._names.get(name)
        if own is None or own.count < KNOWN:
            return int(self.worth_us)
        known = self._keeps.get(name)
        if known is None or own.count > known[0] * (1 + FRESH):
            known = self._keeps[name] = own.count, self._least(own.shares())
        return known[1]

    def _least(self, shares: list[float]) -> int:
        best, keep, past, left = self.worth_us, 0.0, 0.0, 1.0
        for edge, share in zip(EDGES, shares, strict=True):
            past, left = past + share * edge, left - share
            cost = past + max(0.0, left) * (edge + self.worth_us)
            if share and cost < best:
                best, keep = cost, edge
        return int(keep)
