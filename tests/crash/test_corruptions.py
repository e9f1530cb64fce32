"""Damaged files of the kernel: a typed error or a repair, never a wrong answer, never a hang."""

from __future__ import annotations

import pytest

from tests.crash import parts


@pytest.mark.whole
def test_damaged_files_are_told_or_mended_and_never_answered_from() -> None:
    counts = parts.run("corruptions", 0.0, 1, many=45)
    print(f"{counts.corruptions} corruptions")
    assert counts.faults == []
    assert counts.corruptions >= 200
