"""Pieces: all of a text, bounded, and moved by an edit only where it is."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from aios_storage.index.chunk import MAX_CHUNK_CHARACTERS, chunks

WORDS = ["the", "of", "a", "kernel", "index", "file", "version", "agent", "search", "with", "every", "change", "was"]


def prose(chance: random.Random, size: int) -> list[str]:
    """Lines as people write them: paragraphs, headings, code."""
    lines: list[str] = []
    while sum(map(len, lines)) + len(lines) < size:
        kind = chance.random()
        if kind < 0.05:
            lines += [f"## {chance.choice(WORDS)} {chance.randrange(999)}", ""]
        elif kind < 0.15:
            lines += [f"def f{chance.randrange(9999)}():", f"    return {chance.randrange(10**9)}", ""]
        else:
            lines += [" ".join(chance.choices(WORDS, k=chance.randint(4, 14))) for _ in range(chance.randint(1, 7))]
            lines.append("")
    return lines


def test_a_line_edited_in_100_kB_changes_two_pieces_at_most() -> None:
    chance = random.Random(7)
    changed = []
    for _ in range(6):
        lines = prose(chance, 100_000)
        before = {piece.hash for piece in chunks("\n".join(lines))}
        for _ in range(25):
            at = chance.randrange(len(lines))
            line = " ".join(chance.choices(WORDS, k=9))
            edit = chance.choice(([line], [line, lines[at]], []))
            after = chunks("\n".join([*lines[:at], *edit, *lines[at + 1 :]]))
            changed.append(sum(piece.hash not in before for piece in after))
    share = sum(count <= 2 for count in changed) / len(changed)
    assert share >= 0.97, f"{share:.3f} of edits changed two pieces or fewer"
    assert max(changed) <= 4


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(st.sampled_from("ab \n#é🙂\r\t"), max_size=6000))
def test_pieces_are_the_text(text: str) -> None:
    data, lines = text.encode(), text.split("\n")
    end = 0
    for number, piece in enumerate(chunks(text)):
        assert piece.ordinal == number
        assert data[piece.start : piece.end] == piece.text.encode()
        assert not data[end : piece.start].strip()
        assert len(piece.text) <= MAX_CHUNK_CHARACTERS
        covered = "\n".join(lines[piece.line - 1 : piece.last_line])
        assert piece.text.strip("\n") in covered
        assert data[: piece.start].count(b"\n") == piece.line - 1
        end = piece.end
    assert not data[end:].strip()


def test_lines_without_end_are_cut() -> None:
    assert [len(piece.text) for piece in chunks("x" * 4500)] == [MAX_CHUNK_CHARACTERS, MAX_CHUNK_CHARACTERS, 500]
    assert all(piece.text.endswith("word ") for piece in chunks("word " * 1000))


def test_nothing_has_no_pieces() -> None:
    assert chunks("") == chunks(" \n\n\t") == []
