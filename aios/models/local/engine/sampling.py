"""Choosing the next token, as a function of (logits, last tokens, Sampling, seed, number of the draw).

Draws use the Gumbel-max trick: the argmax of logit / temperature + noise is a sample of the softmax. The noise of a
token comes from a counter-based generator keyed by (seed, draw, token id), so there is no state to snapshot, and
a restriction leaves every choice that it allows as it was: this is what lets a grammar be asked about few tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aios_syscalls import ModelFailed, Sampling

Floats = npt.NDArray[np.floating[Any]]
Ids = npt.NDArray[np.int64]
Allowed = Callable[[Ids], npt.NDArray[np.bool_]]
"""Which of some tokens may come next."""

LAST = 64
"""How many of the last tokens the repeat penalty looks at."""
FEW = 256
"""How many of the likeliest tokens are tried before all: asking a grammar about a whole vocabulary takes 5 ms."""
MORE = 16 * FEW
BLOCK = 64


def choose(
    logits: Floats, last: Sequence[int], sampling: Sampling, seed: int, draw: int, allowed: Allowed | None = None
) -> int:
    """The next token; of equals the lowest id. `last` are the tokens so far, `logits` has shape (vocabulary,).

    Raises ModelFailed if the logits are no numbers or `allowed` allows nothing.
    """
    if sampling.repeat_penalty != 1:
        logits = _penalized(logits, last, sampling.repeat_penalty)
    if sampling.temperature == 0:
        token = _likeliest(logits, allowed)
    else:
        token = _drawn(logits.astype(np.float64) / sampling.temperature, sampling, seed, draw, allowed)
    if np.isnan(logits[token]):
        raise ModelFailed("the model computed logits that are not numbers; its file may be damaged")
    return token


def _penalized(logits: Floats, last: Sequence[int], penalty: float) -> Floats:
    """Keskar et al. 2019, CTRL, section 4.1, over the last tokens."""
    logits = logits.copy()
    ids = np.unique(np.asarray(last[-LAST:], np.int64))
    values = logits[ids]
    logits[ids] = np.where(values > 0, values / penalty, values * penalty)
    return logits


def _likeliest(logits: Floats, allowed: Allowed | None) -> int:
    best = np.array([logits.argmax()])
    if allowed is None or allowed(best)[0]:
        return int(best[0])
    # A grammar asked about a whole vocabulary takes long where many ways are open: rarely is that needed.
    for count in (FEW, MORE, len(logits)):
        ids = top(logits, count)
        permitted = ids[allowed(ids)]
        if len(permitted):
            return int(permitted[0])
    raise _dead_end()


def _drawn(scores: Floats, sampling: Sampling, seed: int, draw: int, allowed: Allowed | None) -> int:
    """A token drawn from the softmax of `scores`, truncated by top-k, then top-p, then min-p, over the allowed ones."""
    ids = np.arange(len(scores))
    if allowed is None and sampling.top_k:
        ids = np.sort(top(scores, sampling.top_k))
    elif allowed is not None:
        token = _drawn_from_few(scores, sampling, seed, draw, allowed)
        if token is not None:
            return token
        ids = ids[allowed(ids)]
        if not len(ids):
            raise _dead_end()
    return _winner(scores, _kept(scores, ids, sampling), seed, draw)


def _drawn_from_few(scores: Floats, sampling: Sampling, seed: int, draw: int, allowed: Allowed) -> int | None:
    """The draw among all allowed tokens if it can be told from the likeliest few, else None.

    It can when top-k leaves none but these; and when no allowed token outside of them has a larger sum of score and
    noise than every allowed one of them, except that top-p needs to know the probability of all.
    """
    few = top(scores, max(FEW, sampling.top_k))
    ids = np.sort(few[allowed(few)])
    if not len(ids):
        return None
    best = _winner(scores, _kept(scores, ids, sampling), seed, draw)
    if 0 < sampling.top_k <= len(ids):
        return best
    if sampling.top_p < 1:
        return None
    noisy = scores + noise(seed, draw, np.arange(len(scores)))
    bound = noisy[best]
    noisy[few] = -np.inf
    rivals = np.flatnonzero(noisy >= bound)
    return None if len(rivals) and allowed(rivals).any() else best


def _kept(scores: Floats, ids: Ids, sampling: Sampling) -> Ids:
    """Of tokens in ascending order of ids, those that top-k, top-p and min-p leave: never none."""
    if sampling.top_k:
        ids = ids[top(scores[ids], sampling.top_k)]
    if sampling.top_p < 1:
        ids = _nucleus(scores, np.sort(ids), sampling.top_p)
    if sampling.min_p > 0:
        ids = ids[scores[ids] >= scores[ids].max() + np.log(sampling.min_p)]
    return ids


def _nucleus(scores: Floats, ids: Ids, share: float) -> Ids:
    """The likeliest tokens that together have `share` of the probability (Holtzman et al. 2019)."""
    weights = np.exp(scores[ids] - scores[ids].max())
    needed = share * weights.sum()
    for count in (4 * FEW, len(ids)):
        order = top(scores[ids], count)
        reached = np.cumsum(weights[order])
        if reached[-1] >= needed:
            break
    return ids[order[: np.searchsorted(reached, needed) + 1]]


def top(scores: Floats, count: int) -> Ids:
    """The ids of the `count` largest scores, largest first, of equals the lowest id first."""
    if count >= len(scores):
        return np.argsort(-scores, kind="stable")
    # The count-th largest of the blocks' maxima is a lower bound of what is looked for, and much cheaper.
    whole = len(scores) // BLOCK * BLOCK
    maxima = scores[:whole].reshape(-1, BLOCK).max(axis=1)
    bound = np.partition(maxima, -count)[-count] if count <= len(maxima) else -np.inf
    ids = np.flatnonzero(~(scores < bound))
    return ids[np.argsort(-scores[ids], kind="stable")[:count]]


def _winner(scores: Floats, ids: Ids, seed: int, draw: int) -> int:
    ids = np.sort(ids)
    return int(ids[(scores[ids] + noise(seed, draw, ids)).argmax()])


def noise(seed: int, draw: int, ids: Ids) -> npt.NDArray[np.float64]:
    """Standard Gumbel noise, one value a token id, the same for the same (seed, draw, id)."""
    key = _mixed(_mixed(np.array([seed], np.uint64)) + np.uint64(draw))
    bits = _mixed(key + ids.astype(np.uint64))
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    values: npt.NDArray[np.float64] = -np.log(-np.log(uniform))
    return values


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea and Flood 2014), on values spread by its increment."""
    values = values * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _dead_end() -> ModelFailed:
    return ModelFailed("no token of the model's vocabulary can continue the answer under its schema; loosen the schema")
