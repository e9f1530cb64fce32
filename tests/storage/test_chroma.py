"""The approximate index: trusted only as it was left in order, and never missed where it is not."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aios.bench.crash.recovery import measure
from aios_storage.library import Library
from aios_storage.owner.chroma import Chroma
from aios_storage.owner.client import OwnerClient
from aios_storage.search.search import Query
from tests.storage.walled import start

COUNT, DIMENSION = 1500, 16
ROWS = [(number + 1, number.to_bytes(32, "big")) for number in range(COUNT)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    place = tmp_path / "root"
    place.mkdir()
    return place


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < 30
        time.sleep(0.01)


def ready(owner: OwnerClient) -> bool:
    status = owner.status()
    return status["chroma"] == "ready" and status["phase"] == "idle" and not status["pending_chunks"]


def vectors() -> NDArray[np.float32]:
    rows = np.random.default_rng(3).normal(size=(COUNT, DIMENSION)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def filled(place: Path) -> None:
    chroma = Chroma(place, "model", DIMENSION, "first")
    chroma.add(ROWS, vectors())
    chroma.close()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("chroma") / "index"
    filled(place)
    return place


def test_what_was_closed_in_order_is_there_again(closed: Path, tmp_path: Path) -> None:
    place = tmp_path / "index"
    shutil.copytree(closed, place)
    chroma = Chroma(place, "model", DIMENSION, "first")
    assert (chroma.through, chroma.count) == (COUNT, COUNT)
    assert [chroma.nearest(vectors()[at], 1) for at in (0, 700, 1499)] == [[ROWS[at][1]] for at in (0, 700, 1499)]
    assert not (place / "clean.json").exists()  # killed now, it is made anew
    chroma.close()
    assert Chroma(place, "model", DIMENSION, "first").through == COUNT


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[random.Random(1).randrange(len(data))] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_each_file_that_is_damaged_has_all_made_anew(
    closed: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    names = [path.relative_to(closed) for path in closed.rglob("*") if path.is_file() and path.stat().st_size]
    assert len(names) >= 5
    for number, name in enumerate(names):
        place = tmp_path / f"index{number}"
        shutil.copytree(closed, place)
        damage(place / name)
        chroma = Chroma(place, "model", DIMENSION, "first")
        assert (chroma.through, chroma.count, chroma.nearest(vectors()[0], 3)) == (0, 0, []), name
        chroma.discard()


@pytest.mark.parametrize(
    "other", [("other", DIMENSION, "first"), ("model", 8, "first"), ("model", DIMENSION, "second")]
)
def test_of_another_model_or_generation_it_is_made_anew(
    closed: Path, tmp_path: Path, other: tuple[str, int, str]
) -> None:
    place = tmp_path / "index"
    shutil.copytree(closed, place)
    chroma = Chroma(place, *other)
    assert chroma.through == 0
    rows = np.eye(other[1], dtype=np.float32)
    chroma.add(ROWS[: other[1]], rows)
    assert chroma.nearest(rows[3], 1) == [ROWS[3][1]]
    assert len([path for path in place.iterdir() if path.is_dir()]) == 1
    chroma.discard()


@pytest.mark.whole
def test_kills_at_the_flush_cost_nothing_but_time(root: Path) -> None:
    figures = measure(1600, 3, 400)
    assert figures["recovery_kills_at_flush"] == 3
    assert figures["recovery_wrong_answers"] == figures["recovery_problems"] == 0
    assert figures["recovery_recall10"] >= 0.8
    assert figures["recovery_disk_ratio"] <= 2


@pytest.mark.whole
def test_an_owner_with_an_approximate_index_finds_what_is_newer_and_drops_what_is_gone(root: Path) -> None:
    for number in range(120):
        (root / f"f{number}.txt").write_text(f"number{number} of many in the row{number % 7}\n")
    owner = start(root, "hashing:64", "--chroma-from", "50")
    until(lambda: ready(owner))
    with Library(root, nearest=owner) as library:

        def first(text: str) -> str:
            return library.search(Query(text, "semantic", limit=1)).hits[0].path

        assert first("number17 of many") == "f17.txt"
        library.files.write("new.txt", b"the velvet umbrella\n")
        until(lambda: first("velvet umbrella") == "new.txt")
        library.files.delete("f17.txt")
        assert first("number17 of many") != "f17.txt"
        for path in (root / ".aios").glob("index.db*"):
            path.unlink()
        results = library.search(Query("number18 of many", "semantic", limit=1))
        assert results.pending or results.hits[0].path == "f18.txt"  # the vectors are gone, and that is said
        until(lambda: library.search("number18").pending.chunks == 0)
        until(lambda: ready(owner))
        assert (first("number19 of many"), first("velvet umbrella")) == ("f19.txt", "new.txt")
    owner.stop()
