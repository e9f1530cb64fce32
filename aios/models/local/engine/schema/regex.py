"""Regular expressions of ECMA-262, Python and Rust, read as the strings on which all three agree.

Dialects differ in what a class such as \\w or a dot takes, and in what `$` does before a last line end. Where an
expression says what may be generated, the narrowest reading is taken; where it says what must not be, the widest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aios.models.local.engine.schema import characters as sets
from aios.models.local.engine.schema.characters import Ranges
from aios.models.local.engine.schema.errors import Unsupported

MOST_REPEATS = 10_000
DEEPEST = 60

Kind = Literal["^", "$", "b", "B"]


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Seq:
    """One after the other; empty for the empty string."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same several times; without end if `most` is None."""

    part: Expression
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Assertion:
    """A place: the beginning, the end, a border of a word or none."""

    kind: Kind


Expression = Chars | Seq | Choice | Repeat | Assertion

ANYTHING = Repeat(Chars(sets.EVERY), 0, None)
PLAIN_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}
PLACES: dict[str, Kind] = {"b": "b", "B": "B", "A": "^", "Z": "$", "z": "$"}
GROUPS = {
    "?=": "a lookahead (?=",
    "?!": "a negative lookahead (?!",
    "?<=": "a lookbehind (?<=",
    "?<!": "a negative lookbehind (?<!",
    "?>": "an atomic group (?>",
    "?(": "a conditional group (?(",
    "?#": "a comment (?#",
    "?P=": "a back reference (?P=",
}
NAMED = re.compile(r"\?P?<\w+>|\?:")
COUNT = re.compile(r"\{(\d+)(,?)(\d*)\}")
HEX = {
    "x": re.compile(r"[0-9a-fA-F]{2}"),
    "u": re.compile(r"[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\}"),
    "U": re.compile(r"[0-9a-fA-F]{8}"),
}


def parse(pattern: str, widest: bool = False) -> Expression:
    """An expression that a string has to match somewhere. Raises Unsupported."""
    parser = _Parser(pattern, widest)
    found = parser.choice()
    if parser.at < len(pattern):
        raise Unsupported("has a ) that opens nowhere")
    return found


def literal(text: str) -> Expression:
    """A text itself."""
    return Seq(tuple(Chars(sets.one(each)) for each in text))


