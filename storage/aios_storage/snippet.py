"""What to show of a hit: its best line, with what matched marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST = 200
"""Characters of a line that are shown."""
_WORD = re.compile(r"[^\W_]+")
_ENDINGS = re.compile(r"(?:ational|ations?|ing|edly|ies|ed|es|ly|s|e|y)$")
SHORT, FURTHER = 3, 5
"""A stem has at least so many characters; a word that matches goes on for so many at most."""


class Terms:
    """The words of a query, which other forms of them match too: about as the stemmer of the index has it."""

    def __init__(self, words: Sequence[str]) -> None:
        self._stems = sorted({_stem(word.lower()) for word in words}, key=len, reverse=True)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where words match, as characters of the text."""
        return [(start, end) for start, end, _ in self._matches(text)]

    def found(self, text: str) -> tuple[int, int]:
        """How many of the words are in the text, and how often any is."""
        stems = [stem for _, _, stem in self._matches(text)]
        return len(set(stems)), len(stems)

    def _matches(self, text: str) -> list[tuple[int, int, str]]:
        """Start, end and stem of each match, in order; found by substring, ten times as fast as by a pattern."""
        low = text.lower()
        if len(low) != len(text):  # a few letters have two small ones
            low = "".join(small if len(small := char.lower()) == 1 else char for char in text)
        found: dict[int, tuple[int, int, str]] = {}
        for stem in self._stems:
            at = low.find(stem)
            while at >= 0:
                if at not in found and not (at and low[at - 1].isalnum()):
                    end = rest = at + len(stem)
                    while end < len(low) and low[end].isalnum():
                        end += 1
                    if end - rest <= FURTHER:
                        found[at] = (at, end, stem)
                at = low.find(stem, at + 1)
        return [found[at] for at in sorted(found)]


@dataclass(frozen=True, slots=True)
class Snippet:
    """Lines of a text: the number of the first, of the best, and (start, end) of what matched in `text`."""

    text: str
    at: int
    best: int
    marks: tuple[tuple[int, int], ...]


def snippet(text: str, line: int, last_line: int, terms: Terms, context: int = 0) -> Snippet:
    """Of lines `line` to `last_line` of a text, counted from 1, the one that says most, and `context` on each side.

    Without a word of the query that is the first with a word at all.
    """
    lines = text.split("\n")
    within = range(line - 1, min(last_line, len(lines)))
    best = max(within, key=lambda at: (terms.found(lines[at]), bool(_WORD.search(lines[at])), -at), default=line - 1)
    first = max(0, best - context)
    shown, marks, offset = [], [], 0
    for raw in lines[first : best + context + 1]:
        short = _cut(raw.rstrip("\r"), terms)
        marks += [(offset + start, offset + end) for start, end in terms.spans(short)]
        shown.append(short)
        offset += len(short) + 1
    return Snippet("\n".join(shown), first + 1, best + 1, tuple(marks))


def _cut(line: str, terms: Terms) -> str:
    """At most LONGEST characters of a line, those about the first match."""
    if len(line) <= LONGEST:
        return line
    spans = terms.spans(line)
    start = max(0, min(spans[0][0] - LONGEST // 4, len(line) - LONGEST)) if spans else 0
    return line[start : start + LONGEST]


def _stem(word: str) -> str:
    stem = _ENDINGS.sub("", word)
    return stem if len(stem) >= SHORT else word
