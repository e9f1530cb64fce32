"""An index that is damaged, cut, deleted or of another version is made anew: its answers are those of a fresh one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aios_storage.index.derive import FORMAT
from aios_storage.index.filters import Filters
from aios_storage.index.index import Index
from aios_storage.index.query import parse_query
from aios_storage.versions.files import Files

WORDS = ["granite", "heron", "lantern", "orbit", "pepper", "quartz", "river", "saddle", "timber", "umbrella", "velvet"]
MODEL, DIMENSION = "test", 8


def filled(root: Path, count: int = 60) -> None:
    """Files with headers and words, indexed, each piece with a vector."""
    for number in range(5):
        (root / f"d{number}").mkdir(parents=True)
    chance = random.Random(4)
    with Files(root) as files:
        index = Index(files)
        index.use(MODEL, DIMENSION)
        for number in range(count):
            words = " ".join(chance.choices(WORDS, k=400))
            head = f"Author: A{number % 7}\nYear: {2000 + number % 9}\n\n"
            files.write(f"d{number % 5}/f{number}.txt", f"{head}{words}\n".encode())
        index.catch_up()
        embed(index)
        index.close()


def embed(index: Index) -> int:
    """Vectors that follow from the hashes; how many were missing."""
    todo = index.todo(100_000)
    index.embedded(MODEL, {each.hash: vector(each.hash) for each in todo})
    return len(todo)


def vector(hash: bytes) -> bytes:
    """A vector as a model would make it: the same for the same piece."""
    row = np.random.default_rng(int.from_bytes(hash[:4], "big")).normal(size=DIMENSION)
    return np.asarray(row / np.linalg.norm(row), np.float16).tobytes()


def answers(index: Index) -> object:
    """All that an index says, without what it numbers by itself."""
    everything = index.selected(None)
    names = {entry.id: entry.path for entry in everything}
    return (
        [
            (e.path, e.seq, e.size, e.kind, e.author, index.fields(e.document), index.titled(e.document))
            for e in everything
        ],
        [
            [(p.ordinal, p.start, p.end, p.line, p.last_line, p.hash) for p in index.pieces(e.document)]
            for e in everything
        ],
        [sorted((round(s, 9), names[id]) for id, s in index.keywords(parse_query(word), 100)) for word in WORDS],
        [e.path for e in index.selected(index.select(Filters(fields=(("author", "A3"), ("year", ">=2004")))))],
        index.values("author"),
        sorted((hash, data) for _, hash, data in index.vectors()),
        len(index.entries(names)),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose index is as it should be; to be copied."""
    root = tmp_path_factory.mktemp("whole") / "root"
    filled(root)
    return root


@pytest.fixture(scope="module")
def expected(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    """What a fresh index of the same files answers."""
    root = copied(whole, tmp_path_factory.mktemp("fresh") / "root")
    for each in (root / ".aios").glob("index.*"):
        each.unlink()
    with Files(root) as files:
        index = Index(files)
        index.catch_up()
        index.use(MODEL, DIMENSION)
        assert embed(index) > 0
        found = answers(index)
        index.close()
    return found


def copied(whole: Path, root: Path) -> Path:
    """A root of its own, sealed as the original is, for a copy has another inode."""
    shutil.copytree(whole, root, copy_function=shutil.copy2)
    database = root / ".aios" / "index.db"
    info = database.stat()
    database.with_name("index.db.seal").write_text(f"{info.st_ino} {info.st_size} {info.st_mtime_ns}", "ascii")
    return root


def scribble(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 20))):
        at = chance.randrange(len(data))
        piece = chance.randbytes(chance.choice((1, 16, 600)))
        data[at : at + len(piece)] = piece[: len(data) - at]
    with path.open("r+b") as file:
        file.write(data)


def cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def delete(path: Path, _: random.Random) -> None:
    path.unlink()


def empty(path: Path, _: random.Random) -> None:
    path.write_bytes(b"")


def nonsense(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(50_000))


def other_format(path: Path, _: random.Random) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()


DAMAGES: list[Callable[[Path, random.Random], None]] = [scribble, scribble, scribble, cut, cut, delete, empty, nonsense]


@pytest.mark.parametrize("seed", range(24))
def test_damage_between_two_openings_is_found_and_mended(
    whole: Path, expected: object, tmp_path: Path, seed: int
) -> None:
    root = copied(whole, tmp_path / "root")
    DAMAGES[seed % len(DAMAGES)](root / ".aios" / "index.db", random.Random(seed))
    with Files(root) as files:
        index = Index(files)
        index.catch_up()
        index.use(MODEL, DIMENSION)
        embed(index)
        assert answers(index) == expected
        index.close()


@pytest.mark.parametrize("seed", range(16))
def test_damage_below_an_open_index_is_found_and_mended(
    whole: Path, expected: object, tmp_path: Path, seed: int
) -> None:
    root = copied(whole, tmp_path / "root")
    with Files(root) as files, Files(root) as others:
        one, two = Index(files), Index(others)
        assert answers(one) == answers(two) == expected
        DAMAGES[seed % len(DAMAGES)](root / ".aios" / "index.db", random.Random(seed))
        for index in (one, two):
            index.catch_up()
            if index.model() is None:
                index.use(MODEL, DIMENSION)
            embed(index)
            assert answers(index) == expected
            assert index.rebuilt == 1
        one.close()
        two.close()


