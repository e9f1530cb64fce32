"""A disk that fails: a typed error, nothing half, and it goes on."""

from __future__ import annotations

import pytest

from tests.crash import parts


@pytest.mark.whole
def test_a_disk_that_fails_any_operation_leaves_nothing_half_and_it_goes_on() -> None:
    counts = parts.run("io_errors", 0.0, 1, most=3)
    print(f"{counts.io_errors} failures of the disk")
    assert counts.faults == []
    assert counts.io_errors >= 60


@pytest.mark.whole
def test_a_disk_that_is_full_can_be_read_and_is_written_again_once_there_is_room() -> None:
    counts = parts.run("full", 0.0, 1)
    print(*counts.notes)
    assert counts.faults == []
    assert counts.notes in (["the full disk was a small tmpfs"], ["the full disk was RLIMIT_FSIZE"])
