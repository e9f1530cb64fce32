"""Texts that a grammar lets through, drawn at random from the grammar as it is given to llama.cpp."""

from __future__ import annotations

import re
from functools import lru_cache
from heapq import heapify, heappop, heappush
from random import Random

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"\??|\[(?:[^\]\\]|\\.)*\]|r\d+|root|::=|\|')
ESCAPE = re.compile(r"\\(?:x([0-9A-F]{2})|u([0-9A-F]{4})|U([0-9A-F]{8}))|(.)", re.DOTALL)
LIKELY = [(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A), (0x20, 0x2F)]


class Walker:
    """Walks a grammar's rules from `root`; what takes too long is ended in the shortest way."""

    def __init__(self, source: str) -> None:
        self._rules: dict[str, list[list[str]]] = {}
        for line in source.split("\n"):
            name, _is, *symbols = TOKEN.findall(line)
            alternatives: list[list[str]] = [[]]
            for symbol in symbols:
                if symbol == "|":
                    alternatives.append([])
                else:
                    alternatives[-1].append(symbol)
            self._rules[name] = alternatives
        self._lengths = self._shortest()

    def text(self, random: Random, patience: int = 60) -> str:
        """A text that the grammar lets through."""
        waiting, written, steps = ["root"], [], 0
        while waiting:
            symbol = waiting.pop()
            if symbol in self._rules:
                steps += 1
                alternatives = self._rules[symbol]
                chosen = random.choice(alternatives)
                if steps > patience:
                    chosen = min(alternatives, key=self._length)
                waiting += reversed(chosen)
            elif symbol[0] == '"':
                written.append(_literal(symbol) if symbol[-1] != "?" or random.random() < 0.5 else "")
            else:
                written.append(chr(_code(_ranges(symbol), random)))
        return "".join(written)

    def _length(self, symbols: list[str]) -> float:
        return sum(self._lengths.get(symbol, 1) for symbol in symbols)

    def _shortest(self) -> dict[str, float]:
        """Of each rule how few steps end it (Knuth 1977)."""
        users: dict[str, list[tuple[str, int]]] = {}
        missing: dict[tuple[str, int], int] = {}
        waiting: list[tuple[float, str]] = []
        for name, alternatives in self._rules.items():
            for index, symbols in enumerate(alternatives):
                needed = {symbol for symbol in symbols if symbol in self._rules}
                missing[name, index] = len(needed)
                for each in needed:
                    users.setdefault(each, []).append((name, index))
                if not needed:
                    waiting.append((1 + len(symbols), name))
        heapify(waiting)
        self._lengths = {}
        while waiting:
            length, name = heappop(waiting)
            if name in self._lengths:
                continue
            self._lengths[name] = length
            for user, index in users.get(name, ()):
                missing[user, index] -= 1
                if not missing[user, index]:
                    heappush(waiting, (1 + self._length(self._rules[user][index]), user))
        return self._lengths


@lru_cache(maxsize=4096)
def _literal(symbol: str) -> str:
    return "".join(map(chr, _codes(symbol.rstrip("?")[1:-1])))


def _codes(text: str) -> list[int]:
    return [
        int(match[1] or match[2] or match[3], 16) if match[4] is None else ord(match[4])
        for match in ESCAPE.finditer(text)
    ]


@lru_cache(maxsize=4096)
def _ranges(symbol: str) -> list[tuple[int, int]]:
    marks = [(match[4] == "-", _codes(match[0])[0]) for match in ESCAPE.finditer(symbol[1:-1])]
    ranges: list[tuple[int, int]] = []
    for at, (dash, code) in enumerate(marks):
        if dash:
            continue
        if at and marks[at - 1][0]:
            ranges[-1] = ranges[-1][0], code
        else:
            ranges.append((code, code))
    return ranges


def _code(ranges: list[tuple[int, int]], random: Random) -> int:
    if random.random() < 0.9:
        near = [(max(low, a), min(high, b)) for low, high in ranges for a, b in LIKELY if max(low, a) <= min(high, b)]
        ranges = near or ranges
    return random.randint(*random.choice(ranges))
