"""Choosing the next token. Each draw is a function of the seed and its index: there is no state to snapshot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aios_syscalls import Sampling

Logits = NDArray[np.float32]
PENALTY_WINDOW = 64
"""How many of the last tokens a repeat penalty looks at."""


def penalize(logits: Logits, recent: Sequence[int], penalty: float) -> Logits:
    """Logits with those of recent tokens weakened (Keskar et al., CTRL, 2019); unchanged when the penalty is 1."""
    if penalty == 1.0 or not recent:
        return logits
    changed = logits.copy()
    ids = np.unique(np.asarray(recent[-PENALTY_WINDOW:]))
    values = changed[ids]
    changed[ids] = np.where(values > 0, values / penalty, values * penalty)
    return changed


def choose(logits: Logits, sampling: Sampling, seed: int, index: int) -> int:
    """The token of draw `index`: the likeliest at temperature 0, else drawn after top-k, top-p and min-p.

    Ties go to the smallest id.
    """
    if sampling.temperature == 0:
        return int(np.argmax(logits))
    ids, weights = _candidates(logits, sampling)
    total = np.cumsum(weights)
    return int(ids[min(np.searchsorted(total, uniform(seed, index) * total[-1], side="right"), len(ids) - 1)])


def uniform(seed: int, index: int) -> float:
    """The index-th number of a seed's stream, in [0, 1): Philox, counter-based (Salmon et al., SC'11)."""
    return float(np.random.Generator(np.random.Philox(key=seed, counter=index)).random())


def _candidates(logits: Logits, sampling: Sampling) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Ids and unnormalized probabilities that are left, likeliest first."""
    keep = min(sampling.top_k or len(logits), len(logits))
    ids = np.argpartition(logits, -keep)[-keep:] if keep < len(logits) else np.arange(len(logits))
    ids = ids[np.lexsort((ids, -logits[ids]))]
    weights = np.exp((logits[ids].astype(np.float64) - float(logits[ids[0]])) / sampling.temperature)
    if sampling.top_p < 1:
        total = np.cumsum(weights)
        count = int(np.searchsorted(total, sampling.top_p * total[-1])) + 1
        ids, weights = ids[:count], weights[:count]
    if sampling.min_p > 0:
        strong = weights >= sampling.min_p * weights[0]
        ids, weights = ids[strong], weights[strong]
    return ids, weights
