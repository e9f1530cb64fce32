"""Power cuts: whatever of the unsynced reached the disk, what was acknowledged is there and nothing is half made."""

from __future__ import annotations

import pytest

from tests.crash import parts


@pytest.mark.whole
def test_a_power_cut_after_any_operation_loses_and_doubles_nothing() -> None:
    counts = parts.run("power", 0.0, 1, most=40)
    print(f"{counts.power_cut_states} states after power cuts")
    assert counts.faults == []
    assert counts.power_cut_states >= 1_500
