"""Kills at the n-th durable operation: what was acknowledged is there, nothing is half made, and it goes on."""

from __future__ import annotations

import pytest

from tests.crash import parts


@pytest.mark.whole
def test_a_kill_at_any_durable_operation_loses_and_doubles_nothing() -> None:
    counts = parts.run("kills", 0.0, 1, every=56)
    print(f"{counts.kill_points} kill points")
    assert counts.faults == []
    assert counts.kill_points >= 150
