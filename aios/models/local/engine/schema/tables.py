"""Languages written out as tables of states, of which there are never more than there is room for.

Where bounds of the length make more, a part of the language is written out: every string of it is one of the language.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field

from aios.models.local.engine.schema.characters import Ranges
from aios.models.local.engine.schema.components import components
from aios.models.local.engine.schema.errors import Unsupported
from aios.models.local.engine.schema.language import Cut, Language, Move

MOST_STATES = 10_000
LONGEST = 4096
"""Characters of a string that has a larger bound."""
MOST_LOOKS = 2_000_000
"""States times characters that are looked at for a string of a great least length."""

Row = list[tuple[Ranges, int]]


@dataclass(slots=True)
class Table:
    """A language written out: of each state the moves and whether it ends; 0 is the start. Empty if the language is."""

    moves: list[Row] = field(default_factory=list)
    ends: list[bool] = field(default_factory=list)


def write_out(language: Language, room: int = MOST_STATES) -> Table:
    """A language, or as much of it as has room. Raises Unsupported if no string of it is found in that."""
    lengths = (language.least, language.most) if isinstance(language, Cut) else (0, None)
    free, all_free = _explored(language.any_length if isinstance(language, Cut) else language, max(room, MOST_STATES))
    if lengths == (0, None):
        found, complete = (free, all_free) if len(free.moves) <= room else _explored(language, room)
    else:
        found, complete = _explored(_Counted(free, *lengths) if all_free else language, room)
        if not complete:
            found = _narrowed(free, found, *lengths, room)
    if not complete and not found.moves:
        raise Unsupported(f"needs an automaton of more than {room:,} states")
    return found


def _explored(language: Language, room: int) -> tuple[Table, bool]:
    """The states from which an end can be reached, among those nearest to the start; whether these are all."""
    numbers: dict[Hashable, int] = {language.start: 0}
    waiting = deque([language.start])
    table = Table()
    while waiting and len(numbers) <= room:
        state = waiting.popleft()
        table.ends.append(language.ends(state))
        row = []
        for ranges, after in language.moves(state):
            if after not in numbers:
                numbers[after] = len(numbers)
                waiting.append(after)
            row.append((ranges, numbers[after]))
        table.moves.append(row)
    table.ends += [language.ends(state) for state in waiting]
    table.moves += [[] for _state in waiting]
    return _alive(table), not waiting


class _Counted:
    """What a table has, with a number of characters."""

    ascii = False
    start = (0, 0)

    def __init__(self, table: Table, least: int, most: int | None) -> None:
        self._table, self._least, self._most = table, least, most
        self._last = least if most is None else most

    def moves(self, state: tuple[int, int]) -> list[Move]:
        at, count = state
        if not self._table.moves or (self._most is not None and count >= self._most):
            return []
        return [(ranges, (to, min(count + 1, self._last))) for ranges, to in self._table.moves[at]]

    def ends(self, state: tuple[int, int]) -> bool:
        return bool(self._table.ends) and self._table.ends[state[0]] and state[1] >= self._least


def _narrowed(free: Table, nearest: Table, least: int, most: int | None, room: int) -> Table:
    """A part of what a table has with a number of characters, given its shortest strings; the first of three ways."""
    most = least + LONGEST if most is None else most
    if free.moves and (found := _Loops(free, most, room).table(least)).moves:
        return found
    return nearest if nearest.moves else _long(free, least, most, room)


class _Loops:
    """A language with a bound on how long its strings stay in each loop of its automaton, which bounds their length.

    So characters are counted within a loop only, not in all that it leads to: a loop is a strongly connected component,
    and on the way to one the least and the greatest number of characters are known.
    """

    def __init__(self, table: Table, most: int, room: int) -> None:
        self._moves, self._ends, self._most = table.moves, table.ends, most
        self._component = components([[to for _ranges, to in row] for row in table.moves])
        count = max(self._component) + 1
        self._loops = [False] * count
        for state, row in enumerate(table.moves):
            for _ranges, to in row:
                self._loops[self._component[state]] |= self._component[state] == self._component[to]
        looping = sum(self._loops[each] for each in self._component)
        chain, straight = (max(self._farthest(*each)) for each in ((0, 1), (1, 0)))
        # What all else leaves to the loops, one after the other; half of the whole where that is not a quarter.
        left = most - straight if most - straight >= most / 4 else most // 2
        longest = left // max(chain, 1)
        self._longest = min(longest, (room - len(table.moves)) // max(looping, 1))
        self._far = self._farthest(1, self._longest)

    def _farthest(self, step: int, loop: int) -> list[int]:
        """Of each component the greatest length of a way to its end, with the lengths of a step and of a loop."""
        after: list[set[int]] = [set() for _each in self._loops]
        for state, row in enumerate(self._moves):
            after[self._component[state]] |= {self._component[to] for _ranges, to in row}
        found = [loop * looping for looping in self._loops]
        for number in range(len(found) - 1, -1, -1):
            for other in after[number] - {number}:
                found[other] = max(found[other], found[number] + step + loop * self._loops[other])
        return found

    def _nearest(self) -> list[int]:
        """Of each component the length of the shortest way to it."""
        found = [-1] * len(self._loops)
        distance = {0: 0}
        waiting = deque([0])
        while waiting:
            state = waiting.popleft()
            if found[self._component[state]] < 0:
                found[self._component[state]] = distance[state]
            for _ranges, to in self._moves[state]:
                if to not in distance:
                    distance[to] = distance[state] + 1
                    waiting.append(to)
        return found

    def table(self, least: int) -> Table:
        """The strings that have a least length however they came to their end."""
        if self._longest < 1:
            return Table()
        nearest = self._nearest()
        made, numbers, waiting = Table(), {(0, 0): 0}, deque([(0, 0)])
        while waiting:
            state, stayed = waiting.popleft()
            own = self._component[state]
            farthest = self._far[own] - self._longest * self._loops[own] + stayed
            made.ends.append(self._ends[state] and nearest[own] + stayed >= least and farthest <= self._most)
            row = []
            for ranges, to in self._moves[state]:
                after = to, stayed + 1 if self._component[to] == own else 0
                if after[1] > self._longest:
                    continue
                if after not in numbers:
                    numbers[after] = len(numbers)
                    waiting.append(after)
                row.append((ranges, numbers[after]))
            made.moves.append(row)
        return _alive(made)


def _long(table: Table, least: int, most: int, room: int) -> Table:
    """Strings of the least possible length: after each character those few states that most characters lead to."""
    layers = [{0}]
    while table.moves and not (len(layers) > least and any(table.ends[state] for state in layers[-1])):
        layers.append({to for state in layers[-1] for _ranges, to in table.moves[state]})
        if not layers[-1] or len(layers) > min(most + 1, room) or len(layers) * len(table.moves) > MOST_LOOKS:
            return Table()
    if not table.moves:
        return Table()
    good = [{state for state in layers[-1] if table.ends[state]}]
    for layer in reversed(layers[:-1]):
        good.append({state for state in layer if any(to in good[-1] for _ranges, to in table.moves[state])})
    good.reverse()
    return _widest(table, good, max(1, room // len(layers)))


def _widest(table: Table, layers: list[set[int]], width: int) -> Table:
    made, numbers = Table(), {0: 0}
    for layer in layers[1:]:
        wide: dict[int, int] = {}
        for state in numbers:
            for ranges, to in table.moves[state]:
                if to in layer:
                    wide[to] = max(wide.get(to, 0), sum(high - low + 1 for low, high in ranges))
        base = len(made.moves) + len(numbers)
        after = {to: base + at for at, to in enumerate(sorted(wide, key=wide.__getitem__, reverse=True)[:width])}
        made.moves += [[(ranges, after[to]) for ranges, to in table.moves[state] if to in after] for state in numbers]
        made.ends += [False] * len(numbers)
        numbers = after
    made.moves += [[] for _state in numbers]
    made.ends += [True] * len(numbers)
    return _alive(made)


def _alive(table: Table) -> Table:
    before: list[list[int]] = [[] for _state in table.moves]
    for state, row in enumerate(table.moves):
        for _ranges, after in row:
            before[after].append(state)
    alive = {state for state, end in enumerate(table.ends) if end}
    waiting = list(alive)
    while waiting:
        for state in before[waiting.pop()]:
            if state not in alive:
                alive.add(state)
                waiting.append(state)
    if 0 not in alive:
        return Table()
    numbers = {state: number for number, state in enumerate(sorted(alive))}
    return Table(
        [[(ranges, numbers[to]) for ranges, to in table.moves[state] if to in alive] for state in sorted(alive)],
        [table.ends[state] for state in sorted(alive)],
    )
