"""Agent processes on the same files: one order, nothing lost; and records of no such order are told from it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from aios.bench.search.concurrent import ConcurrentRecord, faults, measure
from aios_storage import Files


@pytest.mark.whole
def test_agents_on_the_same_files_lose_nothing() -> None:
    found = measure(4, 25)
    assert (found["crowd_linear"], found["crowd_lost"]) == (1, 0)
    assert found["crowd_changes"] > 20


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_is_no_order_is_found(tmp_path: Path) -> None:
    with Files(tmp_path) as files:
        files.write("a", b"one")
        files.append("a", b" two")
        first = ConcurrentRecord("a", "write", 1, sha(b"one"), 0, 10)
        second = ConcurrentRecord("a", "append", 2, " two", 20, 30)
        assert faults(files, [first, second, ConcurrentRecord("a", "read", 2, sha(b"one two"), 15, 25)]) == []
        wrong = {
            "a version that nobody made": [first],
            "an old version after a new one": [first, second, ConcurrentRecord("a", "read", 1, sha(b"one"), 31, 40)],
            "other bytes than the version's": [first, second, ConcurrentRecord("a", "read", 2, sha(b"one"), 15, 25)],
            "two changes for one version": [first, second, ConcurrentRecord("a", "write", 2, sha(b"one two"), 20, 30)],
            "a change that is not there": [first, second, ConcurrentRecord("a", "write", 3, sha(b"x"), 40, 50)],
            "a change before one that was over": [first, ConcurrentRecord("a", "append", 2, " two", 0, 5), second],
            "an append to something else": [first, ConcurrentRecord("a", "append", 2, " too", 20, 30)],
        }
        for what, records in wrong.items():
            assert faults(files, records), what
