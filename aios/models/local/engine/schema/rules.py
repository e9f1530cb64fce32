"""Grammars as rules, and how llama.cpp writes them down."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from aios.models.local.engine.schema.characters import Ranges
from aios.models.local.engine.schema.components import components

MOST_SYMBOLS = 300_000


@dataclass(frozen=True, slots=True)
class Ref:
    """What another rule says."""

    number: int


@dataclass(frozen=True, slots=True)
class Optional:
    """A text, or nothing."""

    text: str


Symbol = str | Ranges | Ref | Optional
"""A text, one character of a set, another rule, or an optional text."""


class TooLarge(Exception):
    """A grammar with more symbols than are good for anybody."""


class GrammarRules:
    """Rules by their numbers; each is a list of alternatives, each of these a sequence of symbols."""

    def __init__(self) -> None:
        self._alternatives: list[list[Sequence[Symbol]]] = []
        self._symbols = 0

    def new(self) -> Ref:
        """A rule without alternatives: until it gets some, nothing satisfies it."""
        self._alternatives.append([])
        return Ref(len(self._alternatives) - 1)

    def add(self, rule: Ref, *symbols: Symbol) -> None:
        """Give a rule one more alternative. Raises TooLarge."""
        self._symbols += len(symbols) + 1
        if self._symbols > MOST_SYMBOLS:
            raise TooLarge
        self._alternatives[rule.number].append(symbols)

    def add_texts(self, rule: Ref, texts: Iterable[str]) -> None:
        """Give a rule some texts. What they begin with in common is there once, so that few ways are open at a time."""
        waiting = deque([(rule, sorted(set(texts)), 0)])
        while waiting:
            at, group, begin = waiting.popleft()
            first = 0
            while first < len(group):
                last = first
                while last + 1 < len(group) and group[last + 1][begin : begin + 1] == group[first][begin : begin + 1]:
                    last += 1
                self._add_branch(at, group[first : last + 1], begin, waiting)
                first = last + 1

    def _add_branch(self, rule: Ref, group: list[str], begin: int, waiting: deque[tuple[Ref, list[str], int]]) -> None:
        if len(group) == 1:
            self.add(rule, group[0][begin:])
            return
        # The group is sorted: what its first and its last have in common, all have.
        end = begin
        while group[0][end : end + 1] == group[-1][end : end + 1] != "":
            end += 1
        after = self.new()
        self.add(rule, group[0][begin:end], after)
        waiting.append((after, group, end))

    def satisfiable(self) -> set[int]:
        """The rules that some text satisfies."""
        users: dict[int, list[tuple[int, int]]] = {}
        missing: dict[tuple[int, int], int] = {}
        found: set[int] = set()
        waiting: list[int] = []
        for number, alternatives in enumerate(self._alternatives):
            for index, symbols in enumerate(alternatives):
                needed = {symbol.number for symbol in symbols if isinstance(symbol, Ref)}
                missing[number, index] = len(needed)
                for each in needed:
                    users.setdefault(each, []).append((number, index))
                if not needed and number not in found:
                    found.add(number)
                    waiting.append(number)
        while waiting:
            for number, index in users.get(waiting.pop(), ()):
                missing[number, index] -= 1
                if not missing[number, index] and number not in found:
                    found.add(number)
                    waiting.append(number)
        return found

    def unrolled(self, root: Ref, values: Collection[int], most: int) -> tuple[GrammarRules, Ref]:
        """The same with an end to recursion: no value stands within more than `most` others that its rule leads to.

        A small model that may open one more bracket often does, to the end of its tokens. Returns itself where so few
        levels are not enough for any text, or make too many rules.
        """
        made, numbers = GrammarRules(), dict[tuple[int, int], Ref]()
        leads = [self._leads_to(number) for number in range(len(self._alternatives))]
        component = components(leads)
        if not any(component[number] == component[after] for number in values for after in leads[number]):
            return self, root
        waiting: deque[tuple[int, int]] = deque()

        def copied(number: int, level: int) -> Ref:
            if (number, level) not in numbers:
                numbers[number, level] = made.new()
                waiting.append((number, level))
            return numbers[number, level]

        def below(symbol: Symbol, number: int, level: int) -> int:
            if not isinstance(symbol, Ref) or component[symbol.number] != component[number]:
                return 0
            return level + (symbol.number in values)

        top = copied(root.number, 0)
        while waiting:
            number, level = waiting.popleft()
            for symbols in self._alternatives[number]:
                levels = [below(symbol, number, level) for symbol in symbols]
                if max(levels, default=0) > most:
                    continue
                try:
                    made.add(numbers[number, level], *map(_moved(copied), symbols, levels))
                except TooLarge:
                    return self, root
        return (made, top) if top.number in made.satisfiable() else (self, root)

    def _leads_to(self, number: int) -> list[int]:
        return [
            symbol.number for symbols in self._alternatives[number] for symbol in symbols if isinstance(symbol, Ref)
        ]

    def gbnf(self, root: Ref) -> str:
        """The grammar of a rule, without what nothing satisfies and what is not needed."""
        good = self.satisfiable()
        lines, seen, waiting = [], {root.number}, deque([root.number])
        while waiting:
            number = waiting.popleft()
            kept = [
                symbols
                for symbols in self._alternatives[number]
                if all(symbol.number in good for symbol in symbols if isinstance(symbol, Ref))
            ]
            for symbol in (symbol for symbols in kept for symbol in symbols if isinstance(symbol, Ref)):
                if symbol.number not in seen:
                    seen.add(symbol.number)
                    waiting.append(symbol.number)
            written = dict.fromkeys(" ".join(map(_written, symbols)) or '""' for symbols in kept)
            lines.append(f"r{number} ::= {' | '.join(written)}")
        return "\n".join([f"root ::= r{root.number}", *lines])


def _moved(copied: Callable[[int, int], Ref]) -> Callable[[Symbol, int], Symbol]:
    return lambda symbol, level: copied(symbol.number, level) if isinstance(symbol, Ref) else symbol


def _written(symbol: Symbol) -> str:
    match symbol:
        case str():
            return f'"{"".join(map(_quoted, symbol))}"'
        case Ref(number):
            return f"r{number}"
        case Optional(text):
            return f"{_written(text)}?"
    return _class(symbol)


@lru_cache(maxsize=1024)
def _class(ranges: Ranges) -> str:
    return f"[{''.join(_range(*pair) for pair in ranges)}]"


def _range(low: int, high: int) -> str:
    return _escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}"


def _quoted(character: str) -> str:
    return character if " " <= character <= "~" and character not in '"\\' else _escaped(ord(character))


def _escaped(code: int) -> str:
    if code < 0x80 and chr(code).isalnum():
        return chr(code)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
