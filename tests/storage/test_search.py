"""Search on real files: modes, filters, marks, notes, and nothing of what is not so any more."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from aios.artifacts import EMBEDDER
from aios_storage.embedders import Floats
from aios_storage.embedders.granite import Granite
from aios_storage.index.filters import Filters, Selection
from aios_storage.library import Library
from aios_storage.search.fusion import MAX_KEYWORD_SHARE, MIN_KEYWORD_SHARE, fuse, share_of_keywords
from aios_storage.search.search import Mode, Query, Results
from aios_storage.search.snippet import Terms, snippet
from aios_storage.search.vectors import Scored
from aios_syscalls.errors import BadRequest, ModelFailed, NotFound

FILES = {
    "dogs.md": "# Dogs\n\nThe puppy barked loudly at the postman.\nHe ran away.\n",
    "money/rates.txt": "The central bank raised interest rates.\n\nInflation is high.\n",
    "money/taxes.txt": "Income taxes are due in April.\n",
    "lines.py": "def read_lines(path):\n    return open(path).read().splitlines()\n",
}


@pytest.fixture(scope="module")
def granite() -> Granite:
    if not EMBEDDER.path.is_file():
        pytest.fail(f"no embedding model at {EMBEDDER.path}; run: python -m aios.artifacts")
    return Granite(EMBEDDER.path)


@pytest.fixture
def library(tmp_path: Path, granite: Granite) -> Iterator[Library]:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    with Library(tmp_path, granite) as opened:
        opened.refresh()
        opened.embed()
        yield opened


def paths(results: Results) -> list[str]:
    return [hit.path for hit in results.hits]


@pytest.mark.parametrize(
    ("text", "mode", "first", "why"),
    [
        ("monetary policy", "hybrid", "money/rates.txt", "vec"),
        ("monetary policy", "semantic", "money/rates.txt", "vec"),
        ("barking", "hybrid", "dogs.md", "both"),
        ("barking", "keyword", "dogs.md", "kw"),
        ("lines of a file", "hybrid", "lines.py", "both"),
        ("a young animal made noise", "semantic", "dogs.md", "vec"),
    ],
)
def test_a_file_is_found_by_its_words_by_its_meaning_or_by_both(
    library: Library, text: str, mode: Mode, first: str, why: str
) -> None:
    hit = library.search(Query(text, mode)).hits[0]
    assert (hit.path, hit.why) == (first, why)


def test_what_no_file_says_is_not_found(library: Library) -> None:
    assert paths(library.search(Query("monetary policy", "keyword"))) == []
    assert paths(library.search("zyzzyva quokka xylophone")) == []


def test_signs_rule_out_files_whichever_way_they_would_be_found(library: Library) -> None:
    for mode in ("hybrid", "semantic", "keyword"):
        assert "dogs.md" not in paths(library.search(Query("barking -postman", mode)))
        assert paths(library.search(Query("+inflation interest rates", mode))) == ["money/rates.txt"]
        assert paths(library.search(Query('"interest rates"', mode)))[:1] == ["money/rates.txt"]
    assert paths(library.search(Query('"rates interest"', "keyword"))) == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(paths=("money",)), {"money/rates.txt", "money/taxes.txt"}),
        (Filters(paths=("*.md",)), {"dogs.md"}),
        (Filters(types=("py",)), {"lines.py"}),
        (Filters(within=("money",), without=("money/taxes.txt",)), {"money/rates.txt"}),
        (Filters(within=()), set()),
        (Filters(authors=("external",), max_size=40), {"money/taxes.txt"}),
        (Filters(until=1.0), set()),
    ],
)
def test_filters_hold_in_every_mode(library: Library, filters: Filters, found: set[str]) -> None:
    text = "barked rates taxes lines"
    for mode in ("hybrid", "semantic", "keyword"):
        assert set(paths(library.search(Query(text, mode, filters)))) <= found
    assert set(paths(library.search(Query(text, "keyword", filters)))) == found


def test_a_hit_says_where_it_is_and_marks_what_matched(library: Library) -> None:
    hit = library.search(Query("barking postmen", "keyword", context=1)).hits[0]
    assert hit.snippet == "\nThe puppy barked loudly at the postman.\nHe ran away."
    assert (hit.at, hit.best, hit.line, hit.last_line) == (2, 3, 1, 4)
    assert [hit.snippet[start:end] for start, end in hit.marks] == ["barked"]
    assert library.passage(hit) == FILES["dogs.md"]
    assert (hit.version, hit.size, hit.author) == (1, len(FILES["dogs.md"]), "external")


def test_bytes_and_lines_of_a_hit_are_those_of_the_file(tmp_path: Path) -> None:
    text = "".join(f"Zeile {number}: Größe und Äpfel, ein Absatz von einiger Länge.\n\n" for number in range(200))
    with Library(tmp_path) as library:
        library.files.write("lang.txt", (text + "Das Nashorn schläft.\n" + text).encode())
        hit = library.search("nashorn").hits[0]
        data = (tmp_path / "lang.txt").read_bytes()
        assert "Nashorn" in data[hit.start : hit.end].decode()
        assert data.decode().split("\n")[hit.best - 1] == "Das Nashorn schläft."
        assert hit.line == data[: hit.start].count(b"\n") + 1
        assert hit.line <= hit.best <= hit.last_line


def test_a_write_is_found_by_its_words_at_once_and_ranked_by_them_until_it_is_embedded(library: Library) -> None:
    library.files.write("zebras.txt", b"A new idea about zebras.\n")
    results = library.search("zebras and their puppies")
    assert paths(results)[0] == "zebras.txt"
    assert (results.pending.files, results.pending.chunks) == (1, 1)
    library.embed()
    assert not library.pending()
    assert paths(library.search(Query("striped horses of Africa", "semantic")))[:1] == ["zebras.txt"]


def test_what_was_changed_deleted_or_moved_is_not_found_as_it_was(library: Library) -> None:
    library.files.write("dogs.md", b"Cats only.\n")
    library.files.delete("lines.py")
    library.files.move("money/taxes.txt", "duties.txt")
    for mode in ("hybrid", "semantic", "keyword"):
        assert "lines.py" not in paths(library.search(Query("read the lines of a file", mode)))
        assert not [hit for hit in library.search(Query("puppy barked", mode)).hits if "puppy" in hit.snippet]
        assert "duties.txt" in paths(library.search(Query("income taxes", mode)))
    assert "money/taxes.txt" not in paths(library.search("income taxes"))


def test_what_another_program_changed_or_deleted_is_not_found_as_it_was(library: Library) -> None:
    (library.root / "dogs.md").write_text("Nothing about animals here.\n")
    os.unlink(library.root / "lines.py")
    assert "dogs.md" not in paths(library.search(Query("barked", "keyword")))
    assert paths(library.search(Query("animals", "keyword"))) == ["dogs.md"]
    assert paths(library.search(Query("splitlines", "keyword"))) == []
    assert library.files.history("dogs.md")[0].author.name == "external"


def test_a_rollback_and_a_copy_embed_nothing(library: Library) -> None:
    library.files.write("dogs.md", b"Cats only.\n")
    library.embed()
    library.files.rollback("dogs.md", 1)
    library.files.copy("dogs.md", "hounds.md")
    assert not library.pending()
    assert set(paths(library.search(Query("a young animal made noise", "semantic")))) >= {"dogs.md", "hounds.md"}


def test_files_like_a_file_are_others(library: Library) -> None:
    library.files.write("wages.txt", b"The bank lowered its interest rate as inflation fell.\n")
    library.embed()
    assert paths(library.like("wages.txt"))[0] == "money/rates.txt"
    assert "wages.txt" not in paths(library.like("wages.txt"))
    assert paths(library.like("wages.txt", Filters(paths=("*.md",)))) in ([], ["dogs.md"])
    with pytest.raises(NotFound, match="not in the index"):
        library.like("none.txt")


def test_without_an_embedder_there_are_keywords_and_a_note(tmp_path: Path) -> None:
    with Library(tmp_path) as library:
        library.files.write("a.txt", b"quick brown fox\n")
        results = library.search("foxes")
        assert paths(results) == ["a.txt"]
        assert results.notes[0].startswith("found by keywords alone")
        assert library.search(Query("fox", "keyword")).notes == ()
        with pytest.raises(ModelFailed, match=r"aios\.artifacts"):
            library.search(Query("fox", "semantic"))
        with pytest.raises(BadRequest, match="without an embedder"):
            library.embed()


class Broken:
    """Finds nothing, for its server is down."""

    model = "granite-embedding-30m-english/int8"

    def nearest(self, text: str, limit: int, among: Selection | None) -> list[Scored]:
        raise ModelFailed("the server is down; start it")


def test_where_meaning_fails_the_search_goes_on_with_keywords(library: Library) -> None:
    library.finder.nearest = Broken()
    results = library.search("barked")
    assert paths(results) == ["dogs.md"]
    assert results.notes == ("found by keywords alone: the server is down; start it",)


class Other:
    """Another embedder, of two numbers."""

    id, dimension, context = "other", 2, 10

    def embed(self, texts: Sequence[str]) -> Floats:
        return np.array([[1.0, 0.0]] * len(texts), np.float32)

    def embed_query(self, text: str) -> Floats:
        return np.array([1.0, 0.0], np.float32)


def test_vectors_of_two_embedders_are_never_compared(library: Library) -> None:
    with Library(library.root, Other()) as second:
        results = second.search("barked")
        assert paths(results) == ["dogs.md"]
        assert "aios files reembed" in results.notes[0]
        second.files.write("new.txt", b"something new\n")
        with pytest.raises(BadRequest, match="cannot be mixed"):
            second.embed()
        second.index.reembed("other", 2)
        assert second.embed() == len(FILES) + 1
        assert len(second.search(Query("anything", "semantic")).hits) == len(FILES) + 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (Query("  "), "text"),
        (Query("x", "fuzzy"), "mode"),  # type: ignore[arg-type]
        (Query("x", limit=0), "limit"),
        (Query("x", limit=100_000), "limit"),
        (Query("x", context=-1), "context"),
    ],
)
def test_a_malformed_query_is_a_bad_request(library: Library, query: Query, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        library.search(query)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "text", ['"', "-", "+", "AND", "*", "'; DROP TABLE fts; --", "\0", "\ud800", "(((", "a" * 5000]
)
def test_any_text_is_a_query(library: Library, text: str) -> None:
    for mode in ("hybrid", "semantic", "keyword"):
        library.search(Query(text, mode))


def test_a_narrow_selection_is_ranked_as_if_it_were_all_there_is(tmp_path: Path) -> None:
    """Of a thousand near files two are selected; both ways of finding them agree with a plain comparison."""
    draw = np.random.default_rng(3)

    class Drawn(Other):
        id, dimension = "drawn", 8

        def embed(self, texts: Sequence[str]) -> Floats:
            rows = draw.normal(size=(len(texts), 8)).astype(np.float32)
            return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

        def embed_query(self, text: str) -> Floats:
            row: Floats = np.eye(8, dtype=np.float32)[0]
            return row

    with Library(tmp_path, Drawn()) as library:
        for number in range(1000):
            (tmp_path / f"{number}.txt").write_text(f"text {number}\n")
        library.refresh()
        library.embed()
        near = library.finder.nearest
        assert near is not None
        everything = near.nearest("", 1000, None)
        assert len(everything) == 1000
        for names in (("7.txt", "99.txt"), ("*[02468].txt",)):
            among = library.index.select(Filters(paths=names))
            inside = set(library.index.hashes(among))
            expected = [pair for pair in everything if pair[0] in inside]
            assert [hash for hash, _ in near.nearest("", 50, among)] == [hash for hash, _ in expected[:50]]


def test_keywords_count_the_more_the_more_decided_their_ranking_is() -> None:
    flat, steep = [1.0] * 20, [10.0, 9.0, *[1.0] * 18]
    assert share_of_keywords(flat, 10_000) == pytest.approx(MIN_KEYWORD_SHARE)
    assert (
        MIN_KEYWORD_SHARE
        < share_of_keywords([10.0, *[6.0] * 10], 10_000)
        < share_of_keywords(steep, 10_000)
        == MAX_KEYWORD_SHARE
    )
    assert share_of_keywords([3.0], 10_000) == MAX_KEYWORD_SHARE
    assert share_of_keywords([], 10_000) == MIN_KEYWORD_SHARE


def test_among_few_files_those_close_behind_the_first_decide() -> None:
    slope = [float(score) for score in range(10, 0, -1)]
    assert share_of_keywords(slope, 100) < share_of_keywords(slope, 3_000)


def test_fusion_keeps_a_ranking_that_is_alone_and_both_decide_where_both_are() -> None:
    assert fuse({1: 0.9, 2: 0.5}, {}, 9) == {1: 1.0, 2: 0.0}
    assert fuse({}, {1: 2.0}, 9) == {1: 1.0}
    both = fuse({1: 0.9, 2: 0.8, 3: 0.1}, {2: 9.0, 3: 1.0}, 9)
    assert max(both, key=lambda id: both[id]) == 2
    assert fuse({1: 0.9, 2: 0.1}, {3: 5.0, 2: 1.0}, 9, unknown=[3])[3] == 1.0


def test_a_long_line_is_cut_about_what_matched_and_marks_follow() -> None:
    text = "x " * 300 + "needle " + "y " * 300
    shown = snippet(text, 1, 1, Terms(["needles"]))
    assert len(shown.text) == 200
    assert [shown.text[start:end] for start, end in shown.marks] == ["needle"]


def test_without_a_match_the_first_line_that_says_something_is_shown() -> None:
    shown = snippet("\n---\nhello there\nmore\n", 1, 5, Terms([]))
    assert (shown.text, shown.best, shown.marks) == ("hello there", 3, ())
