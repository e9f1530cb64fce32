"""Finds the value in an answer that should be JSON, and is JSON among other things where a model takes no form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from aios_syscalls.reasoning import TAGS

V = TypeVar("V")

MAX_STARTS = 1_000
"""Places in a text at which a value may begin."""

REASONING = re.compile(rf"\s*(?:{'|'.join(map(re.escape, TAGS))})")
REASONING_END = re.compile("|".join(map(re.escape, TAGS.values())))
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})([^`\n]*)")
LAST_COMMA = re.compile(r'("(?:[^"\\]|\\.)*(?:"|\\?\Z))|,(\s*[}\]])', re.DOTALL)
START = re.compile(r'([{\[])\s*(?:["{\[\]}\d-]|true|false|null)|"(?:[^"\\\n]|\\.)*(?:"|\n|\\?\Z)')
"""How an object or an array that is JSON begins, or a string: one without an end too, lest it be looked for again."""
AROUND = " \t\r\n\"'`*_.!:;,"
"""What stands around a word that is the whole answer."""

_DECODER = json.JSONDecoder()


def values(text: str, read: Callable[[str], V | None], *, whole: bool = False) -> list[V]:
    """The different values in `text`, as `read` makes them of JSON text, from the place where one is likeliest.

    That is all of the text, what stands after the reasoning, blocks between fences, and at last what stands in
    prose; reasoning without an end has no answer. `read` gives None for text that is no value. With `whole`, of a
    text that was cut off, only all of it counts.
    """
    answer = REASONING_END.split(text)[-1]
    if answer == text and REASONING.match(text):
        return []
    places = [[text], [answer]] if whole else [[text], [answer], _fenced(answer), _bare(answer)]
    for candidates in places:
        found: list[V] = []
        for candidate in candidates:
            value = _read(candidate.strip(), read)
            if value is not None and value not in found:
                found.append(value)
        if found:
            return found
    return []


def _read(text: str, read: Callable[[str], V | None]) -> V | None:
    """A value, also of JSON with commas after the last of several things: they can mean nothing else."""
    value = read(text)
    return read(LAST_COMMA.sub(r"\1\2", text)) if value is None and "," in text else value


def _fenced(text: str) -> list[str]:
    """What stands between lines of backticks or tildes; the last such block may lack its end."""
    blocks: list[list[str]] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = FENCE.match(line)
        if fence and mark and mark[1].startswith(fence) and not mark[2].strip():
            fence = ""
        elif fence:
            blocks[-1].append(line)
        elif mark:
            fence = mark[1]
            blocks.append([])
    return ["".join(block) for block in blocks]


def _bare(text: str) -> Iterator[str]:
    """Objects and arrays in prose, and strings outside of them.

    One that begins as JSON and then breaks ends the search: what lies within is no answer, but a part of one.
    """
    text = LAST_COMMA.sub(r"\1\2", text)
    at = 0
    for _ in range(MAX_STARTS):
        start = START.search(text, at)
        if start is None:
            return
        at = start.end()
        if start[1]:
            try:
                _, at = _DECODER.raw_decode(text, start.start())
            except (ValueError, RecursionError):
                return
        yield text[start.start() : at]


def option(text: str, options: Sequence[str]) -> str | None:
    """The option that JSON text, or the bare word, is: a string, or an object of just that; None where it is none.

    Small and capital letters count only where two options differ by them alone.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.strip(AROUND)
    while isinstance(value, dict | list) and len(value) == 1:
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]
    if not isinstance(value, str) or value in options:
        return value if isinstance(value, str) else None
    alike = [each for each in options if each.casefold() == value.casefold()]
    return alike[0] if len(alike) == 1 else None
