"""How long a program's runs pause between their calls, and for how long their contexts are worth their place."""

from __future__ import annotations

from aios.scheduler.histogram import EDGES, FRESH, Histogram

KNOWN = 4
"""Pauses of a name from which on they are believed."""


class ThinkTimes:
    """Pauses in microseconds by the name of a program, and how long to keep a context when the next one begins."""

    def __init__(self) -> None:
        self._names: dict[str, Histogram] = {}
        self._keeps: dict[str, tuple[int, float, int]] = {}
        """Of each name: how long, and with how many pauses and for what worth that was reckoned."""

    def add(self, name: str, pause_us: int) -> None:
        """A run of `name` made its next call after so long."""
        histogram = self._names.get(name)
        if histogram is None:
            histogram = self._names[name] = Histogram()
        histogram.add(max(1, pause_us))

    def keep_us(self, name: str, worth_us: float) -> int:
        """For how long a context is kept: what costs least in the mean of the pauses known.

        Kept through `worth_us` it costs as much as to be read again. Kept until t, a pause x costs min(x, t), and
        `worth_us` more where x > t (Continuum, Li et al., 2025). The least over t; of a name that is not known,
        `worth_us`, which is never worse than twice the best (ski rental).
        """
        own = self._names.get(name)
        if own is None or own.count < KNOWN:
            return int(worth_us)
        count, worth, keep = self._keeps.get(name, (0, 0.0, 0))
        if own.count > count * (1 + FRESH) or abs(worth_us - worth) > FRESH * worth:
            keep = _least(own.shares(), worth_us)
            self._keeps[name] = own.count, worth_us, keep
        return keep


def _least(shares: list[float], worth_us: float) -> int:
    best, keep, past, left = worth_us, 0.0, 0.0, 1.0
    for edge, share in zip(EDGES, shares, strict=True):
        past, left = past + share * edge, left - share
        cost = past + max(0.0, left) * (edge + worth_us)
        if share and cost < best:
            best, keep = cost, edge
    return int(keep)
