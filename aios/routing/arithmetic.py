"""The arithmetic that a text states, worked out again; nothing of the text is ever run as code."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise

NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBERS = re.compile(NUMBER)
_TOKEN = re.compile(rf"\s*({NUMBER}|\*\*|of\b|[-+*/x\u00d7·÷\u2212^()%$€£])")
_STATED = re.compile(rf"(?:{NUMBER}|\*\*|\bof\b|(?<=[0-9\s)%])x(?=[\s0-9$(])|[-+*/\u00d7·÷\u2212^()%$€£=≈]|[^\S\n])+")
_NOTE = re.compile(r"<<([^<>\n]*)>>")
_EQUALS = re.compile(r"[=≈]")
_OPERATOR = re.compile(r"\s*(?:of\b|[-+*/x\u00d7·÷\u2212^%)])")
_REST = re.compile(r"(?:\bof|[(\s])+$")
_SAME = {"\u00d7": "*", "·": "*", "x": "*", "of": "*", "÷": "/", "\u2212": "-", "**": "^"}
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
_MONEY = "$€£"
_SIGN = 3
"""How tightly a sign before a number binds: tighter than a product, looser than a power, as in Python."""
MAX_DEPTH = 30
MAX_CHARS = 200
"""Of one expression: longer ones are no arithmetic of a person or a model."""


def numbers(text: str) -> list[float]:
    """The numbers in a text, in order, without their signs."""
    return [_number(found) for found in _NUMBERS.findall(text)]


def value(expression: str) -> float | None:
    """What an expression of numbers, + - * / ^, % and parentheses comes to, by precedence climbing (Richards 1979).

    None if it is no such expression, or comes to nothing finite. Thousands may have commas, amounts a currency.
    """
    if len(expression) > MAX_CHARS:
        return None
    tokens: list[str] = []
    at, end = 0, len(expression.rstrip())
    while at < end:
        found = _TOKEN.match(expression, at, end)
        if found is None:
            return None
        if found[1] not in _MONEY:
            tokens.append(_SAME.get(found[1], found[1]))
        at = found.end()
    reader = _Reader(tokens)
    try:
        result = reader.read(0, 0)
    except (ValueError, ArithmeticError):
        return None
    return result if reader.done and math.isfinite(result) else None


def equations(text: str) -> list[bool]:
    """The equations between numbers that a text states, notes like <<2*3=6>> first, in order: which of them hold.

    A number may be rounded in its last decimal. What stands beside a word, as in x + 2 = 5, is none between numbers.
    """
    if not _EQUALS.search(text):
        return []
    notes = [_EQUALS.split(note) for note in _NOTE.findall(text)]
    plain = _NOTE.sub("", text) if notes else text
    return [holds for sides in [*notes, *map(_sides, _STATED.finditer(plain))] for holds in _check(sides)]


def _sides(stated: re.Match[str]) -> list[str]:
    """What stands between the signs of equality, without sides that are parts of something larger."""
    sides = _EQUALS.split(stated[0])
    if len(sides) == 1:
        return []
    text, start, end = stated.string, stated.start(), stated.end()
    beside_a_word = text[start - 1 : start].isalpha() and not sides[0][:1].isspace()
    if beside_a_word or _OPERATOR.match(sides[0]):
        sides[0] = ""
    sides[-1] = _REST.sub("", sides[-1])
    if text[end : end + 1].isalpha() and _works(sides[-1]):
        sides[-1] = ""
    return sides


def _check(sides: list[str]) -> Iterator[bool]:
    """Each side of a chain such as 2 + 3 + 1 = 5 + 1 = 6 beside the next, where there is anything to work out."""
    values = [value(side) for side in sides]
    for (left, before), (right, after) in pairwise(zip(sides, values, strict=True)):
        if before is not None and after is not None:
            if not _works(right):
                if _works(left):
                    yield _says(right, after, before)
            elif _works(left):
                yield math.isclose(before, after, rel_tol=0.01)
            else:
                yield _says(left, before, after)


def _works(side: str) -> bool:
    return len(_NUMBERS.findall(side)) > 1


def _says(side: str, stated: float, exact: float) -> bool:
    """Whether the number that is all of a side is the exact one, but for one in its last place or half of a whole."""
    decimals = len(side.strip(" \t%).").partition(".")[2])
    slack = max(10.0**-decimals if decimals else 0.5, 1e-9 * abs(exact))
    if "%" not in side:
        return abs(exact - stated) <= slack
    # 3 / 4 = 75% and 3 / 4 * 100 = 75% are both said, and mean the same.
    return abs(exact - stated) <= slack / 100 or abs(exact - stated * 100) <= slack


def _number(text: str) -> float:
    return float(text.replace(",", ""))


class _Reader:
    """Tokens read from left to right. Raises ValueError for what is no expression."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at = [*tokens, ""], 0

    @property
    def done(self) -> bool:
        return not self._tokens[self._at]

    def read(self, least: int, depth: int) -> float:
        """The longest expression from here whose operators bind at least so tightly."""
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        left = self._operand(depth)
        while (binds := _BINDS.get(operator := self._tokens[self._at], -1)) >= least:
            self._at += 1
            # A power takes what is right of it first: 2 ^ 3 ^ 2 is 2 ^ 9.
            right = self.read(_SIGN if operator == "^" else binds + 1, depth + 1)
            left = _apply(operator, left, right)
        return left

    def _operand(self, depth: int) -> float:
        token = self._tokens[self._at]
        self._at += bool(token)
        if token in ("-", "+"):
            inner = self.read(_SIGN, depth + 1)
            return -inner if token == "-" else inner
        if token == "(":
            inner = self.read(0, depth + 1)
            if self._tokens[self._at] != ")":
                raise ValueError("not closed")
            self._at += 1
        else:
            inner = _number(token)
        if self._tokens[self._at] == "%":
            self._at += 1
            inner /= 100
        return inner


def _apply(operator: str, left: float, right: float) -> float:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "/":
        return left / right
    return math.pow(left, right)
