"""How much service a program's runs take, learnt while they end."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

GROWTH = 2**0.25
BUCKETS = 112
"""Up to 2 ** 28 tokens."""
EDGES = [GROWTH**number for number in range(1, BUCKETS + 1)]
SMOOTH = 1
DECAY = 1 - 1 / 512
"""What an observation keeps of its weight at each later one."""
KERNEL = [(offset, (SMOOTH + 1 - abs(offset)) / (SMOOTH + 1) ** 2) for offset in range(-SMOOTH, SMOOTH + 1)]
"""How an observation is spread over the buckets beside its own."""
TRUSTED = 30
"""Runs of its own from which on a name does without the pooled distribution."""
FRESH = 1 / 8
"""By which share of observations the rank table may be out of date."""


class Histogram:
    """Weights of totals in buckets that grow by GROWTH, the older the lighter."""

    def __init__(self) -> None:
        self.weights = [0.0] * BUCKETS
        self.count = 0
        self.mean = 0.0
        self._unit = 1.0

    def add(self, total: float) -> None:
        """One more run took `total`."""
        self.count += 1
        self.mean += (total - self.mean) / min(self.count, 1 / (1 - DECAY))
        self.weights[min(bisect_left(EDGES, total), BUCKETS - 1)] += self._unit
        self._unit /= DECAY
        if self._unit > 1e9:
            self.weights = [weight / self._unit for weight in self.weights]
            self._unit = 1.0

    def shares(self) -> list[float]:
        """The weights, summing to 1, or to 0 while there is none."""
        total = sum(self.weights)
        if not total:
            return list(self.weights)
        # A few observations are points, behind each of which a run would look as if it were to last.
        spread = [0.0] * BUCKETS
        for number, weight in enumerate(self.weights):
            if weight:
                for offset, part in KERNEL:
                    spread[min(max(number + offset, 0), BUCKETS - 1)] += weight * part / total
        return spread


class Ranks:
    """The Gittins rank by service attained: of all amounts to be given next, the least mean by the chance to end.

    With F the distribution of the total and I(x) the integral of 1 - F up to x, that is the smallest slope from
    (F(a), I(a)) to a later point of the curve (Gittins, 1989; Scully and Harchol-Balter, 2021): the lower convex hull,
    taken once from the right, has them all.
    """

    def __init__(self, shares: list[float]) -> None:
        points = [(edge, share) for edge, share in zip(EDGES, shares, strict=True) if share > 0]
        self._edges = [edge for edge, _ in points]
        sums, done, area, last = [(0.0, 0.0)], 0.0, 0.0, 0.0
        for edge, share in points:
            area += (1 - done) * (edge - last)
            done, last = done + share, edge
            sums.append((done, area))
        self._lines: list[tuple[float, float]] = []
        """For service between two edges: the rank at the first, and what it falls by for each token."""
        hull = sums[-1:]
        for number in range(len(points) - 1, -1, -1):
            done, area = sums[number]
            while len(hull) > 1 and _slope(sums[number], hull[-1]) >= _slope(sums[number], hull[-2]):
                hull.pop()
            chance = max(hull[-1][0] - done, 1e-12)
            self._lines.append(((hull[-1][1] - area) / chance, (1 - done) / chance))
            hull.append(sums[number])
        self._lines.reverse()

    def __call__(self, served: float) -> float:
        """The rank of a run that was served so much; longer than any known, it may take as much again."""
        number = bisect_left(self._edges, served)
        if number == len(self._edges):
            return served
        rank, fall = self._lines[number]
        return rank - fall * (served - (self._edges[number - 1] if number else 0.0))


def _slope(first: tuple[float, float], second: tuple[float, float]) -> float:
    return (second[1] - first[1]) / max(second[0] - first[0], 1e-12)


class ServiceDistributions:
    """Total service by the name of a program, shrunk to that of all until TRUSTED runs of it have ended.

    A name never seen has the pooled distribution; before any run has ended, every rank is 0.
    """

    def __init__(self) -> None:
        self.pooled = Histogram()
        self.heard: Callable[[str, float], None] | None = None
        """Is told each name and total too, to keep them for another time."""
        self._names: dict[str, Histogram] = {}
        self._ranks: dict[str, tuple[bool, int, Ranks]] = {}

    def add(self, name: str, total: float) -> None:
        """A run of `name` has ended after so much service."""
        self.pooled.add(total)
        histogram = self._names.get(name)
        if histogram is None:
            histogram = self._names[name] = Histogram()
        histogram.add(total)
        if self.heard is not None:
            self.heard(name, total)

    def mean(self, name: str) -> float:
        """Service that a run of `name` takes in the mean; 0 while nothing is known."""
        return self._names.get(name, self.pooled).mean

    def rank(self, name: str, served: float) -> float:
        """Of a run of `name` that was served so much, in the unit of service; smaller is to go first."""
        pooled = self.pooled
        if not pooled.count:
            return 0.0
        own = self._names.get(name)
        count = own.count if own else 0
        trusted = count >= TRUSTED
        # Whose own runs are too few changes with everybody's.
        version = count if trusted else pooled.count
        known = self._ranks.get(name)
        if known is None or known[0] != trusted or version > known[1] * (1 + FRESH):
            known = self._ranks[name] = trusted, version, Ranks(self._shares(own, count))
        # While little is known at all, arrival counts for more.
        return known[2](served) * min(1.0, pooled.count / TRUSTED)

    def _shares(self, own: Histogram | None, count: int) -> list[float]:
        pooled = self.pooled.shares()
        if own is None:
            return pooled
        trust = min(1.0, count / TRUSTED)
        return [trust * mine + (1 - trust) * all for mine, all in zip(own.shares(), pooled, strict=True)]
