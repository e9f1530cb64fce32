"""The tiers below the KV cache: order, caps, damage, cleaning up."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aios.context.tiers import GRAIN, PrivateDirectory, Tiers
from aios_syscalls import StorageFailed


def save(tiers: Tiers, key: int, size: int = GRAIN) -> bool:
    def fill(buffer: memoryview) -> int:
        buffer[:] = bytes([key]) * len(buffer)
        return len(buffer)

    return tiers.save(key, size, fill)


def load(tiers: Tiers, key: int) -> bytes | None:
    found: list[bytes] = []

    def use(state: memoryview) -> bool:
        found.append(bytes(state))
        return True

    return found[0] if tiers.load(key, use) else None


def whole(key: int, size: int = GRAIN) -> bytes:
    return bytes([key]) * size


def test_the_least_recently_saved_sinks_to_disk_and_then_away(tmp_path: Path) -> None:
    tiers = Tiers(2 * GRAIN, 2 * GRAIN, tmp_path)
    for key in range(5):
        assert save(tiers, key)
    assert (tiers.counts.memory_bytes, tiers.counts.disk_bytes) == (2 * GRAIN, 2 * GRAIN)
    assert [load(tiers, key) == whole(key) for key in range(5)] == [False, True, True, True, True]
    assert (tiers.counts.lost, tiers.counts.disk_hits, tiers.counts.memory_hits) == (1, 2, 2)
    assert list(tmp_path.iterdir()) == []
    assert load(tiers, 4) is None


def test_what_is_kept_comes_up_and_counts_as_used(tmp_path: Path) -> None:
    lost: list[int] = []
    tiers = Tiers(2 * GRAIN, GRAIN, tmp_path, lost.append)
    for key in range(3):
        save(tiers, key)
    assert tiers.load(0, lambda state: bytes(state) == whole(0), keep=True)
    assert (tiers.counts.disk_hits, len(list(tmp_path.iterdir()))) == (1, 1)
    assert tiers.load(2, lambda state: bytes(state) == whole(2), keep=True)
    save(tiers, 3)
    assert lost == [1]
    assert [load(tiers, key) == whole(key) for key in range(4)] == [True, False, True, True]


def test_what_is_to_leave_first_goes_down_next(tmp_path: Path) -> None:
    lost: list[int] = []
    tiers = Tiers(2 * GRAIN, 2 * GRAIN, tmp_path, lost.append)
    for key in range(4):
        save(tiers, key)
    for key in (1, 3, 9):
        tiers.leave_first(key)
    save(tiers, 4)
    assert lost == [1]
    assert [tiers.tier(key) for key in range(5)] == ["disk", None, "memory", "disk", "memory"]


def test_buffers_are_used_again(tmp_path: Path) -> None:
    tiers = Tiers(4 * GRAIN, 0, tmp_path)
    for key in range(20):
        save(tiers, key, GRAIN - key)
        assert load(tiers, key) == whole(key, GRAIN - key)
    assert tiers.counts.memory_bytes == GRAIN


def test_a_larger_state_takes_the_place_of_smaller_buffers(tmp_path: Path) -> None:
    tiers = Tiers(3 * GRAIN, 0, tmp_path)
    for key in range(3):
        save(tiers, key)
    assert save(tiers, 3, 3 * GRAIN)
    assert tiers.counts.memory_bytes == 3 * GRAIN
    assert load(tiers, 3) == whole(3, 3 * GRAIN)


def test_what_is_larger_than_memory_is_not_kept(tmp_path: Path) -> None:
    tiers = Tiers(GRAIN, 10 * GRAIN, tmp_path)
    assert not save(tiers, 1, GRAIN + 1)
    assert load(tiers, 1) is None


@pytest.mark.parametrize("damage", ["altered", "shortened", "gone"])
def test_a_damaged_file_is_a_state_that_is_lost(tmp_path: Path, damage: str) -> None:
    tiers = Tiers(GRAIN, GRAIN, tmp_path)
    save(tiers, 1)
    save(tiers, 2)
    (file,) = tmp_path.iterdir()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1] + (b"x" if damage == "altered" else b""))
    assert load(tiers, 1) is None
    assert (tiers.counts.altered, tiers.counts.lost, tiers.counts.disk_bytes) == (1, 1, 0)
    assert load(tiers, 2) == whole(2)


def test_a_disk_that_refuses_loses_states_and_nothing_else(tmp_path: Path) -> None:
    tiers = Tiers(GRAIN, GRAIN, tmp_path / "missing")
    assert save(tiers, 1)
    assert save(tiers, 2)
    assert load(tiers, 1) is None
    assert load(tiers, 2) == whole(2)


def test_a_refused_state_is_forgotten(tmp_path: Path) -> None:
    tiers = Tiers(GRAIN, 0, tmp_path)
    save(tiers, 1)
    assert not tiers.load(1, lambda _state: False)
    assert load(tiers, 1) is None


def test_dropping_and_closing_remove_files(tmp_path: Path) -> None:
    tiers = Tiers(GRAIN, 3 * GRAIN, tmp_path)
    for key in range(4):
        save(tiers, key)
    tiers.drop(0)
    tiers.drop(99)
    assert len(list(tmp_path.iterdir())) == 2
    tiers.close()
    assert list(tmp_path.iterdir()) == []
    assert (tiers.counts.memory_bytes, tiers.counts.disk_bytes) == (0, 0)


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    directory = PrivateDirectory(tmp_path)
    tiers = Tiers(GRAIN, GRAIN, directory.path)
    save(tiers, 1)
    save(tiers, 2)
    (file,) = directory.path.iterdir()
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    directory.close()
    assert not directory.path.exists()


@pytest.mark.whole
def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from aios.context.tiers import PrivateDirectory;"
        "d = PrivateDirectory(Path(sys.argv[1])); (d.path / 'x').touch(); print(d.path, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as other:
        assert other.stdout
        theirs = Path(other.stdout.readline().strip())
        PrivateDirectory(tmp_path).close()
        assert theirs.exists()
        other.kill()
    PrivateDirectory(tmp_path).close()
    assert not theirs.exists()


def test_a_directory_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match=r"Not a directory; make it writable, or set AIOS_HOME"):
        PrivateDirectory(tmp_path / "file" / "context")
