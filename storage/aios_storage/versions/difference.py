"""What changed between two texts, as a unified diff, in time that grows with their size, whatever they are.

Python's difflib finds what people call the difference, in time that may grow with the cube of the lines. So it is asked
of what lies between the common beginning and end, as long as a count of its steps allows; beyond that, of what lies
between lines that both have once and in the same order ("patience diff", Bram Cohen); and what is too much even then is
replaced whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal

from aios_storage.versions.delta import common
from aios_syscalls.errors import BadRequest

STEPS = 3_000_000
"""Steps of difflib for one diff: less than a second."""
LINES = 100_000
"""Changed lines up to which those that stayed are looked for among them."""
MAX_DIFF_BYTES, MAX_DIFF_LINES = 16 * 1024 * 1024, 1_000_000
"""Bytes, and lines, between the common beginning and end that are shown."""
NO_END = b"\n\\ No newline at end of file\n"

Match = tuple[int, int, int]
"""Where equal lines begin, in either text, and how many they are."""
Lines = Sequence[bytes]
Code = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]


def unified(old: bytes, new: bytes, names: tuple[str, str], context: int = 3) -> str:
    """The difference, under two names, with so many lines around each change; empty for none.

    Raises BadRequest where what changed is too much to be shown.
    """
    if old == new:
        return ""
    start, old_end, new_end = _changed(old, new, context)
    before, after = old[start:old_end], new[start:new_end]
    for data in (before, after):
        if len(data) > MAX_DIFF_BYTES or data.count(b"\n") > MAX_DIFF_LINES:
            raise BadRequest(
                f"what changed has {len(data)} bytes; a diff shows {MAX_DIFF_BYTES}, or {MAX_DIFF_LINES} lines, at "
                "most: look at either version by itself",
                "path",
            )
    a, b = _lines(before), _lines(after)
    first = old.count(b"\n", 0, start)
    hunks = b"".join(_hunks(a, b, matches(a, b), context, first))
    return f"--- {names[0]}\n+++ {names[1]}\n{hunks.decode('utf-8', 'replace')}"


def matches(a: Lines, b: Lines) -> list[Match]:
    """Equal lines of two texts, in order, none of them twice."""
    budget = [STEPS]
    if (found := _exactly(a, b, budget)) is not None:
        return found
    if max(len(a), len(b)) > LINES:
        return []
    found, i, j = [], 0, 0
    for at, to in (*_anchors(a, b), (len(a), len(b))):
        between = _exactly(a[i:at], b[j:to], budget) or ()
        found += [(i + x, j + y, size) for x, y, size in between]
        if at < len(a):
            found.append((at, to, 1))
        i, j = at + 1, to + 1
    return found


def _exactly(a: Lines, b: Lines, budget: list[int]) -> list[Match] | None:
    """By difflib; None where that could take more steps than are left, of which what it could take is taken."""
    counts = Counter(b)
    # Each call of it looks at all pairs of equal lines, and finds one match or none; matches have calls between them.
    steps = (len(a) + sum(counts[line] for line in a)) * (2 * min(len(a), len(b)) + 1)
    if steps > budget[0]:
        return None
    budget[0] -= steps
    return [(i, j, size) for i, j, size in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks() if size]


def _anchors(a: Lines, b: Lines) -> list[tuple[int, int]]:
    """The most lines that both have once and in the same order: a longest increasing subsequence."""
    mine, theirs = Counter(a), Counter(b)
    places = {line: j for j, line in enumerate(b) if theirs[line] == 1 == mine[line]}
    pairs = [(i, places[line]) for i, line in enumerate(a) if line in places]
    ends: list[int] = []  # the smallest end of a run of each length, and whose it is
    owners: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(owners[length - 1] if length else -1)
        ends[length : length + 1] = [j]
        owners[length : length + 1] = [number]
    found = []
    at = owners[-1] if owners else -1
    while at >= 0:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]


def _changed(old: bytes, new: bytes, context: int) -> tuple[int, int, int]:
    """Where what is not common begins, and where it ends in either text, in whole lines and those around them."""
    start = old.rfind(b"\n", 0, common(old, new)) + 1
    tail = common(old[start:][::-1], new[start:][::-1])
    begin, end = start, len(old) - tail
    for _ in range(context):
        begin = old.rfind(b"\n", 0, max(begin - 1, 0)) + 1
    for _ in range(context + 1):
        end = old.find(b"\n", end) + 1 or len(old)
    return begin, end, len(new) - (len(old) - end)


def _lines(text: bytes) -> list[bytes]:
    """Lines with their ends; only the last may have none."""
    *whole, last = text.split(b"\n")
    return [line + b"\n" for line in whole] + ([last] if last else [])


def _hunks(a: Lines, b: Lines, found: Sequence[Match], context: int, first: int) -> Iterator[bytes]:
    """The changes, each with what is around it; `first` lines come before these."""
    for group in _Grouped(list(_codes(a, b, found))).get_grouped_opcodes(context):
        (_, i, _, j, _), (_, _, to_i, _, to_j) = group[0], group[-1]
        yield f"@@ -{_span(first + i, to_i - i)} +{_span(first + j, to_j - j)} @@\n".encode()
        for kind, i, to_i, j, to_j in group:
            if kind == "equal":
                yield from _signed(b" ", a[i:to_i])
            else:
                yield from _signed(b"-", a[i:to_i])
                yield from _signed(b"+", b[j:to_j])


class _Grouped(SequenceMatcher[bytes]):
    """Changes that are known, for difflib to put those together that are near each other."""

    def __init__(self, codes: list[Code]) -> None:
        super().__init__(None, (), ())
        self._known = codes

    def get_opcodes(self) -> list[Code]:
        return self._known


def _codes(a: Lines, b: Lines, found: Sequence[Match]) -> Iterator[Code]:
    """As difflib has them: stretches that are equal, and those between that are not."""
    i = j = 0
    for at, to, size in (*_joined(found), (len(a), len(b), 0)):
        if i < at or j < to:
            yield "replace", i, at, j, to
        if size:
            yield "equal", at, at + size, to, to + size
        i, j = at + size, to + size


def _joined(found: Sequence[Match]) -> list[Match]:
    joined: list[Match] = []
    for i, j, size in found:
        if joined and (i, j) == (joined[-1][0] + joined[-1][2], joined[-1][1] + joined[-1][2]):
            joined[-1] = (*joined[-1][:2], joined[-1][2] + size)
        else:
            joined.append((i, j, size))
    return joined


def _signed(sign: bytes, lines: Lines) -> Iterator[bytes]:
    for line in lines:
        yield sign + line if line.endswith(b"\n") else sign + line + NO_END


def _span(begin: int, length: int) -> str:
    """Lines count from 1; where there are none, it is the line before."""
    return str(begin + 1) if length == 1 else f"{begin + (length > 0)},{length}"