class _Parser:
    def __init__(self, pattern: str, widest: bool) -> None:
        self._pattern, self._widest = pattern, widest
        self.at = 0
        self._depth = 0

    def choice(self) -> Expression:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Expression:
        parts: list[Expression] = []
        while self.at < len(self._pattern) and self._peek() not in "|)":
            parts.append(self._quantified(self._atom()))
        return Seq(tuple(parts))

    def _quantified(self, atom: Expression) -> Expression:
        while (bounds := self._bounds()) is not None:
            if isinstance(atom, Assertion | Repeat):
                raise Unsupported("repeats what cannot be repeated")
            atom = Repeat(atom, *bounds)
            if self._take("+"):
                raise Unsupported("has a possessive quantifier, which means nothing elsewhere")
            # A lazy one matches the same strings.
            self._take("?")
        return atom

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        if self._pattern.startswith("{,", self.at) and re.match(r"\{,\d*\}", self._pattern[self.at :]):
            raise Unsupported("has a quantifier {,n}, which some dialects take for text; write {0,n}")
        if (match := COUNT.match(self._pattern, self.at)) is None:
            return None
        self.at = match.end()
        least = int(match[1])
        most = int(match[3]) if match[3] else None if match[2] else least
        if most is not None and most < least:
            raise Unsupported(f"has a quantifier {match[0]} whose bounds are the wrong way round")
        if max(least, most or 0) > MOST_REPEATS:
            raise Unsupported(f"repeats more than {MOST_REPEATS:,} times")
        return least, most

    def _atom(self) -> Expression:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return Chars(self._class())
        if sign == ".":
            return Chars(sets.EVERY if self._widest else sets.complement(sets.LINE_ENDS))
        if sign == "^":
            return Assertion("^")
        if sign == "$":
            return self._end()
        if sign == "\\":
            return self._escape()
        if sign in "*+?":
            raise Unsupported(f"has a {sign} with nothing to repeat")
        return Chars(_writable(sign))

    def _end(self) -> Expression:
        end: Expression = Assertion("$")
        if not self._widest:
            return end
        return Choice((end, Seq((Chars(sets.one("\n")), end))))

    def _group(self) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Unsupported("has groups nested too deeply")
        if self._peek() == "?":
            match = NAMED.match(self._pattern, self.at)
            if match is None:
                rest = self._pattern[self.at : self.at + 3]
                known = next((name for begin, name in GROUPS.items() if rest.startswith(begin)), "flags in a group (?")
                raise Unsupported(f"has {known}")
            self.at = match.end()
        inner = self.choice()
        if not self._take(")"):
            raise Unsupported("has a ( that nothing closes")
        self._depth -= 1
        # So that what repeats a group is not taken for what repeats its last part.
        return Seq((inner,))

    def _escape(self) -> Expression:
        sign = self._next()
        if sign == "B" or sign == "b":
            if self._widest:
                raise Unsupported(f"has a border of a word \\{sign} where it says what must not be")
            return Assertion(PLACES[sign])
        if sign in PLACES:
            return self._end() if PLACES[sign] == "$" else Assertion("^")
        if sign in "123456789" or sign == "k":
            raise Unsupported(f"has a back reference \\{sign}")
        return Chars(self._set(sign, self._widest))

    def _class(self) -> Ranges:
        negative = self._take("^")
        if self._peek() == "]":
            raise Unsupported("has a class that begins with ], which dialects read differently; write \\]")
        widest = self._widest != negative
        found: Ranges = ()
        while not self._take("]"):
            low = self._member(widest)
            if self._peek() == "-" and self._pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self._next()
                low = self._range(low, self._member(widest))
            found = sets.union(found, low)
        return sets.complement(found) if negative else sets.intersection(found, sets.EVERY)

    def _range(self, low: Ranges, high: Ranges) -> Ranges:
        if not _single(low) or not _single(high):
            return sets.union(low, high, sets.one("-"))
        if low[0][0] > high[0][0]:
            raise Unsupported("has a class whose range is the wrong way round")
        return ((low[0][0], high[0][0]),)

    def _member(self, widest: bool) -> Ranges:
        sign = self._next()
        if sign != "\\":
            return ((ord(sign), ord(sign)),)
        sign = self._next()
        return sets.one("\b") if sign == "b" else self._set(sign, widest)

    def _set(self, sign: str, widest: bool) -> Ranges:
        """What an escape stands for."""
        if sign in "dDwWsS":
            return _shorthand(sign, widest)
        if sign in "pP":
            return self._property(sign == "P")
        if sign == "c":
            return sets.one(chr(ord(self._next().upper()) % 32))
        if (digits := HEX.get(sign)) and (match := digits.match(self._pattern, self.at)):
            self.at = match.end()
            return self._pair(int(match[0].strip("{}"), 16))
        if sign == "0" and self._peek().isdigit():
            raise Unsupported("has an octal escape; write \\x")
        if sign.isalnum() and sign not in PLAIN_ESCAPES:
            raise Unsupported(f"has an escape \\{sign} that dialects read differently, or not at all")
        return _writable(PLAIN_ESCAPES.get(sign, sign))

    def _pair(self, code: int) -> Ranges:
        """A code point, which may be written as two halves."""
        match = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})").match(self._pattern, self.at)
        if 0xD800 <= code < 0xDC00 and match:
            self.at = match.end()
            code = 0x10000 + (code - 0xD800) * 0x400 + int(match[1], 16) - 0xDC00
        if code > sets.LAST:
            raise Unsupported("has an escape beyond Unicode")
        return ((code, code),)

    def _property(self, negative: bool) -> Ranges:
        match = re.compile(r"\{(?:gc=|General_Category=)?(\w+)\}").match(self._pattern, self.at)
        found = sets.category(match[1]) if match else ()
        if match is None or not found:
            raise Unsupported("has a property \\p of characters that is no general category such as L, Lu or Nd")
        self.at = match.end()
        return sets.complement(found) if negative else found

    def _peek(self) -> str:
        return self._pattern[self.at : self.at + 1]

    def _next(self) -> str:
        if self.at >= len(self._pattern):
            raise Unsupported("ends in the middle of a class or an escape")
        self.at += 1
        return self._pattern[self.at - 1]

    def _take(self, sign: str) -> bool:
        taken = self._peek() == sign
        self.at += taken
        return taken


def _single(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _writable(sign: str) -> Ranges:
    return sets.intersection(sets.one(sign), sets.EVERY)


def _shorthand(sign: str, widest: bool) -> Ranges:
    narrow = {"d": sets.DIGITS, "w": sets.WORD, "s": sets.SPACES}[sign.lower()]
    if widest == sign.islower():
        known: dict[str, Callable[[], Ranges]] = {"d": sets.all_digits, "w": sets.all_word, "s": sets.all_spaces}
        wide = known[sign.lower()]()
        return wide if widest else sets.complement(wide)
    return narrow if sign.islower() else sets.complement(narrow)
