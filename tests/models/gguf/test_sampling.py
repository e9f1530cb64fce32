"""Draws are functions of the seed and their index, and follow the distribution."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from aios.models.gguf.sampling import choose, penalize, uniform
from aios_syscalls import Sampling

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))


def draws(sampling: Sampling, count: int = 4000) -> Counter[int]:
    return Counter(choose(LOGITS, sampling, 7, index) for index in range(count))


def test_temperature_zero_is_the_likeliest_and_ties_go_to_the_smallest_id() -> None:
    assert choose(LOGITS, Sampling(), 0, 0) == 1
    assert choose(np.array([1, 3, 3], np.float32), Sampling(), 0, 0) == 1


def test_a_draw_depends_on_seed_and_index_alone() -> None:
    sampling = Sampling(temperature=1)
    first = [choose(LOGITS, sampling, 3, index) for index in range(50)]
    assert first == [choose(LOGITS, sampling, 3, index) for index in range(50)]
    assert first != [choose(LOGITS, sampling, 4, index) for index in range(50)]
    assert [uniform(3, index) for index in range(3)] != [uniform(3, index) for index in range(1, 4)]


def test_draws_follow_the_distribution() -> None:
    counts = draws(Sampling(temperature=1))
    for token, share in enumerate([0.1, 0.4, 0.2, 0.3]):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    ("sampling", "allowed"),
    [
        (Sampling(temperature=1, top_k=2), {1, 3}),
        (Sampling(temperature=1, top_p=0.65), {1, 3}),
        (Sampling(temperature=1, top_p=0.75), {1, 2, 3}),
        (Sampling(temperature=1, min_p=0.6), {1, 3}),
        (Sampling(temperature=1, top_k=0), {0, 1, 2, 3}),
        (Sampling(temperature=5, top_k=1), {1}),
    ],
)
def test_truncation_keeps_the_likeliest(sampling: Sampling, allowed: set[int]) -> None:
    assert set(draws(sampling, 500)) == allowed


def test_a_repeat_penalty_weakens_recent_tokens_only() -> None:
    logits = np.array([2.0, -2.0, 2.0, -2.0], np.float32)
    changed = penalize(logits, [0, 1, 0], 2.0)
    assert changed.tolist() == [1.0, -4.0, 2.0, -2.0]
    assert penalize(logits, [0], 1.0) is logits
