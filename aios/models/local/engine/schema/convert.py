"""From shapes to rules: how the values of each type are written."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from aios.models.local.engine.schema import characters as sets
from aios.models.local.engine.schema.characters import Ranges
from aios.models.local.engine.schema.errors import SchemaRefused, Unsupported
from aios.models.local.engine.schema.formats import FORMATS
from aios.models.local.engine.schema.language import Cut, Language, Multiples, RegularLanguage, Words
from aios.models.local.engine.schema.nodes import Nodes, SchemaNode
from aios.models.local.engine.schema.numbers import (
    ANY_DECIMAL,
    Interval,
    between,
    decimal_digits,
    decimal_of,
    integer_digits,
    negative,
    positive,
    within_tolerance,
)
from aios.models.local.engine.schema.regex import parse
from aios.models.local.engine.schema.rules import GrammarRules, Optional, Ref, Symbol, TooLarge
from aios.models.local.engine.schema.shapes import Languages, Reader, SchemaShape, type_of
from aios.models.local.engine.schema.tables import LONGEST, Table, write_out

MOST_ITEMS = 1024
"""Items of an array that has a larger bound."""
FEW = 6
"""How many values may be put into a unique array in any order; more keep their own order."""
MOST_UNIQUE = 256
MOST_PATTERNS = 3
"""Patterns of keys of which all combinations are made; of more, each one alone."""

MOST_LEVELS = 16
"""Levels of lists and objects within a schema that refers to itself."""
MOST_STATES = 20_000
"""States of all automata of a grammar."""
ROOMS = (10_000, 2_000, 400)
"""States that one automaton may have; of automata that are too large together, each gets the next fewer."""

CONSTANTS = (("null", "null"), ("boolean", "true"), ("boolean", "false"))
"""With their types; spelled as their identities are."""
SPACE = Optional(" ")
RAW: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, sets.LAST))
"""What stands for itself in a JSON string."""
SHORT = {0x22: '\\"', 0x5C: "\\\\", 0x08: "\\b", 0x0C: "\\f", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}


def gbnf(alternatives: Sequence[Nodes], tick: Callable[[], None]) -> str:
    """The grammar of the values that satisfy one of several sets of schemas, and are not endlessly nested.

    Where strings with all their lengths would make it too large, it has fewer of them. Raises Refused and TooLarge.
    """
    languages: Languages = {}
    converter = Converter(tick, ROOMS[0], languages)
    try:
        return converter.gbnf(alternatives)
    except TooLarge:
        for room in ROOMS[1:]:
            if converter.largest <= room:
                break
            try:
                return Converter(tick, room, languages).gbnf(alternatives)
            except TooLarge:
                continue
            except SchemaRefused:
                # What has no room for its shortest strings has none in a smaller one.
                break
        raise


class Converter:
    """Makes rules of schemas; `tick` hears of each step. Raises Refused and TooLarge."""

    def __init__(self, tick: Callable[[], None], room: int, languages: Languages) -> None:
        self.rules = GrammarRules()
        self.largest = 0
        """States of the largest automaton so far."""
        self._room = room
        self._reader, self._tick = Reader(tick, languages), tick
        self._states = 0
        self._made: dict[tuple[str, ...], Ref] = {}
        self._waiting: deque[tuple[Ref, Nodes]] = deque()
        self._shared: dict[object, Ref] = {}

    def gbnf(self, alternatives: Sequence[Nodes]) -> str:
        """The grammar of the values that satisfy one of several sets of schemas, and are not endlessly nested."""
        root = self.convert(alternatives)
        values = {rule.number for rule in self._made.values()}
        rules, root = self.rules.unrolled(root, values, MOST_LEVELS)
        return rules.gbnf(root)

    def convert(self, alternatives: Sequence[Nodes]) -> Ref:
        """The rule of the values that satisfy one of several sets of schemas."""
        root = self.rules.new()
        for nodes in alternatives:
            self.rules.add(root, self._value(nodes))
        while self._waiting:
            rule, nodes = self._waiting.popleft()
            self._fill(rule, nodes)
        if root.number not in self.rules.satisfiable():
            path = alternatives[0][0].path
            raise SchemaRefused(
                path, "no value that ends somewhere satisfies it: it contradicts itself, or needs itself"
            )
        return root

    def _value(self, nodes: Nodes) -> Ref:
        """The rule of what satisfies schemas, to be filled in later: they may refer to each other."""
        nodes = tuple(node for node in nodes if node.value is not True and node.value != {})
        key = tuple(sorted({node.path for node in nodes}))
        if key not in self._made:
            self._made[key] = self.rules.new()
            self._waiting.append((self._made[key], nodes))
        return self._made[key]

    def _fill(self, rule: Ref, nodes: Nodes) -> None:
        texts: list[str] = []
        path = nodes[0].path if nodes else ""
        for shape in self._reader.shapes(nodes):
            if shape.values is not None:
                texts += [_written(each, path) for each in shape.values if self._reader.fits(shape, each)]
                continue
            kinds = shape.types if shape.typed or not shape.types & shape.implied else shape.types & shape.implied
            self._types(rule, shape, kinds, path)
        self.rules.add_texts(rule, texts)

    def _types(self, rule: Ref, shape: SchemaShape, kinds: frozenset[str], path: str) -> None:
        texts = [text for kind, text in CONSTANTS if kind in kinds]
        self.rules.add_texts(rule, [text for text in texts if text not in shape.excluded])
        if numbers := kinds & {"integer", "fraction"}:
            self.rules.add(rule, self._number(shape, numbers, path))
        if "string" in kinds:
            self.rules.add(rule, '"', self._text(shape, path))
        if "array" in kinds:
            self._array(rule, shape, path)
        if "object" in kinds:
            self._object(rule, shape, path)

    # Numbers

    def _number(self, shape: SchemaShape, kinds: frozenset[str], path: str) -> Ref:
        """The rule of numbers of a shape, which is that of all shapes that say the same of them."""
        factors = tuple(factor for factor, _path in shape.factors)
        key = "number", kinds, shape.interval, factors, tuple(shape.excluded)
        if key not in self._shared:
            self._shared[key] = self.rules.new()
            self._numbers(self._shared[key], shape, kinds, path)
        return self._shared[key]

    def _numbers(self, rule: Ref, shape: SchemaShape, kinds: frozenset[str], path: str) -> None:
        excluded = [decimal_of(each) for each in shape.excluded.values() if type_of(each) in ("integer", "fraction")]
        if "fraction" in kinds and "integer" in kinds and not (shape.interval.bounded or shape.factors or excluded):
            self._signed(rule, Cut([RegularLanguage(parse(f"^(?:{ANY_DECIMAL})$"), whole=True)]), path)
            return
        try:
            more = [_multiples(factor) for factor, _path in shape.factors]
        except Unsupported as error:
            raise SchemaRefused(path, f"multipleOf {error}") from None
        interval = within_tolerance(shape.interval, [factor for factor, _path in shape.factors])
        for sign, half, own in (
            ("", positive(interval), excluded),
            ("-", negative(interval), [-each for each in excluded]),
        ):
            if half is not None:
                self._half(rule, sign, half, (kinds, own, more), path)

    def _half(
        self,
        rule: Ref,
        sign: str,
        half: Interval,
        how: tuple[frozenset[str], list[Fraction], list[Multiples]],
        path: str,
    ) -> None:
        kinds, excluded, more = how
        digits = decimal_digits(half, whole="integer" in kinds) if "fraction" in kinds else None
        if digits is None and "integer" in kinds:
            digits = integer_digits(half)
        if digits is not None:
            self._spelled(rule, sign, between(half, digits, excluded, more), path)

    def _table(self, language: Language, path: str) -> Table:
        self._tick()
        try:
            table = write_out(language, self._room)
        except Unsupported as error:
            raise SchemaRefused(path, f"a string or number {error}; simplify its pattern or its bounds") from None
        self.largest = max(self.largest, len(table.moves))
        self._states += len(table.moves)
        if self._states > MOST_STATES:
            raise TooLarge
        return table

    def _signed(self, rule: Ref, language: Language, path: str) -> None:
        for sign in ("", "-"):
            self._spelled(rule, sign, language, path)

    def _spelled(self, rule: Ref, sign: str, language: Language, path: str) -> None:
        """What is written as it is, after a sign."""
        table = self._table(language, path)
        states = [self.rules.new() for _state in table.moves]
        if not states:
            return
        for state, moves, ends in zip(states, table.moves, table.ends, strict=True):
            for ranges, to in moves:
                self.rules.add(state, ranges, states[to])
            if ends:
                self.rules.add(state)
        self.rules.add(rule, *([sign] if sign else []), states[0])

    # Strings

    def _text_language(self, shape: SchemaShape, path: str) -> Cut:
        within = [self._reader.language_of(*each) for each in shape.patterns]
        within += [
            RegularLanguage(parse(f"^(?:{FORMATS[each]})$"), whole=True)
            for each in dict.fromkeys(shape.formats)
            if each in FORMATS
        ]
        without: list[Language] = [self._reader.language_of(*each, widest=True) for each in shape.unlike]
        if words := [each for each in shape.excluded.values() if isinstance(each, str)]:
            without.append(Words(words))
        if shape.shortest > LONGEST:
            raise SchemaRefused(path, f"minLength is more than {LONGEST:,}")
        longest = None if shape.longest is None else min(shape.longest, LONGEST)
        return Cut(within, without, shape.shortest, longest)

    def _text(self, shape: SchemaShape, path: str) -> Ref:
        """The rule of strings of a shape, which is that of all shapes that say the same of them."""
        patterns, unlike = ([pattern for pattern, _path in each] for each in (shape.patterns, shape.unlike))
        key = "string", *patterns, "", *unlike, "", *shape.formats, "", *shape.excluded, shape.shortest, shape.longest
        if key not in self._shared:
            self._shared[key] = self._string(self._text_language(shape, path), path)
        return self._shared[key]

    def _string(self, language: Cut, path: str) -> Ref:
        """The rule of strings of a language, from behind the opening quote to the closing one."""
        table = self._table(language, path)
        states = [self.rules.new() for _state in table.moves]
        for state, moves, ends in zip(states, table.moves, table.ends, strict=True):
            for ranges, to in moves:
                self._characters(state, ranges, states[to])
            if ends:
                self.rules.add(state, '"')
        return states[0] if states else self.rules.new()

    def _characters(self, state: Ref, ranges: Ranges, after: Ref) -> None:
        raw, escaped = _spellings(ranges)
        if raw:
            self.rules.add(state, raw, after)
        for text in escaped:
            self.rules.add(state, text, after)

    def _check_excluded(self, shape: SchemaShape, kind: type, path: str) -> None:
        for value in shape.excluded.values():
            if isinstance(value, kind) and value:
                raise SchemaRefused(path, "not, of a list or an object that is not empty, cannot be held in a grammar")

    # Arrays

    def _array(self, rule: Ref, shape: SchemaShape, path: str) -> None:
        self._check_excluded(shape, list, path)
        places, rest, least, most = self._items(shape, path)
        least = max(least, "[]" in shape.excluded)
        if most is not None and most < least:
            return
        if shape.unique is not None and (most is None or most > 1):
            self._unique(rule, shape, least, most)
            return
        # What follows the bracket, and then what follows each item.
        at = self.rules.new()
        self.rules.add(rule, "[", at)
        fixed = max(len(places), least) if most is None else most
        for index in range(fixed + 1):
            self._close(at, "]", index, index >= least)
            if most is None and index == fixed:
                break
            if most is not None and index == most:
                return
            after = self.rules.new()
            item = self._value(places[index] if index < len(places) else rest)
            self.rules.add(at, *_before(index), item, after)
            at = after
        # Without end: each further item leads back to here.
        loop = at if fixed else self.rules.new()
        if not fixed:
            self.rules.add(at, SPACE, self._value(rest), loop)
            self._close(loop, "]", 1, True)
        self.rules.add(loop, *_before(1), self._value(rest), loop)

    def _items(self, shape: SchemaShape, path: str) -> tuple[list[Nodes], Nodes, int, int | None]:
        """What the first items must satisfy, and all that follow; how many there are at least and at most."""
        length = max([len(part.prefix) for part in shape.arrays], default=0)
        least, most = shape.fewest_items, shape.most_items
        rest = shape.item(length)
        places = [shape.item(index) for index in range(length)]
        closed = length > 0 and not rest
        for wanted in shape.contains:
            places, rest, least = self._contained(places, rest, least, wanted)
        if closed and least <= len(places):
            most = len(places) if most is None else min(most, len(places))
        if rest and self._reader.impossible(rest):
            most = len(places) if most is None else min(most, len(places))
        if least > MOST_ITEMS:
            raise SchemaRefused(path, f"minItems is more than {MOST_ITEMS:,}")
        return places, rest, least, None if most is None else min(most, MOST_ITEMS)

    def _contained(
        self, places: list[Nodes], rest: Nodes, least: int, wanted: tuple[SchemaNode, int, int | None]
    ) -> tuple[list[Nodes], Nodes, int]:
        """The same, with the items that must be contained as early as they can be, and others only if they may."""
        node, fewest, limit = wanted
        other: Nodes = () if limit is None else (node.child({"not": node}, "not"),)
        made: list[Nodes] = []
        for nodes in [*places, *[rest] * min(fewest, MOST_ITEMS)]:
            takes = fewest > 0 and not self._reader.impossible((*nodes, node))
            fewest -= takes
            least = max(least, len(made) + 1) if takes else least
            made.append((*nodes, node) if takes else (*nodes, *other))
            if not fewest and len(made) >= len(places):
                break
        if fewest or (limit is not None and limit < wanted[1]):
            return [(node.child(False, "never"),)], rest, max(least, 1)
        return made, (*rest, *other), least

    def _unique(self, rule: Ref, shape: SchemaShape, least: int, most: int | None) -> None:
        if any(part.prefix for part in shape.arrays) or shape.contains:
            raise SchemaRefused(str(shape.unique), "uniqueItems beside prefixItems or contains is not supported")
        values = self._finite(shape.item(0))
        if values is None:
            raise SchemaRefused(
                str(shape.unique),
                "uniqueItems of items that are not listed in an enum is not supported; list them, or leave it out "
                "and drop what comes twice",
            )
        most = len(values) if most is None else min(most, len(values))
        states: dict[tuple[int, int], Ref] = {}

        def state(used: int, count: int) -> Ref:
            if (used, count) not in states:
                states[used, count] = self.rules.new()
                waiting.append((used, count))
            return states[used, count]

        waiting: deque[tuple[int, int]] = deque()
        self.rules.add(rule, "[", state(0, 0))
        while waiting:
            used, count = waiting.popleft()
            self._close(states[used, count], "]", count, count >= least)
            if count == most:
                continue
            for index, text in enumerate(values):
                if len(values) <= FEW and not used >> index & 1:
                    self.rules.add(states[used, count], *_before(count), text, state(used | 1 << index, count + 1))
                elif len(values) > FEW and index >= used:
                    self.rules.add(states[used, count], *_before(count), text, state(index + 1, count + 1))

    def _finite(self, nodes: Nodes) -> list[str] | None:
        """The values that satisfy schemas, if these are few and listed."""
        found: dict[str, None] = {}
        for shape in self._reader.shapes(nodes):
            values = shape.values
            if values is None:
                if not shape.types <= {"null", "boolean"}:
                    return None
                values = [
                    value
                    for kind, value in (("null", None), ("boolean", True), ("boolean", False))
                    if kind in shape.types
                ]
            found |= {_written(each, ""): None for each in values if self._reader.fits(shape, each)}
        return list(found) if len(found) <= MOST_UNIQUE else None

    # Objects

    def _object(self, rule: Ref, shape: SchemaShape, path: str) -> None:
        self._check_excluded(shape, dict, path)
        if "{}" in shape.excluded and not shape.fewest_members:
            shape = shape.copy()
            shape.fewest_members = 1
        declared = dict.fromkeys(key for part in shape.objects for key in part.properties)
        listed = self._listed_names(shape)
        keys = [*dict.fromkeys([*declared, *shape.required, *(listed or ())])]
        members = [
            (key, key in shape.required, self._value(nodes))
            for key in keys
            if key not in shape.forbidden
            and self._names_allow(shape, key)
            and not self._reader.impossible(nodes := self._reader.member(shape, key), 0)
        ]
        if not shape.required.keys() <= {key for key, _needed, _value in members}:
            return
        further = [] if listed is not None else self._further(shape, keys, path)
        self._check_count(shape, len(members), bool(further), path)
        _Members(self, shape, members, further).write(rule)

    def _names_allow(self, shape: SchemaShape, key: str) -> bool:
        return not shape.names or self._reader.admits(tuple(shape.names), key)

    def _listed_names(self, shape: SchemaShape) -> list[str] | None:
        """The keys that `propertyNames` lists, where others than the declared ones may come."""
        if not shape.names or not _is_open(shape):
            return None
        shapes = self._reader.shapes(tuple(shape.names))
        if any(each.values is None for each in shapes):
            return None
        return [
            value
            for each in shapes
            for value in each.values or ()
            if isinstance(value, str) and self._reader.fits(each, value)
        ]

    def _check_count(self, shape: SchemaShape, known: int, more: bool, path: str) -> None:
        # Two further members may have one key, and would then count once.
        if shape.fewest_members > known + more:
            if not more:
                return
            raise SchemaRefused(
                path, "minProperties is more than the properties that are named, and one: it is not supported"
            )

    def _further(self, shape: SchemaShape, keys: Iterable[str], path: str) -> list[tuple[Ref, Ref]]:
        """Rules of keys that are not declared, and of their values."""
        if not _is_open(shape) and not any(part.patterns for part in shape.objects):
            return []
        patterns = [*dict.fromkeys(pattern for part in shape.objects for pattern, _node in part.patterns)]
        if len(patterns) <= MOST_PATTERNS:
            chosen = [
                {each for at, each in enumerate(patterns) if number >> at & 1} for number in range(2 ** len(patterns))
            ]
        else:
            chosen = [set(), *({each} for each in patterns)]
        found = []
        for matched in chosen:
            values = self._further_values(shape, matched)
            if values is None:
                continue
            for names in self._reader.shapes(tuple(shape.names)):
                key = self._key(shape, names, (patterns, matched), keys, path)
                found.append((key, self._value(values)))
        return found

    def _further_values(self, shape: SchemaShape, matched: set[str]) -> Nodes | None:
        """What members with keys that some patterns match, and no others, must satisfy; None if there are none."""
        nodes: list[SchemaNode] = []
        said = False
        for part in shape.objects:
            own = [node for pattern, node in part.patterns if pattern in matched]
            said |= bool(own) or part.additional is not None
            nodes += own or ([part.additional] if part.additional is not None else [])
        covering = [
            part.path
            for part in shape.objects
            if part.additional is not None or any(pattern in matched for pattern, _node in part.patterns)
        ]
        closed = shape.unevaluated(shape.closed_members, covering)
        nodes += closed
        said |= bool(closed)
        if not said and shape.objects:
            return None
        return None if self._reader.impossible(tuple(nodes), 0) else tuple(nodes)

    def _key(
        self, shape: SchemaShape, names: SchemaShape, how: tuple[list[str], set[str]], keys: Iterable[str], path: str
    ) -> Ref:
        patterns, matched = how
        if names.values is not None:
            rule = self.rules.new()
            taken = {*keys, *shape.forbidden}
            left = [
                each
                for each in names.values
                if isinstance(each, str)
                and each not in taken
                and self._reader.fits(names, each)
                and all(self._reader.matches(pattern, each) == (pattern in matched) for pattern in patterns)
            ]
            self.rules.add_texts(rule, [_written(each, path)[1:] for each in left])
            return rule
        language = self._text_language(names, path)
        within = [*language.within, *(self._reader.language_of(each, path) for each in patterns if each in matched)]
        without = [
            *language.without,
            *(self._reader.language_of(each, path, widest=True) for each in patterns if each not in matched),
            Words([*keys, *shape.forbidden]),
        ]
        return self._string(Cut(within, without, language.least, language.most), path)

    def _close(self, at: Ref, bracket: str, count: int, may: bool) -> None:
        if may:
            self.rules.add(at, *([SPACE] if count else []), bracket)


class _Members:
    """Writes the members of an object, in their order, each at most once, and then further ones."""

    def __init__(
        self,
        converter: Converter,
        shape: SchemaShape,
        members: list[tuple[str, bool, Ref]],
        further: list[tuple[Ref, Ref]],
    ) -> None:
        self._converter, self._rules, self._shape = converter, converter.rules, shape
        self._members, self._further = members, further
        self._least, self._most = shape.fewest_members, shape.most_members
        self._counts = self._least > 0 or self._most is not None
        self._states: dict[tuple[int, int, bool], Ref] = {}
        self._waiting: deque[tuple[int, int, bool]] = deque()

    def write(self, rule: Ref) -> None:
        self._rules.add(rule, "{", self._state(0, 0, False))
        while self._waiting:
            self._fill(*self._waiting.popleft())

    def _state(self, index: int, count: int, more: bool) -> Ref:
        """After some members: how many were written, if that matters, and whether further ones were."""
        if not self._counts:
            count = min(count, 1)
        elif self._most is None:
            count = min(count, max(self._least, 1))
        key = index, count, more
        if key not in self._states:
            self._states[key] = self._rules.new()
            self._waiting.append(key)
        return self._states[key]

    def _fill(self, index: int, count: int, more: bool) -> None:
        at = self._states[index, count, more]
        room = self._most is None or count < self._most
        if index < len(self._members):
            key, needed, value = self._members[index]
            if room:
                text = _written(key, self._shape.objects[0].path if self._shape.objects else "")
                after = self._state(index + 1, count + 1, more)
                self._rules.add(at, *_before(count), text + ":", SPACE, value, after)
            if not needed:
                self._rules.add(at, self._state(index + 1, count, more))
            return
        self._converter._close(at, "}", count, count >= self._least)
        if room:
            for key_rule, value in self._further:
                # A key may come twice, and then counts once: it counts towards the least number once at most.
                after = self._state(index, count + (not more or self._most is not None), True)
                self._rules.add(at, *_before(count), '"', key_rule, ":", SPACE, value, after)


def _before(count: int) -> list[Symbol]:
    return [",", SPACE] if count else [SPACE]


def _is_open(shape: SchemaShape) -> bool:
    """Whether members may come that are not declared: it was said, or nothing was said of members at all."""
    said = [part for part in shape.objects if part.additional is not None]
    return bool(said or shape.closed_members) or not shape.objects


def _multiples(factor: Fraction) -> Multiples:
    places = 0
    while (factor * 10**places).denominator != 1:
        places += 1
    if factor * 10**places > 2000:
        raise Unsupported(f"{factor} is too large for an automaton")
    return Multiples(factor, places)


@lru_cache(maxsize=1024)
def _spellings(ranges: Ranges) -> tuple[Ranges, tuple[str, ...]]:
    """Characters that stand for themselves in a JSON string, and how the others of a set are written."""
    raw = sets.intersection(ranges, RAW)
    escaped = [text for code, text in SHORT.items() if _includes(ranges, code)]
    if not raw and not escaped:
        # Control characters are written only where nothing else will do.
        escaped = [f"\\u{code:04x}" for low, high in ranges for code in range(low, high + 1)]
    return raw, tuple(escaped)


def _includes(ranges: Ranges, code: int) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _written(value: Any, path: str) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    except ValueError:
        raise SchemaRefused(path, "enum has a number that JSON cannot write") from None
    return text
