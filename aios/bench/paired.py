"""Two ways beside each other on the same work: ratios, and how sure one can be of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

Pairs = Sequence[tuple[float, float]]
"""What each piece of work took in the one way and in the other."""
DRAWS = 2_000


def ratio(rounds: Sequence[Pairs]) -> float:
    """The mean of the one over the mean of the other, all rounds together."""
    return _ratio([pair for pairs in rounds for pair in pairs])


def interval(rounds: Sequence[Pairs], random: Random, share: float = 0.95) -> tuple[float, float]:
    """Between what the ratio lies in this share of draws, by the percentile bootstrap (Efron, 1979).

    Rounds are drawn and then pairs within each, for what ran in one round had one queue and one machine's mood.
    """
    found = []
    for _ in range(DRAWS):
        drawn = random.choices(rounds, k=len(rounds))
        found.append(_ratio([pair for pairs in drawn for pair in random.choices(pairs, k=len(pairs))]))
    found.sort()
    cut = round((1 - share) / 2 * DRAWS)
    return found[cut], found[-1 - cut]


def median_interval(values: Sequence[float], z: float = 1.96) -> tuple[float, float]:
    """Between which of the values the median lies with 95 %, whatever their distribution (by order statistics).

    How many of n values lie below it is binomial: n/2 with a standard deviation of sqrt(n)/2.
    """
    ordered, middle, half = sorted(values), len(values) / 2, z * math.sqrt(len(values)) / 2
    return ordered[max(0, math.floor(middle - half))], ordered[min(len(ordered) - 1, math.ceil(middle + half))]


def _ratio(pairs: Pairs) -> float:
    return sum(one for one, _ in pairs) / sum(other for _, other in pairs)
