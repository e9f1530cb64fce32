"""The index follows the files: what was written is found at once, what is gone never, and nothing is embedded twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aios_storage.extract import MAX_EXTRACTED_BYTES
from aios_storage.index.filters import Filters
from aios_storage.index.index import Index
from aios_storage.index.query import parse_query
from aios_storage.versions.files import Files
from aios_storage.versions.version import Author
from aios_syscalls.errors import BadRequest, StorageFailed


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with Files(tmp_path) as files:
        yield files


@pytest.fixture
def index(files: Files) -> Iterator[Index]:
    index = Index(files)
    files.on_change = lambda: (index.catch_up(), None)[1]
    yield index
    index.close()


def found(index: Index, text: str, filters: Filters | None = None) -> list[str]:
    among = index.select(filters) if filters else None
    hits = index.keywords(parse_query(text), 50, among)
    entries = index.entries([id for id, _ in hits])
    return [entries[id].path for id, _ in hits if id in entries]


def chosen(index: Index, **conditions: object) -> list[str]:
    return [entry.path for entry in index.selected(index.select(Filters(**conditions)))]  # type: ignore[arg-type]


def embedded(index: Index) -> int:
    """Give every piece that has none a vector; how many there were."""
    index.use("test", 4)
    todo = index.todo(10_000)
    index.embedded("test", {each.hash: bytes(8) for each in todo})
    return len(todo)


def test_written_changed_moved_copied_deleted(files: Files, index: Index) -> None:
    files.write("a.txt", b"a heron")
    assert found(index, "heron") == ["a.txt"]
    files.write("a.txt", b"a lantern")
    assert (found(index, "heron"), found(index, "lantern")) == ([], ["a.txt"])
    files.move("a.txt", "b.txt")
    assert found(index, "lantern") == ["b.txt"]
    assert [entry.path for entry in index.selected(None)] == ["b.txt"]
    files.copy("b.txt", "c.txt")
    assert sorted(found(index, "lantern")) == ["b.txt", "c.txt"]
    files.delete("b.txt")
    assert found(index, "lantern") == ["c.txt"]
    files.rollback("c.txt", 1)
    files.delete("c.txt")
    assert index.selected(None) == []


def test_rename_copy_rollback_and_what_stays_embed_nothing(files: Files, index: Index) -> None:
    chance = random.Random(3)
    text = "\n".join(" ".join(chance.choices("abcdefghij", k=20)) for _ in range(400)).encode()
    files.write("a.txt", text)
    assert embedded(index) > 10
    files.move("a.txt", "b.txt")
    files.copy("b.txt", "c.txt")
    files.write("c.txt", b"other")
    assert embedded(index) == 1
    files.rollback("c.txt", 1)
    assert not index.pending()
    files.write("b.txt", text.replace(b"\n", b"\nnew line\n", 1))
    assert embedded(index) <= 2


def test_rows_that_are_behind_are_not_answered_with(files: Files) -> None:
    index = Index(files)
    files.write("a.txt", b"a heron")
    files.write("b.txt", b"a heron")
    index.catch_up()
    files.write("a.txt", b"a lantern")
    files.delete("b.txt")
    assert found(index, "heron") == []
    assert index.catch_up() == 2
    assert found(index, "lantern") == ["a.txt"]
    index.close()


def test_filters(files: Files, index: Index) -> None:
    (files.path / "notes" / "old").mkdir(parents=True)
    files.write("notes/a.md", b"---\nauthor: Ann, Bo\nyear: 2004\nstatus: Final\n---\nheron")
    files.by(Author("scribe", run="r1")).write("notes/old/b.txt", b"Author: Bo\nYear: 2010\nStatus: Draft\n\nheron")
    files.write("c.py", b"heron = 1\n" * 100)
    files.tag("first", ["c.py"])
    a, b, c = "notes/a.md", "notes/old/b.txt", "c.py"
    assert chosen(index, fields=(("author", "bo"),)) == [a, b]
    assert chosen(index, fields=(("author", "Ann"), ("author", "Bo"))) == [a]
    assert chosen(index, fields=(("author", "ann|nobody"),)) == [a]
    assert chosen(index, fields=(("year", ">=2005"),)) == [b]
    assert chosen(index, fields=(("year", "< 2010"), ("status", "!=draft"))) == [a]
    assert chosen(index, paths=("notes",)) == chosen(index, paths=("notes/**",)) == [a, b]
    assert (
        chosen(index, paths=("*.txt",))
        == chosen(index, paths=("notes/**/b.txt",))
        == chosen(index, paths=("b.txt",))
        == [b]
    )
    assert chosen(index, paths=("notes/**/a.md",)) == [a]
    assert chosen(index, paths=("B.TXT",)) == chosen(index, paths=("notes/**/.txt",)) == []
    assert chosen(index, authors=("scribe",)) == chosen(index, runs=("r1",)) == [b]
    assert chosen(index, types=("markdown", ".py")) == [c, a]
    assert chosen(index, min_size=500) == chosen(index, tags=("first",)) == [c]
    assert chosen(index, within=("notes/old", "c.py")) == [c, b]
    assert chosen(index, within=()) == []
    assert chosen(index, without=("notes",)) == [c]
    assert sorted(found(index, "heron", Filters(paths=("notes",)))) == [a, b]
    assert index.values("author") == [("Bo", 2), ("Ann", 1)]


@pytest.mark.parametrize(
    "name", ["new\nline.txt", "emoji 🙂.txt", "quote'\".txt", "per%cent_.txt", "a[1]*.txt", "x" * 200 + ".txt"]
)
def test_odd_names(files: Files, index: Index, name: str) -> None:
    files.write(name, b"a heron")
    assert found(index, "heron") == [name]
    assert chosen(index, paths=(name,)) == [name]


def test_bytes_of_all_sorts(files: Files, index: Index) -> None:
    files.write("empty.txt", b"")
    files.write("binary.dat", bytes(range(256)) * 10)
    files.write("mixed.txt", "heron é".encode() + b"\xff\xfe \xe9")
    files.write("half.json", b'{"a": "\\ud800 heron"}')
    files.write("huge lantern.txt", b"umbrella\n" * (MAX_EXTRACTED_BYTES // 9 + 1))
    assert len(index.selected(None)) == 5
    assert sorted(found(index, "heron")) == ["half.json", "mixed.txt"]
    assert found(index, "umbrella") == []
    assert found(index, "lantern") == ["huge lantern.txt"]
    assert found(index, "empty") == ["empty.txt"]


def test_two_models_are_not_mixed(files: Files, index: Index) -> None:
    files.write("a.txt", b"a heron")
    assert embedded(index) == 1
    with pytest.raises(BadRequest, match="aios files reembed"):
        index.use("other", 8)
    index.reembed("other", 8)
    assert index.pending().chunks == 1
    index.reembed("test", 4)
    assert not index.pending()


def test_two_indexes_of_one_root_follow_together(files: Files) -> None:
    indexes = [Index(files), Index(files)]

    def work(index: Index, number: int) -> None:
        for turn in range(20):
            files.write(f"{number}-{turn}.txt", f"heron {number} {turn}".encode())
            index.catch_up()

    threads = [threading.Thread(target=work, args=(index, at)) for at, index in enumerate(indexes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in indexes:
        assert len(found(index, "heron")) == 40
        assert index.rebuilt == 0
        index.close()


def test_rebuild_keeps_vectors_and_answers(files: Files, index: Index) -> None:
    for number in range(30):
        files.write(f"{number}.txt", f"heron {number}\n".encode())
    embedded(index)
    before = sorted(found(index, "heron"))
    index.rebuild()
    assert sorted(found(index, "heron")) == before
    assert not index.pending()


def test_a_closed_index_says_so(files: Files) -> None:
    index = Index(files)
    index.close()
    with pytest.raises(StorageFailed, match="closed"):
        index.selected(None)
