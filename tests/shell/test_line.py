"""What a line means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.cli.shell.line import Ask, CommandLine, Line, Nothing, RunLine, SearchLine, parse
from aios.cli.shell.verbs import VERBS
from aios_syscalls import BadRequest


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("", Nothing()),
        ("   ", Nothing()),
        ("# a remark", Nothing()),
        ("how are versions kept", SearchLine("how are versions kept")),
        ('  "exact phrase" -not +must ', SearchLine('"exact phrase" -not +must')),
        ("opening hours", SearchLine("opening hours")),
        ("search open source licence", SearchLine("open source licence")),
        ("? who wrote it", Ask("who wrote it")),
        ("?who", Ask("who")),
        ("!ls -l | wc", RunLine("ls -l | wc")),
        ("?", CommandLine("help", (), "?")),
        ("quit", CommandLine("quit", (), "quit")),
        ("open 2", CommandLine("open", ("2",), "open 2")),
        (
            'cat "a file.md" last tuesday',
            CommandLine("cat", ("a file.md", "last", "tuesday"), 'cat "a file.md" last tuesday'),
        ),
        (r"hist a\ b", CommandLine("hist", ("a b",), r"hist a\ b")),
        ("in docs how it works", CommandLine("in", ("docs", "how", "it", "works"), "in docs how it works")),
        ("undo --run abc", CommandLine("undo", ("--run", "abc"), "undo --run abc")),
        ("more", CommandLine("more", (), "more")),
    ],
)
def test_lines(line: str, meaning: Line) -> None:
    assert parse(line) == meaning


@pytest.mark.parametrize("line", ["more about cats", "index of refraction", "open source licence", "like a stone"])
def test_a_sentence_that_begins_with_a_verb_but_fits_no_command_is_a_search(line: str) -> None:
    assert parse(line) == SearchLine(line)


@pytest.mark.parametrize("line", ["restore 2", "hist", "diff", "undo 1 2 3", "quit now please", "cat"])
def test_a_command_that_could_do_harm_or_needs_more_words_says_its_usage(line: str) -> None:
    with pytest.raises(BadRequest, match=r"usage: .*search "):
        parse(line)


def test_an_apostrophe_in_a_sentence_is_no_open_quote() -> None:
    assert parse("since it's late") == CommandLine("since", ("it's", "late"), "since it's late")
    with pytest.raises(BadRequest, match="quote"):
        parse("restore it's 2")


@given(st.text())
def test_every_line_means_something_or_is_told_off(line: str) -> None:
    try:
        meaning = parse(line)
    except BadRequest:
        assert line.split()[0] in VERBS
        return
    if isinstance(meaning, CommandLine):
        assert VERBS[meaning.verb].least <= len(meaning.words) <= VERBS[meaning.verb].most
