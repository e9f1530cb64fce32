"""Questions that an agent may ask and SQLite cannot answer: they are refused, and nothing is thrown away for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aios_storage import Filters, Library, Query
from aios_storage.index import filters, query
from aios_storage.versions import difference
from aios_syscalls.errors import BadRequest, StorageFailed

MANY = [f"a{number}" for number in range(1200)]
TEXTS = {
    "must": " ".join(f"+{word}" for word in MANY),
    "never": "heron " + " ".join(f"-{word}" for word in MANY),
    "and": " AND ".join(MANY),
    "phrase": f'"{" ".join(MANY)}"',
    "one word of many": f"+{'-'.join(MANY)}",
    "a run without blanks": f"+{'漢字' * 2000}",
    "very many": " ".join(f"+a{number}" for number in range(60_000)),
    "many phrases": " ".join(f'+"{word} {word}"' for word in MANY),
}
FILTERS: dict[str, dict[str, Any]] = {
    "paths": {"paths": (*MANY,)},
    "a long path": {"paths": ("*a" * 30_000,)},
    "authors": {"authors": (*MANY,)},
    "runs": {"runs": (*MANY,)},
    "types": {"types": (*MANY,)},
    "tags": {"tags": (*MANY,) * 40},
    "fields": {"fields": tuple((word, "x") for word in MANY)},
    "values of a field": {"fields": (("a", "|".join(["bb"] * 250_000)),)},
    "not values of a field": {"fields": (("a", "!=" + "|".join(["bb"] * 250_000)),)},
    "values of many fields": {"fields": (("a", "|".join(["bb"] * 400)),) * 100},
    "within": {"within": (*MANY,)},
    "without": {"without": (*MANY,)},
    "but": {"without": ("a",), "but": tuple(f"a/{word}" for word in MANY)},
}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    (tmp_path / "heron.txt").write_text("Author: A\nYear: 2000\n\na heron waits at the river\n")
    with Library(tmp_path) as library:
        library.refresh()
        yield library


def unharmed(library: Library) -> bool:
    return library.index.rebuilt == 0 and [hit.path for hit in library.search("heron").hits] == ["heron.txt"]


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_of_more_terms_than_sqlite_takes_is_refused(library: Library, kind: str) -> None:
    for mode in ("keyword", "hybrid"):
        with pytest.raises(BadRequest) as refused:
            library.search(Query(TEXTS[kind], mode))
        assert refused.value.field == "text"
    assert unharmed(library)


@pytest.mark.parametrize("kind", FILTERS)
def test_more_conditions_than_sqlite_takes_are_refused(library: Library, kind: str) -> None:
    with pytest.raises(BadRequest) as refused:
        library.search(Query("heron", filters=Filters(**FILTERS[kind])))
    assert refused.value.field in FILTERS[kind]
    assert unharmed(library)


def test_as_many_terms_and_conditions_as_are_taken_are_answered(library: Library) -> None:
    words = MANY[: query.MAX_TERMS]
    places = ("heron.txt", *MANY[: filters.MAX_CONDITIONS - 1])
    most = Filters(
        paths=(*places[:-1], "*" * filters.LONGEST),
        types=("txt", *MANY[: filters.MAX_CONDITIONS - 1]),
        fields=(("author", "|".join(["a", *MANY[: filters.MAX_CONDITIONS - 1]])),) * filters.MAX_CONDITIONS,
        within=places,
        without=tuple(f"no/{word}" for word in MANY[: filters.MAX_CONDITIONS]),
        but=tuple(f"no/a1/{word}" for word in MANY[: filters.MAX_CONDITIONS]),
        min_size=0,
        max_size=2**70,
    )
    never, phrase = " ".join(f"-{word}" for word in words), " ".join(MANY[: query.LONGEST])
    assert [hit.path for hit in library.search(Query(f"heron {never}", filters=most)).hits] == ["heron.txt"]
    for text in (" ".join(f"+{word}" for word in words) + f" {never}", f'"{phrase}"', f'+"{phrase}"'):
        assert not library.search(Query(text, filters=most)).hits
    assert unharmed(library)


def test_any_number_of_words_without_a_sign_is_answered(library: Library) -> None:
    assert [hit.path for hit in library.search("heron " + " ".join(MANY * 20)).hits] == ["heron.txt"]
    assert unharmed(library)


def test_what_sqlite_cannot_answer_is_not_taken_for_damage(library: Library) -> None:
    """The control: such a question is an error of SQLite indeed, and of the same class as damage is."""
    wrong = f"SELECT 1 WHERE {' OR '.join(['1'] * 2000)}"
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.DatabaseError):
        connection.execute(wrong)
    with pytest.raises(StorageFailed):
        library.index._ask(wrong)
    assert unharmed(library)


def test_a_pattern_of_many_stars_is_answered_as_soon_as_another(library: Library, tmp_path: Path) -> None:
    """SQLite gives up a star when a later one has been met; steps of its machine are counted, not time."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return steps > 1000

    (tmp_path / ("a" * 200)).write_text("heron")
    library.refresh()
    library.index._read().set_progress_handler(step, 1000)
    assert not library.search(Query("heron", filters=Filters(paths=("*a" * 100 + "b",)))).hits


def test_a_diff_of_very_many_lines_that_moved_is_told_as_a_whole(library: Library) -> None:
    """How its work grows is counted in tests/storage/test_difference.py."""
    lines = [b"%d\n" % number for number in range(difference.LINES + 1)]
    library.files.write("big.txt", b"".join(lines))
    library.files.write("big.txt", b"".join(reversed(lines)))
    told = library.files.diff("big.txt", 1).splitlines()
    assert told[2] == f"@@ -1,{len(lines)} +1,{len(lines)} @@"
    assert len(told) == 3 + 2 * len(lines)
