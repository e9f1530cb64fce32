"""Languages of strings as automata that are made state by state, so that they can be cut with one another.

Determinized as they are walked (Rabin and Scott 1959); the part of a walk from which no end can be reached is cut off.
So a pattern costs one stack of llama.cpp's automaton, however ambiguous it is written.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from aios.models.local.engine.schema import characters as sets
from aios.models.local.engine.schema.characters import Ranges
from aios.models.local.engine.schema.errors import Unsupported
from aios.models.local.engine.schema.regex import ANYTHING, Assertion, Chars, Choice, Expression, Repeat, Seq

MOST_PARTS = 40_000
"""States of a nondeterministic automaton."""

Move = tuple[Ranges, Hashable]


class Language(Protocol):
    """A deterministic automaton. What is `ascii` has no other characters."""

    @property
    def start(self) -> Hashable: ...

    @property
    def ascii(self) -> bool: ...

    def moves(self, state: Any) -> list[Move]:
        """Disjoint sets of characters, and where they lead."""
        ...

    def ends(self, state: Any) -> bool:
        """Whether a string may end here."""
        ...


def has(language: Language, text: str) -> bool:
    """Whether a string is in a language."""
    state = language.start
    for character in text:
        code = ord(character)
        for ranges, after in language.moves(state):
            if any(low <= code <= high for low, high in ranges):
                state = after
                break
        else:
            return False
    return language.ends(state)


class RegularLanguage:
    """The strings that an expression matches: somewhere in them, or with `whole` from end to end."""

    def __init__(self, expression: Expression, whole: bool = False) -> None:
        self._epsilon: list[list[int]] = []
        self._asserted: list[list[tuple[str, int]]] = []
        self._by: list[tuple[Ranges, int] | None] = []
        parts = (expression,) if whole or _begins(expression) else (ANYTHING, expression)
        begin, end = self._build(Seq(parts))
        if not whole:
            # Whatever follows a match is good, so all that else goes on can be forgotten.
            sink = self._state()
            self._by[sink] = (sets.EVERY, sink)
            self._epsilon[end].append(sink)
            end = sink
        self._end, self._all = end, frozenset() if whole else frozenset({end})
        self._borders = any(kind in "bB" for asserted in self._asserted for kind, _to in asserted)
        self.start = (frozenset({begin}), "^")
        self._moves: dict[Hashable, list[Move]] = {}

    @property
    def ascii(self) -> bool:
        # Outside of ASCII dialects do not agree on what a word is.
        return self._borders

    def moves(self, state: tuple[frozenset[int], str]) -> list[Move]:
        found = self._moves.get(state)
        if found is None:
            found = self._moves[state] = list(self._step(*state))
        return found

    def _step(self, parts: frozenset[int], before: str) -> Iterator[Move]:
        kinds = (("w", sets.WORD), ("o", sets.complement(sets.WORD))) if self._borders else (("o", sets.EVERY),)
        for after, ranges in kinds:
            edges = [edge for part in self._closure(parts, before, after) if (edge := self._by[part]) is not None]
            yield from self._targets(edges, ranges, after)

    def _targets(self, edges: list[tuple[Ranges, int]], within: Ranges, after: str) -> Iterator[Move]:
        if len(edges) == 1 and not self._borders:
            yield edges[0][0], (self._all if edges[0][1] in self._all else frozenset({edges[0][1]}), after)
            return
        grouped: dict[frozenset[int], list[tuple[int, int]]] = {}
        for low, high, parts in _partition(edges):
            grouped.setdefault(self._all if self._all & parts else parts, []).append((low, high))
        for parts, pairs in grouped.items():
            if ranges := sets.intersection(sets.union(tuple(pairs)), within):
                yield ranges, (parts, "o" if parts is self._all else after)

    def ends(self, state: tuple[frozenset[int], str]) -> bool:
        return self._end in self._closure(*state, "$")

    def _closure(self, parts: frozenset[int], before: str, after: str) -> set[int]:
        reached, waiting = set(parts), list(parts)
        while waiting:
            part = waiting.pop()
            asserted = [to for kind, to in self._asserted[part] if _holds(kind, before, after)]
            for to in (*self._epsilon[part], *asserted):
                if to not in reached:
                    reached.add(to)
                    waiting.append(to)
        return reached

    def _build(self, expression: Expression) -> tuple[int, int]:
        match expression:
            case Chars(ranges):
                begin, end = self._state(), self._state()
                self._by[begin] = (ranges, end)
            case Assertion(kind):
                begin, end = self._state(), self._state()
                self._asserted[begin].append((kind, end))
            case Seq(parts):
                begin = end = self._state()
                for part in parts:
                    first, last = self._build(part)
                    self._epsilon[end].append(first)
                    end = last
            case Choice(parts):
                begin, end = self._state(), self._state()
                for part in parts:
                    first, last = self._build(part)
                    self._epsilon[begin].append(first)
                    self._epsilon[last].append(end)
            case Repeat():
                return self._repeated(expression)
        return begin, end

    def _repeated(self, repeat: Repeat) -> tuple[int, int]:
        begin = end = self._state()
        for _number in range(repeat.least):
            first, last = self._build(repeat.part)
            self._epsilon[end].append(first)
            end = last
        if repeat.most is None:
            first, last = self._build(repeat.part)
            loop = self._state()
            self._epsilon[end].append(loop)
            self._epsilon[loop].append(first)
            self._epsilon[last].append(loop)
            return begin, loop
        done = self._state()
        for _number in range(repeat.most - repeat.least):
            self._epsilon[end].append(done)
            first, last = self._build(repeat.part)
            self._epsilon[end].append(first)
            end = last
        self._epsilon[end].append(done)
        return begin, done

    def _state(self) -> int:
        if len(self._by) >= MOST_PARTS:
            raise Unsupported("is too large when its repetitions are written out")
        self._epsilon.append([])
        self._asserted.append([])
        self._by.append(None)
        return len(self._by) - 1


def _begins(expression: Expression) -> bool:
    """Whether an expression matches at the beginning only."""
    match expression:
        case Assertion(kind):
            return kind == "^"
        case Seq(parts):
            return bool(parts) and _begins(parts[0])
        case Choice(parts):
            return all(map(_begins, parts))
    return False


def _holds(kind: str, before: str, after: str) -> bool:
    if kind == "^":
        return before == "^"
    if kind == "$":
        return after == "$"
    return ((before == "w") != (after == "w")) == (kind == "b")


def _partition(edges: Iterable[tuple[Ranges, int]]) -> Iterator[tuple[int, int, frozenset[int]]]:
    """Disjoint ranges, each with all that it leads to."""
    borders: dict[int, list[tuple[int, int]]] = {}
    for ranges, to in edges:
        for low, high in ranges:
            borders.setdefault(low, []).append((to, 1))
            borders.setdefault(high + 1, []).append((to, -1))
    open_: dict[int, int] = {}
    previous = 0
    for at in sorted(borders):
        live = frozenset(to for to, count in open_.items() if count)
        if live and at > previous:
            yield previous, at - 1, live
        for to, change in borders[at]:
            open_[to] = open_.get(to, 0) + change
        previous = at


class Words:
    """Some strings."""

    ascii = False
    start = ""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self._after: dict[str, set[str]] = {}
        for word in self._words:
            for end in range(len(word)):
                self._after.setdefault(word[:end], set()).add(word[end])

    def moves(self, state: str) -> list[Move]:
        return [(sets.one(each), state + each) for each in sorted(self._after.get(state, ()))]

    def ends(self, state: str) -> bool:
        return state in self._words


class Multiples:
    """Decimal numbers, without exponent, that are multiples of a number of few decimals."""

    ascii = True
    start = (0, -1)

    def __init__(self, factor: Fraction, places: int) -> None:
        self._factor, self._places = int(factor * 10**places), places

    def moves(self, state: tuple[int, int]) -> list[Move]:
        """A state is the remainder, and how many places have come since the point; -1 before it."""
        remainder, places = state
        found: list[Move] = [] if places >= 0 else [(sets.one("-"), state), (sets.one("."), (remainder, 0))]
        if places < self._places:
            for digit in range(10):
                after = (remainder * 10 + digit) % self._factor
                found.append((sets.one(str(digit)), (after, places + (places >= 0))))
        elif places >= 0:
            found.append((sets.one("0"), state))
        return found

    def ends(self, state: tuple[int, int]) -> bool:
        remainder, places = state
        return bool(remainder * 10 ** (self._places - max(places, 0)) % self._factor == 0)


@dataclass(frozen=True, slots=True)
class Cut:
    """The strings of all of some languages and of none of others, with a number of characters."""

    within: Sequence[Language] = ()
    without: Sequence[Language] = ()
    least: int = 0
    most: int | None = None

    @property
    def ascii(self) -> bool:
        return any(each.ascii for each in self.within)

    @property
    def any_length(self) -> Language:
        """The same with any number of characters."""
        if len(self.within) == 1 and not (self.without or self.ascii):
            return self.within[0]
        return Cut(self.within, self.without)

    @property
    def start(self) -> Hashable:
        return tuple(each.start for each in (*self.within, *self.without)), 0

    def moves(self, state: tuple[tuple[Hashable, ...], int]) -> list[Move]:
        parts, count = state
        if self.most is not None and count >= self.most:
            return []
        after_count = min(count + 1, self.least if self.most is None else self.most)
        found: list[tuple[Ranges, tuple[Hashable, ...]]] = [(sets.ASCII if self.ascii else sets.EVERY, ())]
        for number, language in enumerate((*self.within, *self.without)):
            moves = [] if parts[number] is None else language.moves(parts[number])
            if number >= len(self.within):
                # What has left it can go on as it likes.
                moves = [*moves, (sets.complement(sets.union(*(ranges for ranges, _to in moves))), None)]
            found = [
                (both, (*after, to))
                for ranges, after in found
                for own, to in moves
                if (both := sets.intersection(ranges, own))
            ]
        return [(ranges, (after, after_count)) for ranges, after in found]

    def ends(self, state: tuple[tuple[Hashable, ...], int]) -> bool:
        parts, count = state
        if count < self.least:
            return False
        inside = all(each.ends(part) for each, part in zip(self.within, parts, strict=False))
        rest = zip(self.without, parts[len(self.within) :], strict=True)
        return inside and not any(part is not None and each.ends(part) for each, part in rest)
