"""Text comes out whole, however its bytes were cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aios.models.gguf.text import TextOut


def feed(data: bytes, cuts: list[int], stops: list[str]) -> tuple[TextOut, list[str]]:
    out, pieces, start = TextOut(stops), [], 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        pieces.append(out.add(data[start:end]))
        start = end
        if out.stopped:
            return out, pieces
    pieces.append(out.finish())
    return out, pieces


@given(st.text(max_size=40), st.lists(st.integers(0, 200), max_size=12))
def test_pieces_join_to_the_text_whatever_the_cuts(text: str, cuts: list[int]) -> None:
    out, pieces = feed(text.encode(), cuts, [])
    assert "".join(pieces) == out.text == text


@given(
    st.text("ab\u00e9", max_size=30),
    st.lists(st.integers(0, 200), max_size=12),
    st.text("ab\u00e9", min_size=1, max_size=4),
)
def test_the_text_ends_before_the_first_stop_string(text: str, cuts: list[int], stop: str) -> None:
    out, pieces = feed(text.encode(), cuts, [stop])
    assert "".join(pieces) == out.text == text.partition(stop)[0]
    assert out.stopped == (stop in text)


def test_a_character_is_held_back_until_it_is_whole() -> None:
    out = TextOut([])
    assert [out.add(bytes([byte])) for byte in "\u20ac".encode()] == ["", "", "\u20ac"]


def test_what_may_become_a_stop_string_is_held_back() -> None:
    out = TextOut(["###", "END"])
    assert out.add(b"one #") == "one "
    assert out.add(b"# two E") == "## two "
    assert out.add(b"ND three") == ""
    assert (out.text, out.stopped, out.finish()) == ("one ## two ", True, "")


def test_broken_utf8_becomes_the_replacement_character() -> None:
    out = TextOut([])
    assert out.add(b"a\xff") + out.add(b"\xe2\x82") + out.finish() == "a\ufffd\ufffd"
