"""Bugs that are planted are found: without these the harness would show nothing by finding nothing."""

from __future__ import annotations

import pytest

from tests.crash import parts


@pytest.mark.whole
def test_planted_bugs_are_found() -> None:
    counts = parts.run("planted", 0.0, 1, named=6, drawn=0)
    print(f"{counts.planted_found} of {counts.planted} planted bugs found")
    assert counts.survivors == []
    assert counts.planted_found == counts.planted == 6
