"""Any text is a query; what people mean by quotes, signs and words in capitals is what FTS5 is asked for."""

from __future__ import annotations

import sqlite3
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_storage.index.derive import SCHEMA
from aios_storage.index.query import STOP_WORDS, parse_query
from aios_storage.index.words import indexed
from aios_syscalls.errors import BadRequest

TEXTS = {
    1: "red heron by the river",
    2: "blue heron",
    3: "the red lantern of the river",
    4: "heron river",
    5: "C++ and node.js",
}


@pytest.fixture(scope="module")
def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(SCHEMA)
    rows = [(id, indexed(text)) for id, text in TEXTS.items()]
    connection.executemany("INSERT INTO fts (rowid, name, body) VALUES (?, '', ?)", rows)
    return connection


def found(table: sqlite3.Connection, text: str) -> set[int]:
    expression = parse_query(text).expression()
    if not expression:
        return set()
    return {row for (row,) in table.execute("SELECT rowid FROM fts WHERE fts MATCH ?", (expression,))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("heron", {1, 2, 4}),
        ("herons", {1, 2, 4}),
        ("red river", {1, 3, 4}),
        ("red OR blue", {1, 2, 3}),
        ("red AND river", {1, 3}),
        ("+red +river", {1, 3}),
        ("heron -river", {2}),
        ("heron NOT river", {2}),
        ('"heron river"', {4}),
        ('+"red heron" lantern', {1}),
        ("lant*", {3}),
        ("the", {1, 3}),
        ("of the lantern", {3}),
        ("node.js", {5}),
        ("-heron", set()),
        ("", set()),
        ('""', set()),
        ("+ - * ( ) ^ : { }", set()),
    ],
)
def test_queries(table: sqlite3.Connection, text: str, expected: set[int]) -> None:
    assert found(table, text) == expected


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.text(max_size=80) | st.text(st.sampled_from("ab \"+-*()^:{}ANDORNT\0'.,"), max_size=40))
def test_any_text_is_a_query_or_has_no_word_where_one_is_asked_for(table: sqlite3.Connection, text: str) -> None:
    asks = any(sign in text for sign in ('"', "+", "-", "AND", "NOT"))
    with pytest.raises(BadRequest, match="has no word") if asks and not _parses(text) else nullcontext():
        assert found(table, text) <= TEXTS.keys()


def _parses(text: str) -> bool:
    try:
        parse_query(text)
    except BadRequest:
        return False
    return True


def test_stop_words_are_about_forty() -> None:
    assert 35 <= len(STOP_WORDS) <= 50
