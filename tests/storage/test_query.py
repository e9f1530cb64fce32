"""Any text is a query; what people mean by quotes, signs and words in capitals is what FTS5 is asked for."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_storage.query import STOP_WORDS, parse

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
    connection.execute("CREATE VIRTUAL TABLE fts USING fts5 (name, body, tokenize = 'porter unicode61')")
    connection.executemany("INSERT INTO fts (rowid, name, body) VALUES (?, '', ?)", TEXTS.items())
    return connection


def found(table: sqlite3.Connection, text: str) -> set[int]:
    expression = parse(text).expression()
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
def test_no_text_raises(table: sqlite3.Connection, text: str) -> None:
    assert found(table, text) <= TEXTS.keys()


def test_stop_words_are_about_forty() -> None:
    assert 35 <= len(STOP_WORDS) <= 50
