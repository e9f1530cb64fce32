"""One ranking out of two: by meaning and by keywords."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

MIN_KEYWORD_SHARE, KEYWORD_SHARE_SLOPE, MAX_KEYWORD_SHARE = 0.05, 0.8, 0.45
"""The keywords' share: the minimum, plus the slope times how decided their ranking is, up to the maximum."""
RANKS, FILES = (2, 9), 600
"""The rank that the first is compared with: one more for so many files, for among few even the third is far off."""


def fuse(
    dense: Mapping[int, float], sparse: Mapping[int, float], files: int, unknown: Collection[int] = ()
) -> dict[int, float]:
    """Files and their scores from 0 to 1: a convex combination of both scores, each scaled to 0..1 (min-max).

    Better than reciprocal ranks, which forget how far apart scores are (Bruch, Gai, Ingber: An Analysis of Fusion
    Functions for Hybrid Retrieval, 2022). The keywords' share depends on the query: where their best files are hardly
    better than others, as with plain words about code, they say little. `files` are all there are; `unknown` are not
    embedded yet: their keywords count alone, for nobody knows how near they are.
    """
    if not dense or not sparse:
        return _scaled(dense or sparse)
    share = share_of_keywords(sparse.values(), files)
    near, said = _scaled(dense), _scaled(sparse)
    known = {id: (1 - share) * near.get(id, 0.0) + share * said.get(id, 0.0) for id in {**near, **said}}
    return known | {id: said[id] for id in unknown if id in said and id not in near}


def share_of_keywords(scores: Iterable[float], files: int) -> float:
    """How much keywords count: the more, the further the scores behind the first are below it; none there is 0."""
    best = sorted(scores, reverse=True)
    if not best or best[0] <= 0:
        return MIN_KEYWORD_SHARE
    rank = min(max(files // FILES, RANKS[0]), RANKS[1])
    behind = max(best[rank], 0.0) if len(best) > rank else 0.0
    return min(MIN_KEYWORD_SHARE + KEYWORD_SHARE_SLOPE * (1 - behind / best[0]), MAX_KEYWORD_SHARE)


def _scaled(scores: Mapping[int, float]) -> dict[int, float]:
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    return {id: (score - low) / (high - low) if high > low else 1.0 for id, score in scores.items()}
