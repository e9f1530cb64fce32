"""Sets of characters, as sorted ranges of code points."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache

Ranges = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
SURROGATES: Ranges = ((0xD800, 0xDFFF),)
EVERY: Ranges = ((0, 0xD7FF), (0xE000, LAST))
"""All that UTF-8 can write."""
ASCII: Ranges = ((0, 0x7F),)
DIGITS: Ranges = ((0x30, 0x39),)
WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACES: Ranges = ((0x09, 0x0D), (0x20, 0x20))
LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
ALL_SPACES: Ranges = (
    (0x09, 0x0D),
    (0x1C, 0x20),
    (0x85, 0x85),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x180E, 0x180E),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)


def one(character: str) -> Ranges:
    """A single character."""
    return ((ord(character), ord(character)),)


def union(*sets: Ranges) -> Ranges:
    """What is in any of some sets."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for each in sets for pair in each):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """What can be written and is not in a set."""
    left, at = [], 0
    for low, high in union(ranges, SURROGATES):
        if low > at:
            left.append((at, low - 1))
        at = high + 1
    return tuple([*left, (at, LAST)] if at <= LAST else left)


def intersection(first: Ranges, second: Ranges) -> Ranges:
    """What is in both of two sets."""
    found, a, b = [], 0, 0
    while a < len(first) and b < len(second):
        low, high = max(first[a][0], second[b][0]), min(first[a][1], second[b][1])
        if low <= high:
            found.append((low, high))
        if first[a][1] < second[b][1]:
            a += 1
        else:
            b += 1
    return tuple(found)


def all_spaces() -> Ranges:
    """What any dialect takes for a space."""
    return ALL_SPACES


@cache
def all_digits() -> Ranges:
    """Decimal digits of all scripts."""
    return _where(str.isdecimal)


@cache
def all_word() -> Ranges:
    """What any dialect takes for a part of a word."""
    return _where(
        lambda each: each.isalnum() or unicodedata.category(each)[0] in "LMN" or unicodedata.category(each) == "Pc"
    )


@cache
def category(name: str) -> Ranges:
    """A general category of Unicode, such as L or Lu; empty if there is no such."""
    return _where(lambda each: unicodedata.category(each).startswith(name)) if re.fullmatch("[A-Z][a-z]?", name) else ()


def _where(belongs: Callable[[str], bool]) -> Ranges:
    return _ranges(code for low, high in EVERY for code in range(low, high + 1) if belongs(chr(code)))


def _ranges(codes: Iterable[int]) -> Ranges:
    found: list[tuple[int, int]] = []
    for code in codes:
        if found and code == found[-1][1] + 1:
            found[-1] = found[-1][0], code
        else:
            found.append((code, code))
    return tuple(found)
