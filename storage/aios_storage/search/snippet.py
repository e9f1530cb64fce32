"""What to show of a hit: its best line, with what matched marked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from aios_storage.index.words import characters, fold, grams, is_apart

LONGEST = 200
"""Characters of a line that are shown."""
_WORD = re.compile(r"[^\W_]+")
_BETWEEN = r"[\W_]*"
_ENDINGS = re.compile(r"(?:ational|ations?|ing|edly|ies|ed|es|ly|s|e|y)$")
SHORT, FURTHER = 3, 5
"""A stem has at least so many characters; a word that matches goes on for so many at most."""
BESIDE = 0.5
"""What a word in the line before or after counts, for a sentence may go on there."""
SENTENCE, LETTERS = 4, 0.9
"""A line of so many words, so much of which is letters and blanks, is taken for a part of a sentence."""
# What a reader of the text does not see: tags and comments, images, the targets of links, directives. No part of it
# is looked for from each of many places to the same end, for a line may be a whole file.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|$)|</?[A-Za-z][^<>]*+(?:>|$)|!\[[^\[\]]*+\](?:\([^()]*+\)|\[[^\[\]]*+\])?|"
    r"(?<=\])\((?:[^()]++|\([^()]*+\))*+\)|"
    r"^\s*+\[[^\]]++\]:\s.*|^\s*+\.\. [\w-]++::.*|^\s*+:[\w-]++:\s.*"
)
_HEADING = re.compile(r"\s*(?:#{1,6}\s|=+\s)")


class Terms:
    """The words of a query, which other forms of them match too: about as the stemmer of the index has it."""

    def __init__(self, words: Sequence[str]) -> None:
        parts = {fold(part)[0] for word in words for part in grams(word)} - {""}
        self._stems = sorted({part if _anywhere(part) else _stem(part) for part in parts}, key=len, reverse=True)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where words match, as characters of the text; none overlaps another."""
        spans: list[tuple[int, int]] = []
        for start, end, _ in self._matches(text):
            if spans and start < spans[-1][1]:
                spans[-1] = spans[-1][0], max(end, spans[-1][1])
            else:
                spans.append((start, end))
        return spans

    def found(self, text: str) -> tuple[int, int]:
        """How many of the words are in the text, and how often any is."""
        stems = [stem for _, _, stem in self._matches(text)]
        return len(set(stems)), len(stems)

    def apart(self, text: str) -> Terms:
        """The characters of those runs without blanks that a text has with line ends, blanks or points in them."""
        low = fold(text)[0]
        runs = [run for stem in self._stems if len(run := characters(stem)) > 1]
        return Terms([each for run in runs if re.search(_BETWEEN.join(map(re.escape, run)), low) for each in run])

    def within(self, text: str) -> frozenset[str]:
        """Those of the words that are in the text, each as its stem."""
        return frozenset(stem for _, _, stem in self._matches(text))

    def _matches(self, text: str) -> list[tuple[int, int, str]]:
        """Start, end and stem of each match, in order; found by substring, ten times as fast as by a pattern."""
        low, origins = fold(text)
        found: dict[int, tuple[int, int, str]] = {}
        for stem in self._stems:
            anywhere = _anywhere(stem)
            at = low.find(stem)
            while at >= 0:
                if at not in found and (anywhere or not (at and _goes_on(low[at - 1]))):
                    end = rest = at + len(stem)
                    while not anywhere and end < len(low) and _goes_on(low[end]):
                        end += 1
                    while end < len(low) and origins[end] == origins[end - 1]:  # one character became several
                        end += 1
                    if end - rest <= FURTHER:
                        found[at] = (origins[at], origins[end], stem)
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

    Without a word of the query that is the first of a sentence, else the first with a word at all.
    """
    lines = text.split("\n")
    best = _best(lines[line - 1 : last_line], terms) + line - 1
    first = max(0, best - context)
    shown, marks, offset = [], [], 0
    for raw in lines[first : best + context + 1]:
        short = _cut(raw.rstrip("\r"), terms)
        marks += [(offset + start, offset + end) for start, end in terms.spans(short)]
        shown.append(short)
        offset += len(short) + 1
    return Snippet("\n".join(shown), first + 1, best + 1, tuple(marks))


def says(text: str) -> bool:
    """Whether there is a word in a text."""
    return _WORD.search(text) is not None


def _best(lines: Sequence[str], terms: Terms) -> int:
    """The line that says most of what is asked for: of its words those count most that few of the lines have.

    What a reader does not see of a line, such as an image's markup, counts only where nothing else does.
    """
    seen = [_MARKUP.sub(" ", _after_tag(line)) for line in lines]
    found = [terms.within(line) for line in seen]
    often = Counter(stem for each in found for stem in each)
    weight = {stem: log(1 + len(lines) / count) for stem, count in often.items()}

    def worth(at: int) -> tuple[float, ...]:
        own = sum(weight[stem] for stem in found[at])
        beside = {stem for near in (at - 1, at + 1) if 0 <= near < len(lines) for stem in found[near]} - found[at]
        more = BESIDE * sum(weight[stem] for stem in beside) if own else 0.0
        sentence = _is_sentence(seen[at])
        hidden = 0 if own else 2 * sentence + bool(terms.within(lines[at]))
        return round(own + more, 9), round(own, 9), hidden, sentence, says(seen[at]), says(lines[at]), -at

    return max(range(len(lines)), key=worth, default=0)


def _after_tag(line: str) -> str:
    """A line without the end of a tag that began on one before: what ends in an attribute and a bracket."""
    head, end, rest = line.partition(">")
    inside = head.removesuffix("/").rstrip()
    opening = inside.rfind(inside[-1:], 0, -1)
    ends = end and "<" not in head and opening > 1 and inside[-1] in "\"'"
    return f" {rest}" if ends and inside[opening - 1] == "=" and _WORD.match(inside[opening - 2]) else line


def _is_sentence(line: str) -> bool:
    """Whether a line looks like one of prose, not like a heading, a table or code."""
    words = _WORD.findall(line)
    letters = sum(char.isalpha() or char.isspace() for char in line)
    long = len(words) >= SENTENCE or any(map(is_apart, line[:SENTENCE]))
    return long and letters >= LETTERS * len(line) and not _HEADING.match(line)


def _cut(line: str, terms: Terms) -> str:
    """At most LONGEST characters of a line, those about the first match."""
    if len(line) <= LONGEST:
        return line
    spans = terms.spans(line)
    start = max(0, min(spans[0][0] - LONGEST // 4, len(line) - LONGEST)) if spans else 0
    return line[start : start + LONGEST]


def _goes_on(char: str) -> bool:
    """Whether a word goes on with a character."""
    return char.isalnum() and not is_apart(char)


def _anywhere(stem: str) -> bool:
    """Whether a part of a word may stand anywhere: of a script without blanks, or a picture."""
    return not _goes_on(stem[0])


def _stem(word: str) -> str:
    stem = _ENDINGS.sub("", word)
    return stem if len(stem) >= SHORT else word
