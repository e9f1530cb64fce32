"""One ranking out of two: by meaning and by keywords."""

from __future__ import annotations

from collections.abc import Mapping

DENSE = 0.7


def fuse(dense: Mapping[int, float], sparse: Mapping[int, float], weight: float = DENSE) -> dict[int, float]:
    """Files and their scores from 0 to 1: a convex combination of both scores, each scaled to 0..1 (min-max).

    Better than reciprocal ranks, which forget how far apart scores are (Bruch, Gai, Ingber: An Analysis of Fusion
    Functions for Hybrid Retrieval, 2022).
    """
    if not dense or not sparse:
        return _scaled(dense or sparse)
    near, said = _scaled(dense), _scaled(sparse)
    return {id: weight * near.get(id, 0.0) + (1 - weight) * said.get(id, 0.0) for id in {**near, **said}}


def _scaled(scores: Mapping[int, float]) -> dict[int, float]:
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    return {id: (score - low) / (high - low) if high > low else 1.0 for id, score in scores.items()}
