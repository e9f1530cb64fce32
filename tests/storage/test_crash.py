"""Kills of a real program at named points and at any moment: what it acknowledged is there, whole and alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios.bench.crash.killing import POINTS, CrashRoot


def test_there_are_points_enough() -> None:
    assert len(set(POINTS)) >= 10


@pytest.mark.whole
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_point_loses_nothing_that_was_acknowledged(tmp_path: Path, point: str) -> None:
    root = CrashRoot(tmp_path)
    reached = [root.kill(seed, point) for seed in range(2)]
    assert root.faults == []
    assert any(reached), "the program never came to this point"


@pytest.mark.whole
def test_kills_at_any_moment_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    root = CrashRoot(tmp_path)
    for seed in range(6):
        root.kill(seed)
    assert root.faults == []
    assert root.acknowledged > 20
    assert root.same_answers()