def test_another_format_is_made_anew_with_its_vectors(whole: Path, expected: object, tmp_path: Path) -> None:
    root = copied(whole, tmp_path / "root")
    other_format(root / ".aios" / "index.db", random.Random())
    with Files(root) as files:
        index = Index(files)
        index.catch_up()
        assert index.rebuilt == 1
        assert not index.pending()
        assert answers(index) == expected
        index.close()


@pytest.mark.whole
@pytest.mark.parametrize("suffix", ["-wal", "-shm", ".seal", ".lock"])
@pytest.mark.parametrize("damage", [scribble, cut, delete])
def test_what_lies_beside_the_database_may_be_damaged(
    whole: Path, expected: object, tmp_path: Path, suffix: str, damage: Callable[[Path, random.Random], None]
) -> None:
    root = copied(whole, tmp_path / "root")
    # Killed after writing, so that there is a write-ahead log.
    program = (
        "import os, signal, sys\n"
        "from aios_storage.index.index import Index; from aios_storage.versions.files import Files\n"
        "files = Files(sys.argv[1]); index = Index(files)\n"
        "files.write('late.txt', b'late'); index.catch_up(); files.delete('late.txt'); index.catch_up()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, root], check=False).returncode == -signal.SIGKILL
    path = root / ".aios" / f"index.db{suffix}"
    if damage is delete or path.stat().st_size:
        damage(path, random.Random(1))
    with Files(root) as files:
        index = Index(files)
        index.catch_up()
        index.use(MODEL, DIMENSION)
        embed(index)
        assert answers(index) == expected
        index.close()


def test_vectors_survive_what_the_rest_does_not(whole: Path, tmp_path: Path) -> None:
    root = copied(whole, tmp_path / "root")
    connection = sqlite3.connect(root / ".aios" / "index.db")
    (before,) = connection.execute("SELECT count(*) FROM vector").fetchone()
    connection.execute("UPDATE vector SET data = zeroblob(16) WHERE id = 5")
    connection.execute("UPDATE entry SET seq = 1")
    connection.commit()
    connection.close()
    with Files(root) as files:
        index = Index(files)
        index.catch_up()
        assert len(index.vectors()) == before - 1
        assert embed(index) == 1
        assert len(index.entries(range(1000))) == 60
        index.close()


@pytest.mark.whole
def test_an_index_that_nobody_closed_is_not_taken_for_damaged(tmp_path: Path) -> None:
    program = (
        "import sys; from aios_storage.versions.files import Files; from aios_storage.index.index import Index\n"
        "files = Files(sys.argv[1]); index = Index(files); print(index.rebuilt)\n"
        "files.write('a.txt', b'word ' * 100 + sys.argv[2].encode()); index.catch_up()"
    )
    for turn in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program, tmp_path, str(turn)], capture_output=True, text=True, check=True
        )
        assert done.stdout == "0\n"


@pytest.mark.whole
@pytest.mark.parametrize("turn", [1, 2])
def test_a_kill_before_the_seal_loses_nothing(tmp_path: Path, turn: int) -> None:
    program = (
        "import sys; from aios_storage.versions.files import Files; from aios_storage.index.index import Index\n"
        "files = Files(sys.argv[1]); files.write('a.txt', b'a heron'); index = Index(files); index.catch_up()\n"
        "index.use('m', 4); index.embedded('m', {each.hash: bytes(8) for each in index.todo(9)}); index.close()"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, tmp_path], env={**os.environ, "AIOS_FAILPOINT": f"sealing:{turn}"}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with Files(tmp_path) as files:
        index = Index(files)
        index.catch_up()
        assert index.rebuilt == 0
        assert [
            entry.path for entry in index.entries([id for id, _ in index.keywords(parse_query("heron"), 9)]).values()
        ]
        assert len(index.vectors()) == turn - 1  # the first kill came before there was one
        index.close()


def test_an_older_truth_that_was_put_back_is_followed_from_its_beginning(whole: Path, tmp_path: Path) -> None:
    root = copied(whole, tmp_path / "root")
    place = root / ".aios"
    old = [(each, each.read_bytes()) for each in place.glob("truth.db*")]
    with Files(root) as files:
        files.write("later.txt", b"an umbrella")
        index = Index(files)
        index.catch_up()
        index.close()
    (root / "later.txt").unlink()
    for each in place.glob("truth.db*"):
        each.unlink()
    for each, data in old:
        each.write_bytes(data)
    with Files(root) as files:
        files.write("only.txt", b"an umbrella")
        index = Index(files)
        index.catch_up()
        assert {entry.path for entry in index.selected(None)} == {head.path for head in files.heads()}
        assert "only.txt" in {entry.path for entry in index.selected(None)}
        index.close()
