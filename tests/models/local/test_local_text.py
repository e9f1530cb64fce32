"""Text out of bytes: what may be shown, and when."""

from __future__ import annotations

import pytest

from aios.models.local.engine.text import ShownText


def pieces(text: ShownText, data: list[bytes]) -> list[str]:
    return [text.add(each) for each in data]


def test_half_characters_wait_for_their_rest() -> None:
    text = ShownText()
    smile = "🙂".encode()
    assert pieces(text, [b"a" + smile[:1], smile[1:3], smile[3:] + b"b"]) == ["a", "", "🙂b"]
    assert text.value == "a🙂b"


def test_a_half_character_at_the_end_is_left_out_and_a_broken_one_replaced() -> None:
    text = ShownText()
    assert "".join([*pieces(text, [b"a\xff", "é".encode()[:1]]), text.flush()]) == "a\ufffd" == text.value


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_a_stop_string_spread_over_tokens_is_never_shown(size: int) -> None:
    text = ShownText(stop=("STOP",))
    data = b"one ST two STOP three"
    shown = "".join(pieces(text, [data[at : at + size] for at in range(0, len(data), size)])) + text.flush()
    assert shown == "one ST two " == text.value
    assert text.stopped


@pytest.mark.parametrize("size", [1, 2, 50])
def test_of_two_stop_strings_the_first_complete_one_counts(size: int) -> None:
    text = ShownText(stop=("abcd", "bc"))
    data = b"xabcd"
    pieces(text, [data[at : at + size] for at in range(0, len(data), size)])
    assert text.value == "xa"


def test_what_only_begins_like_a_stop_string_comes_at_the_end() -> None:
    text = ShownText(stop=("\n\n",))
    assert text.add(b"a\n") == "a"
    assert text.flush() == "\n"
    assert not text.stopped


def test_text_before_a_tool_call_is_shown_and_the_call_is_not() -> None:
    text = ShownText(tools=True)
    assert "".join(pieces(text, [b"Sure. ", b"<tool", b"_call>{}", b"</tool_call>"])) == "Sure. " == text.shown


@pytest.mark.parametrize("begin", [b'{"name"', b"  [", b" "])
def test_what_may_be_a_bare_call_waits(begin: bytes) -> None:
    assert ShownText(tools=True).add(begin) == ""
    assert ShownText().add(begin) == begin.decode()
