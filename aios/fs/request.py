"""A request with its names and quotations taken out: rules see `delete ⟦0⟧`, whatever the file is called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Literal, NamedTuple

QUOTED = re.compile(r"(?<!\w)(?:\"([^\"]*)\"|“([^”]*)”|'([^']*)'(?!\w)|`([^`]*)`)")
WORD = re.compile(r"\S+")
EDGE = ".,;:!?)("
PATHLIKE = re.compile(r"[\w.@+~-]*/[\w./@+~*-]*|[\w@+~*-][\w.@+~*-]*\.[A-Za-z]\w{0,7}|\.\w[\w.-]+")
OUTSIDE = re.compile(r"/.*|~.*|[A-Za-z]:\\.*|(.*/)?\.\.(/.*)?")
LONGEST_NAME = 4
"""Words that the name of a file may have when it is not quoted."""


class Why(StrEnum):
    """Why a request was not turned into a plan."""

    ASK = "ask"
    """It does not say enough, or can be read in two ways."""
    UNREAD = "unread"
    """No rule knows it, and no model was to be asked."""
    NO_FILE = "no such file"
    OUTSIDE = "outside"
    NOT_FILES = "not about files"
    UNTRUSTED = "untrusted"
    """A model's reading that does not hold up."""


class RequestRefused(Exception):
    """No plan; the message says why and what to do next."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.message = message


@dataclass(frozen=True, slots=True)
class Known:
    """The paths that a request may name: what is there, and what once was and has a history."""

    kinds: Mapping[str, Literal["file", "directory"]] = field(default_factory=dict)
    past: frozenset[str] = frozenset()

    def near(self, path: str) -> list[str]:
        """Paths that may have been meant: the same name elsewhere, or a similar one."""
        name = path.rpartition("/")[2].casefold()
        same = [each for each in self.kinds if each.rpartition("/")[2].casefold() == name]
        return same[:3] or get_close_matches(path, self.kinds, 3)


class Mark(NamedTuple):
    """A name or a quotation of the request."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """What was said, masked; `marks[n]` is what ⟦n⟧ stands for."""

    masked: str
    marks: Sequence[Mark]

    def plain(self, masked: str) -> str:
        """A piece of the masked text as it was said."""

        def said(found: re.Match[str]) -> str:
            mark = self.marks[int(found[1])]
            return f'"{mark.text}"' if mark.quoted else mark.text

        return re.sub(r"⟦(\d+)⟧", said, masked).strip()


def tidy(path: str) -> str:
    """A path as the kernel wants it."""
    parts = [part for part in path.strip().split("/") if part not in ("", ".")]
    return "/".join(parts) if not path.startswith("/") else path


def candidates(text: str) -> Iterator[str]:
    """What in a request may be a path: quotations, words, and a few words in a row."""
    for quote in QUOTED.finditer(text):
        yield tidy(next(group for group in quote.groups() if group is not None))
    words = [word.group().strip(EDGE if not word.group().startswith(".") else EDGE[1:]) for word in WORD.finditer(text)]
    for length in range(1, LONGEST_NAME + 1):
        for first in range(len(words) - length + 1):
            yield tidy(" ".join(words[first : first + length]))


def mask(text: str, known: Known, *, bare: bool = True) -> ParsedRequest:
    """Put ⟦n⟧ for each quotation, each path that is known, and each word that looks like a path.

    Without `bare` a known path that might as well be an ordinary word, such as `drafts`, stays.
    """
    marks: list[Mark] = []
    pieces: list[str] = []
    at = 0
    text = text.replace("⟦", "[").replace("⟧", "]")
    for quote in QUOTED.finditer(text):
        pieces += [_names(text[at : quote.start()], known, marks, bare), _put(marks, _content(quote), True)]
        at = quote.end()
    pieces.append(_names(text[at:], known, marks, bare))
    return ParsedRequest(" ".join("".join(pieces).split()), marks)


def _content(quote: re.Match[str]) -> str:
    return next(group for group in quote.groups() if group is not None)


def _put(marks: list[Mark], text: str, quoted: bool) -> str:
    marks.append(Mark(text, quoted))
    return f"⟦{len(marks) - 1}⟧"


def _names(text: str, known: Known, marks: list[Mark], bare: bool) -> str:
    """Longest first: `budget 2026.csv` before `2026.csv`."""
    words = list(WORD.finditer(text))
    pieces: list[str] = []
    at = index = 0
    while index < len(words):
        for length in range(min(LONGEST_NAME, len(words) - index), 0, -1):
            first, last = words[index], words[index + length - 1]
            whole = text[first.start() : last.end()]
            core = re.sub(rf"(?:['\u2019]s)?[{re.escape(EDGE)}]*$", "", whole) or whole
            path = tidy(core)
            if _is_name(core, path, length, known, bare):
                tail = whole[len(core) :]
                pieces += [text[at : first.start()], _put(marks, core, False), tail]
                at, index = last.end(), index + length
                break
        else:
            index += 1
    return "".join([*pieces, text[at:]])


def _is_name(core: str, path: str, length: int, known: Known, bare: bool) -> bool:
    there = path in known.kinds or path in known.past
    if length > 1:
        return there and ("." in path or "/" in path or bare)
    if PATHLIKE.fullmatch(core) or OUTSIDE.fullmatch(core):
        return re.search(r"[^\W\d]|\*", core) is not None or there or core in ("..", "/")
    return there and bare and bool(path)
