"""States go down from memory to disk, least recently put first, and are never served altered."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np

from aios.context.store import DIGEST, State, StateStore


def state(value: int, size: int = 100) -> State:
    return np.full(size, value, np.uint8)


def same(found: State | None, value: int, size: int = 100) -> bool:
    return found is not None and found.tobytes() == bytes([value]) * size


def test_a_state_is_taken_once(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 1000, 1000)
    store.put(1, state(1))
    assert same(store.take(1), 1)
    assert store.take(1) is None
    assert store.bytes == {"memory": 0, "disk": 0}
    assert store.hits == {"memory": 1, "disk": 0, "lost": 1}


def test_the_least_recently_put_goes_to_disk_and_then_away(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 200, 2 * (100 + DIGEST))
    for key in (1, 2, 3, 4, 5):
        store.put(key, state(key))
    assert store.bytes == {"memory": 200, "disk": 2 * (100 + DIGEST)}
    assert store.take(1) is None
    assert [same(store.take(key), key) for key in (2, 3, 4, 5)] == [True] * 4
    assert store.hits == {"memory": 2, "disk": 2, "lost": 1}
    assert list(tmp_path.iterdir()) == []


def test_a_state_larger_than_both_caps_is_let_go(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 50, 50)
    store.put(1, state(1))
    assert store.take(1) is None
    assert store.bytes == {"memory": 0, "disk": 0}


def test_an_altered_truncated_or_deleted_file_is_noticed(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "d", 0, 10_000)
    for key in (1, 2, 3, 4):
        store.put(key, state(key))
    files = {int(path.stem): path for path in (tmp_path / "d").iterdir()}
    files[1].write_bytes(files[1].read_bytes()[:-1] + b"x")
    files[2].write_bytes(files[2].read_bytes()[:20])
    files[3].unlink()
    assert [store.take(key) for key in (1, 2, 3)] == [None] * 3
    assert same(store.take(4), 4)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_written_loses_states_not_calls(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = StateStore(tmp_path / "file", 0, 10_000)
    store.put(1, state(1))
    assert store.take(1) is None
    assert store.bytes["disk"] == 0


def test_clearing_leaves_nothing(tmp_path: Path) -> None:
    store = StateStore(tmp_path, 100, 10_000)
    for key in range(5):
        store.put(key, state(key))
    store.clear()
    assert store.bytes == {"memory": 0, "disk": 0}
    assert list(tmp_path.iterdir()) == []
