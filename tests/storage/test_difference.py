"""A diff says exactly what changed, and takes time that grows with the texts, whatever they are."""

from __future__ import annotations

import difflib
import random
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from aios_storage.versions import difference
from aios_storage.versions.difference import NO_END, unified
from aios_syscalls.errors import BadRequest

NAMES = ("a", "b")


def applied(old: bytes, diff: str) -> bytes:
    """What patch(1) makes of a text."""
    lines = old.split(b"\n")
    source = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    out: list[bytes] = []
    at = 0
    parts = diff.encode().replace(NO_END, b"\0\n").split(b"\n")[2:-1]
    for part in parts:
        line = part[1:-1] if part.endswith(b"\0") else part[1:] + b"\n"
        if part.startswith(b"@@"):
            begin, _, count = part.split()[1][1:].partition(b",")
            to = int(begin) - (count != b"0")
            assert to >= at
            out += source[at:to]
            at = to
        elif part.startswith(b"+"):
            out.append(line)
        else:
            assert source[at] == line
            at += 1
            out += [line] * part.startswith(b" ")
    return b"".join(out + source[at:])


def text(chance: random.Random) -> bytes:
    kinds = chance.choice((1, 2, 5, 40, 1000))
    body = b"".join(b"%d\n" % chance.randrange(kinds) for _ in range(chance.choice((0, 1, 3, 10, 60))))
    return body + chance.choice((b"", b"end", b"\r", b"\x0c", "\u2028ä".encode()))


def edited(old: bytes, chance: random.Random) -> bytes:
    lines = old.split(b"\n")
    for _ in range(chance.randrange(5)):
        at = chance.randrange(len(lines) + 1)
        lines[at : at + chance.randrange(3)] = [b"%d" % chance.randrange(9)] * chance.randrange(3)
    return b"\n".join(lines)


@pytest.mark.parametrize(("steps", "lines"), [(3_000_000, 100_000), (60, 100_000), (0, 100_000), (0, 0)])
def test_a_diff_applied_to_one_text_is_the_other(monkeypatch: pytest.MonkeyPatch, steps: int, lines: int) -> None:
    monkeypatch.setattr(difference, "STEPS", steps)
    monkeypatch.setattr(difference, "LINES", lines)
    chance = random.Random(1)
    for _ in range(1500):
        old = text(chance)
        new = chance.choice((edited(old, chance), text(chance)))
        diff = unified(old, new, NAMES, chance.choice((0, 1, 3)))
        assert (diff == "") == (old == new)
        assert applied(old, diff) == new if diff else old == new


def test_a_small_diff_is_that_of_difflib() -> None:
    old = [f"line {number}\n" for number in range(300)]
    new = [*old[:50], "one\n", *old[50:100], *old[102:200], "two\n", *old[201:]]
    theirs = "".join(difflib.unified_diff(old, new, "a", "b"))
    assert unified("".join(old).encode(), "".join(new).encode(), NAMES) == theirs


def test_a_diff_of_many_lines_still_finds_those_that_stayed() -> None:
    old = [b"%d\n" % number for number in range(50_000)]
    new = [b"first\n", *old[:20_000], *old[20_001:40_000], b"late\n", *old[40_000:], b"last\n"]
    diff = unified(b"".join(old), b"".join(new), NAMES, 0).splitlines()
    assert [line for line in diff[2:] if line[0] in "+-"] == ["+first", "-20000", "+late", "+last"]


def shuffled(count: int) -> tuple[bytes, bytes]:
    lines = [b"%d\n" % number for number in range(count)]
    others = lines[:]
    random.Random(2).shuffle(others)
    return b"".join(lines), b"".join(others)


def few_kinds(count: int) -> tuple[bytes, bytes]:
    chance = random.Random(3)
    one, two = ([b"%d\n" % chance.randrange(3) for _ in range(count)] for _ in range(2))
    return b"".join(one), b"".join(two)


def pairs(count: int) -> tuple[bytes, bytes]:
    one = [b"%d\n" % (number // 2) for number in range(count)]
    return b"".join(one), b"".join(one[::-1])


def work(do: Callable[[], Any]) -> int:
    """Lines of Python that run."""
    ran = 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal ran
        ran += event == "line"
        return count

    sys.settrace(count)
    try:
        do()
    finally:
        sys.settrace(None)
    return ran


@pytest.mark.parametrize("hostile", [shuffled, few_kinds, pairs])
def test_work_grows_with_the_lines(
    hostile: Callable[[int], tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(difference, "STEPS", 10_000)  # as for texts that are as much larger
    small, large = (work(partial(unified, *hostile(count), NAMES)) for count in (1000, 4000))
    assert large < 6 * small


def test_by_difflib_alone_it_grows_faster() -> None:
    """The control."""

    def alone(one: bytes, two: bytes) -> None:
        difflib.SequenceMatcher(None, one.splitlines(), two.splitlines(), autojunk=False).get_opcodes()

    small, large = (work(partial(alone, *few_kinds(count))) for count in (40, 160))
    assert large > 12 * small


def test_no_more_steps_of_difflib_are_made_than_were_counted() -> None:
    for hostile in (shuffled, few_kinds, pairs):
        a, b = (each.splitlines(keepends=True) for each in hostile(120))
        budget = [10**9]
        steps = work(partial(difference._exactly, a, b, budget))
        assert steps < 12 * (10**9 - budget[0]) + 10_000


def test_what_is_too_much_to_be_shown_is_refused_and_a_line_at_its_end_is_not() -> None:
    old = b"\n" * (difference.MAX_DIFF_LINES + 10)
    with pytest.raises(BadRequest, match="by itself"):
        unified(b"", old, NAMES)
    with pytest.raises(BadRequest, match="by itself"):
        unified(b"", b"x" * (difference.MAX_DIFF_BYTES + 1), NAMES)
    assert unified(old, old + b"last\n", NAMES, 0).splitlines()[2:] == [f"@@ -{len(old)},0 +{len(old) + 1} @@", "+last"]
