"""Words, numbers and JSON as they are printed."""

from __future__ import annotations

import json

import pytest

from aios.cli.output import clean, headline, plain, print_json, seconds, size
from aios_syscalls import Message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0ms"),
        (0.0423, "42ms"),
        (0.0999, "0.1s"),
        (4.25, "4.2s"),
        (9.96, "10s"),
        (599.0, "599s"),
        (3600.0, "60m"),
        (90_000.0, "25h"),
    ],
)
def test_durations_are_short(value: float, text: str) -> None:
    assert seconds(value) == text


def test_sizes_have_a_unit() -> None:
    assert [size(count) for count in (12, 98_362_432, 4_700_000_000)] == ["12 B", "98 MB", "4.7 GB"]


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\rb", "a\x9bb", "a\u202eb", "a\ud800b", "a\x07b"])
def test_text_cannot_steer_the_terminal(text: str) -> None:
    assert clean(text)[1] == "\ufffd"
    assert clean(text)[-1] == "b"


def test_text_of_any_language_stays_as_it_is() -> None:
    text = "Grüße\n\t日本語 👩‍🔬 \u00a0"
    assert clean(text) == text


def test_a_headline_is_the_first_line_that_says_something() -> None:
    assert headline("\n  \n  first \nsecond") == "first"
    assert headline("") == ""


def test_models_of_the_abi_become_plain_json() -> None:
    assert plain({"sent": Message(role="user", content="hi")})["sent"]["content"] == "hi"


def test_json_is_readable_by_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "ü\ud800"})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {"text": "ü\ud800"}
    print_json({"a": [1, 2]}, line=True)
    assert capsys.readouterr().out.count("\n") == 1
