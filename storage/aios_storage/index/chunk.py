"""A text in pieces that are embedded one by one, cut where the text itself says.

A cut is a line end that is stronger than all others near it, so an edit moves no cut but those beside it: the idea of
content-defined chunking (Muthitacharoen, Chen, Mazieres: A Low-bandwidth Network File System, SOSP 2001) with the
strength of a local maximum (Bjorner, Blass, Gurevich 2010).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from zlib import crc32

WINDOW = 450
"""Characters on either side within which no line end is stronger than a cut: pieces have about twice as many."""
MAX_CHUNK_CHARACTERS = 2000
"""Characters of a piece; where no line ends, it is cut after a space or anywhere."""
SENTENCE = re.compile(r"(?<=[.!?;:,}\]]) |(?<=[\u3002\uff01\uff1f])")
HEADING = re.compile(
    r"#{1,6} |={3,}|-{3,}|(?:async )?def |class |function |func |fn |pub |export |impl |@|\[\[?\w|<h[1-6]"
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text: characters, bytes (of the text in UTF-8) and lines, which count from 1, the last included."""

    ordinal: int
    text: str
    start: int
    end: int
    line: int
    last_line: int

    @property
    def hash(self) -> bytes:
        """By which equal pieces have one vector."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).digest()[:16]


def chunks(text: str) -> list[Chunk]:
    """The pieces of a text that say anything, in order; all of it is in them, but for white space at their ends."""
    found: list[Chunk] = []
    start = byte = 0
    line = 1
    for end in [*_cuts(text), len(text)]:
        for piece in _bounded(text[start:end]):
            size, newlines = len(piece.encode("utf-8", "surrogatepass")), piece.count("\n")
            if piece.strip():
                last = line + newlines - (1 if piece.endswith("\n") else 0)
                found.append(Chunk(len(found), piece, byte, byte + size, line, max(line, last)))
            byte += size
            line += newlines
        start = end
    return found


def _cuts(text: str) -> list[int]:
    """Where pieces begin, but for the first."""
    ends = [(match.end(), _strength(text, match)) for match in re.finditer(r"\n", text)]
    ends = sorted([*ends, *_sentences(text, [at for at, _ in ends])])
    cuts: list[int] = []
    first = after = 0
    for index, (at, strength) in enumerate(ends):
        while ends[first][0] < at - WINDOW:
            first += 1
        after = max(after, index)
        while after < len(ends) and ends[after][0] <= at + WINDOW:
            after += 1
        apart = at - (cuts[-1] if cuts else 0) >= WINDOW // 2
        if apart and all(other <= strength for _, other in ends[first:after]):
            cuts.append(at)
    return cuts


def _sentences(text: str, ends: list[int]) -> list[tuple[int, tuple[int, int]]]:
    """The ends of sentences in lines that are too long for a piece, weaker cuts than any line's end."""
    found = []
    for start, end in zip([0, *ends], [*ends, len(text)], strict=True):
        if end - start > MAX_CHUNK_CHARACTERS:
            for match in SENTENCE.finditer(text, start, end - 1):
                around = text[match.end() : match.end() + 32]
                found.append((match.end(), (-1, crc32(around.encode("utf-8", "surrogatepass")))))
    return found


def _strength(text: str, match: re.Match[str]) -> tuple[int, int]:
    """How good a cut a line end is: before a heading, after a blank line, any; ties go by what follows."""
    at = match.end()
    blank = text[max(0, at - 2) : at] == "\n\n"
    heading = HEADING.match(text, at) is not None
    return (2 * blank + heading, crc32(text[at : at + 32].encode("utf-8", "surrogatepass")))


def _bounded(piece: str) -> list[str]:
    """A piece, in several where it is too long."""
    pieces = []
    while len(piece) > MAX_CHUNK_CHARACTERS:
        cut = (
            max(
                piece.rfind("\n", MAX_CHUNK_CHARACTERS // 2, MAX_CHUNK_CHARACTERS),
                piece.rfind(" ", MAX_CHUNK_CHARACTERS // 2, MAX_CHUNK_CHARACTERS),
            )
            + 1
            or MAX_CHUNK_CHARACTERS
        )
        pieces.append(piece[:cut])
        piece = piece[cut:]
    return [*pieces, piece]
