"""The length of a slice, by what a switch costs."""

from __future__ import annotations

from random import Random

import pytest

from aios.scheduler.quantum import FIRST_SLICE, LONGER, MAX_SLICE, MIN_SLICE, SHARE, Quantum


def learnt(switch_s: float, token_s: float, noise: float = 0.0, count: int = 100, seed: int = 1) -> Quantum:
    quantum, random = Quantum(), Random(seed)
    for _ in range(count):
        tokens = quantum.next(1)
        quantum.observe(tokens, (switch_s + token_s * tokens) * random.lognormvariate(0, noise))
    return quantum


def test_before_anything_is_known_it_is_the_stated_default() -> None:
    assert Quantum().slice == FIRST_SLICE == 32
    assert learnt(1.0, 0.01, count=4).slice == FIRST_SLICE


def test_a_switch_takes_at_most_its_share_of_the_time_of_the_tokens() -> None:
    quantum = learnt(0.1, 0.02)
    assert quantum.slice == 100
    assert quantum.costs is not None
    switch, token = quantum.costs
    assert switch <= SHARE * token * quantum.slice * 1.01


def test_costly_switches_make_long_slices_and_free_ones_short_within_bounds() -> None:
    assert learnt(0.0, 0.02).slice == MIN_SLICE
    assert learnt(10.0, 0.02).slice == MAX_SLICE
    assert learnt(1.0, 0.0).slice == MAX_SLICE


def test_noise_of_a_tenth_moves_it_by_a_factor_of_three_at_most_and_in_the_middle_little() -> None:
    slices = sorted(learnt(0.1, 0.02, noise=0.1, count=400, seed=seed).slice for seed in range(40))
    assert 100 / 3 < slices[0] < slices[-1] < 100 * 3
    assert 80 <= slices[20] <= 130
    assert sum(60 <= each <= 160 for each in slices) >= 2 / 3 * len(slices)


def test_slices_of_one_length_tell_nothing() -> None:
    quantum = Quantum()
    for _ in range(100):
        quantum.observe(32, 1.0)
    assert quantum.slice == FIRST_SLICE


def test_it_follows_what_changes() -> None:
    quantum = learnt(0.1, 0.02)
    for _ in range(600):
        tokens = quantum.next(1)
        quantum.observe(tokens, 0.001 + 0.02 * tokens)
    assert quantum.slice < 12


@pytest.mark.parametrize("callers", [1, 2, 3, 4, 5, 8])
def test_the_longer_slices_are_not_always_the_same_callers(callers: int) -> None:
    quantum = Quantum()
    got = [0] * callers
    for turn in range(400 * callers):
        got[turn % callers] += quantum.next(1)
    assert max(got) <= 1.05 * min(got)
    assert sum(got) / (400 * callers) == pytest.approx(FIRST_SLICE * (1 + 1 / LONGER), rel=0.01)


def test_a_policy_that_wants_longer_slices_gets_them() -> None:
    assert learnt(0.0, 0.02).next(200) == 200
