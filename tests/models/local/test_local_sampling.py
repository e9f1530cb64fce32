"""Sampling: a pure function whose distribution is the model's, under restrictions too."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aios.models.local.engine.sampling import Floats, Ids, choose, noise, top
from aios_syscalls import ModelFailed, Sampling

SHARES = [0.5, 0.25, 0.15, 0.1]
LOGITS = np.log(np.array(SHARES, np.float32))


def draws(count: int, sampling: Sampling, logits: Floats = LOGITS) -> list[float]:
    """How often each token is drawn."""
    tokens = [choose(logits, [], sampling, 7, draw) for draw in range(count)]
    return [tokens.count(token) / count for token in range(len(logits))]


def test_greedy_takes_the_largest_and_of_equals_the_first() -> None:
    assert choose(np.array([1, 3, 3, 2], np.float32), [], Sampling(), 0, 0) == 1


def test_draws_follow_the_softmax() -> None:
    found = draws(4000, Sampling(temperature=1, top_k=0))
    assert found == pytest.approx(SHARES, abs=4 * math.sqrt(0.25 / 4000))


def test_temperature_sharpens() -> None:
    weights = [share**2 for share in SHARES]
    found = draws(4000, Sampling(temperature=0.5, top_k=0))
    assert found == pytest.approx([weight / sum(weights) for weight in weights], abs=0.035)


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(temperature=1, top_k=2), {0, 1}),
        (Sampling(temperature=1, top_k=0, top_p=0.7), {0, 1}),
        (Sampling(temperature=1, top_k=0, top_p=0.76), {0, 1, 2}),
        (Sampling(temperature=1, top_k=0, min_p=0.29), {0, 1, 2}),
        (Sampling(temperature=1, top_k=1, top_p=0.01, min_p=1.0), {0}),
    ],
)
def test_truncation_keeps_the_likeliest(sampling: Sampling, kept: set[int]) -> None:
    assert {token for token, share in enumerate(draws(300, sampling)) if share} == kept


def test_a_draw_depends_on_seed_and_number_alone() -> None:
    sampling = Sampling(temperature=1, top_k=0)
    logits = np.random.default_rng(0).normal(0, 1, 1000).astype(np.float32)
    first = [choose(logits, [], sampling, 1, draw) for draw in range(20)]
    assert first == [choose(logits, [], sampling, 1, draw) for draw in range(20)]
    assert first != [choose(logits, [], sampling, 2, draw) for draw in range(20)]
    assert len(set(first)) > 10


def test_repeat_penalty_weakens_the_last_64_tokens() -> None:
    logits = np.array([2.0, 1.5, -1.0], np.float32)
    penalized = Sampling(repeat_penalty=1.5)
    assert choose(logits, [0], penalized, 0, 0) == 1
    assert choose(logits, [0] + [2] * 64, penalized, 0, 0) == 0
    assert logits[0] == 2.0


def reference(logits: Floats, sampling: Sampling, seed: int, permitted: Ids) -> int:
    """The draw as the textbook has it: mask, sort, truncate, draw."""
    scores = logits.astype(np.float64) / sampling.temperature
    ids = permitted[np.argsort(-scores[permitted], kind="stable")]
    ids = ids[: sampling.top_k or None]
    if sampling.top_p < 1:
        weights = np.exp(scores[ids] - scores[ids[0]])
        ids = ids[np.cumsum(weights) - weights < sampling.top_p * weights.sum()]
    if sampling.min_p:
        ids = ids[scores[ids] >= scores[ids[0]] + np.log(sampling.min_p)]
    ids = np.sort(ids)
    return int(ids[(scores[ids] + noise(seed, 0, ids)).argmax()])


def test_asking_a_grammar_about_few_tokens_changes_no_draw() -> None:
    random = np.random.default_rng(1)
    for seed in range(300):
        logits = np.round(random.normal(0, random.uniform(0.2, 4), 5000 if seed % 2 else 700), 1).astype(np.float32)
        permitted = random.random(len(logits)) < random.choice([0.002, 0.01, 0.1, 0.9])
        permitted[random.integers(len(logits))] = True
        sampling = Sampling(
            temperature=random.uniform(0.3, 3),
            top_k=int(random.choice([0, 1, 5, 40, 400])),
            top_p=float(random.choice([1, 0.9, 0.3])),
            min_p=float(random.choice([0, 0.05, 0.5])),
        )
        drawn = choose(logits, [], sampling, seed, 0, lambda ids, mask=permitted: mask[ids])  # type: ignore[misc]
        assert drawn == reference(logits, sampling, seed, np.flatnonzero(permitted)), sampling


def test_greedy_under_a_grammar_is_the_likeliest_allowed_token() -> None:
    logits = np.random.default_rng(2).normal(0, 1, 3000).astype(np.float32)
    order = np.argsort(-logits)
    for rank in (0, 1, 200, 2900):
        allowed = np.zeros(3000, bool)
        allowed[order[rank:]] = True
        assert choose(logits, [], Sampling(), 0, 0, lambda ids, mask=allowed: mask[ids]) == order[rank]  # type: ignore[misc]


def test_top_breaks_ties_by_id() -> None:
    scores = np.array([1.0, 2.0] * 500)
    assert list(top(scores, 3)) == [1, 3, 5]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_nothing_allowed_and_no_numbers_are_errors(temperature: float) -> None:
    sampling = Sampling(temperature=temperature)
    with pytest.raises(ModelFailed, match="loosen the schema"):
        choose(LOGITS, [], sampling, 0, 0, lambda ids: np.zeros(len(ids), bool))
    with pytest.raises(ModelFailed, match="not numbers"):
        choose(np.full(4, np.nan, np.float32), [], sampling, 0, 0)
