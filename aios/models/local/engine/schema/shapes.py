"""What a schema says, taken apart into shapes: alternatives without logic, of each type what a value of it must be.

A set of schemas that must all hold is the unit of everything: `allOf`, references and siblings add to it, `anyOf` and
its like make alternatives of it. What must not hold is turned into what must, as far as that can be said.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from aios.models.local.engine.schema import language
from aios.models.local.engine.schema.errors import SchemaRefused, Unsupported
from aios.models.local.engine.schema.language import Language
from aios.models.local.engine.schema.negation import negated
from aios.models.local.engine.schema.nodes import (
    EVERY_TYPE,
    Inner,
    Nodes,
    SchemaNode,
    children_of,
    count_of,
    list_of,
    map_of,
    named_types,
    number_of,
    text_of,
    texts_of,
)
from aios.models.local.engine.schema.numbers import Interval, decimal_of
from aios.models.local.engine.schema.references import resolved
from aios.models.local.engine.schema.regex import parse

MOST_STEPS = 100_000
"""Schemas that may be looked at for one grammar, alternatives of alternatives included."""
DEEPEST_CHOICE = 30
"""Alternatives within alternatives that are told apart."""
DEEPEST_LOOK = 4
"""How far into values it is looked for contradictions."""

UNBOUNDED = Interval()


@dataclass(slots=True)
class ObjectPart:
    """What one schema says of the members of an object."""

    properties: dict[str, SchemaNode]
    patterns: list[tuple[str, SchemaNode]]
    additional: SchemaNode | None
    path: str


@dataclass(slots=True)
class ArrayPart:
    """What one schema says of the items of an array."""

    prefix: list[SchemaNode]
    items: SchemaNode | None
    path: str


@dataclass(slots=True)
class SchemaShape:
    """What a value must be, by type. Its lists and mappings are replaced, never changed: copies share them."""

    types: frozenset[str] = EVERY_TYPE
    typed: bool = False
    implied: frozenset[str] = frozenset()
    """The types that it says something of."""
    values: list[Any] | None = None
    excluded: dict[str, Any] = field(default_factory=dict)
    """By their identity."""
    interval: Interval = UNBOUNDED
    factors: list[tuple[Fraction, str]] = field(default_factory=list)
    shortest: int = 0
    longest: int | None = None
    patterns: list[tuple[str, str]] = field(default_factory=list)
    unlike: list[tuple[str, str]] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    arrays: list[ArrayPart] = field(default_factory=list)
    fewest_items: int = 0
    most_items: int | None = None
    unique: str | None = None
    contains: list[tuple[SchemaNode, int, int | None]] = field(default_factory=list)
    objects: list[ObjectPart] = field(default_factory=list)
    required: dict[str, None] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    names: list[SchemaNode] = field(default_factory=list)
    fewest_members: int = 0
    most_members: int | None = None
    closed_items: list[tuple[SchemaNode, str]] = field(default_factory=list)
    """What unevaluated items must satisfy, with where that is said."""
    closed_members: list[tuple[SchemaNode, str]] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)
    """Of each schema that was applied, by which other it was."""

    def copy(self) -> SchemaShape:
        """One that can go its own way."""
        other = object.__new__(SchemaShape)
        for name in SchemaShape.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def member(self, key: str, matching: Callable[[str, str], bool]) -> Nodes:
        """What the value of a member must satisfy."""
        found: list[SchemaNode] = []
        for part in self.objects:
            own = [part.properties[key]] if key in part.properties else []
            own += [node for pattern, node in part.patterns if matching(pattern, key)]
            found += own or ([part.additional] if part.additional else [])
        covering = [
            part.path
            for part in self.objects
            if part.additional or key in part.properties or any(matching(each, key) for each, _node in part.patterns)
        ]
        return (*found, *self.unevaluated(self.closed_members, covering))

    def unevaluated(self, closed: list[tuple[SchemaNode, str]], covering: list[str]) -> Nodes:
        """What holds for what only schemas at some places speak of: these count for those alone that applied them."""
        return tuple(node for node, place in closed if not any(self._applied(path, place) for path in covering))

    def _applied(self, path: str, by: str) -> bool:
        while path and path != by and not path.endswith("!"):
            path = self.origins.get(path, "")
        return path == by

    def item(self, index: int) -> Nodes:
        """What the item at an index must satisfy."""
        found: list[SchemaNode] = []
        for part in self.arrays:
            if index < len(part.prefix):
                found.append(part.prefix[index])
            elif part.items is not None:
                found.append(part.items)
        covering = [part.path for part in self.arrays if index < len(part.prefix) or part.items is not None]
        return (*found, *self.unevaluated(self.closed_items, covering))


Languages = dict[tuple[str, bool], Language]
"""What patterns match, in the narrowest reading or in the widest."""
Choices = list[tuple[list[Nodes], str]]
"""Several choices, each among sets of schemas, with where it was made."""


@dataclass(slots=True)
class _Work:
    shape: SchemaShape
    pending: list[tuple[SchemaNode, str]]
    seen: dict[str, str]
    choices: Choices

    def branch(self, nodes: Nodes, parent: str) -> _Work:
        pending = [(node, parent) for node in nodes]
        return _Work(self.shape.copy(), pending, dict(self.seen), self.choices.copy())


class Reader:
    """Reads schemas, with a bound on all that it looks at; `tick` hears of each step. Raises Refused."""

    def __init__(self, tick: Callable[[], None], languages: Languages) -> None:
        self._steps, self._tick = 0, tick
        self._nested = 0
        self._languages = languages

    def shapes(self, nodes: Nodes) -> list[SchemaShape]:
        """The alternatives of schemas that must all hold; none if they contradict each other at first sight."""
        self._nested += 1
        if self._nested > DEEPEST_CHOICE:
            raise SchemaRefused(nodes[0].path, "refers to itself and to nothing else, by way of its alternatives")
        try:
            return self._alternatives(nodes)
        finally:
            self._nested -= 1

    def _alternatives(self, nodes: Nodes) -> list[SchemaShape]:
        found: list[SchemaShape] = []
        waiting = [_Work(SchemaShape(), [(node, "") for node in nodes], {}, [])]
        while waiting:
            work = waiting.pop()
            if not self._drain(work):
                continue
            if work.choices:
                options, parent = work.choices.pop(0)
                waiting += [work.branch(nodes, parent) for nodes in reversed(options)]
            else:
                work.shape.origins = work.seen
                found.append(work.shape)
        return found

    def _drain(self, work: _Work) -> bool:
        while work.pending:
            node, parent = work.pending.pop(0)
            self._step(node)
            if node.path in work.seen:
                self._check_cycle(node, parent, work.seen)
                continue
            work.seen[node.path] = parent
            if node.value is False:
                return False
            if node.value is not True:
                self._keywords(node, work)
            if not work.shape.types:
                return False
        return True

    def _step(self, node: SchemaNode) -> None:
        self._steps += 1
        self._tick()
        if self._steps > MOST_STEPS:
            raise SchemaRefused(node.path, "has too many combinations; use fewer alternatives or references")

    def _check_cycle(self, node: SchemaNode, parent: str, seen: dict[str, str]) -> None:
        while parent:
            if parent == node.path:
                raise SchemaRefused(node.path, "refers to itself and to nothing else")
            parent = seen.get(parent, "")

    def _keywords(self, node: SchemaNode, work: _Work) -> None:
        if not isinstance(node.value, dict):
            raise SchemaRefused(node.path, "is no schema: it must be an object, true or false")
        for keyword, argument in node.value.items():
            if (say := SAYS.get(keyword)) is not None:
                also = say(self, work.shape, argument, node)
                work.pending += [(each, node.path) for each in also]
            elif (choose := CHOOSES.get(keyword)) is not None:
                work.choices.append((choose(self, argument, node), node.path))
            else:
                continue
            if kinds := CONCERNS.get(keyword):
                work.shape.implied |= kinds

    def language_of(self, pattern: str, path: str, widest: bool = False) -> Language:
        """The strings that a pattern matches. Raises Refused."""
        if (pattern, widest) not in self._languages:
            try:
                self._languages[pattern, widest] = language.RegularLanguage(parse(pattern, widest))
            except Unsupported as error:
                raise SchemaRefused(path, f"the pattern {pattern!r} {error}") from None
        return self._languages[pattern, widest]

    def matches(self, pattern: str, text: str) -> bool:
        """Whether a key is taken for one that a pattern matches."""
        return language.has(self.language_of(pattern, "patternProperties", widest=_has_no_border(pattern)), text)

    def member(self, shape: SchemaShape, key: str) -> Nodes:
        """What the value of a member must satisfy."""
        return shape.member(key, self.matches)

    def impossible(self, nodes: Nodes, depth: int = DEEPEST_LOOK) -> bool:
        """Whether it is plain that nothing satisfies schemas."""
        return all(self._void(shape, depth) for shape in self.shapes(nodes))

    def _void(self, shape: SchemaShape, depth: int) -> bool:
        if shape.values is not None:
            return not any(self.fits(shape, value) for value in shape.values)
        return all(self._void_type(shape, kind, depth) for kind in shape.types)

    def _void_type(self, shape: SchemaShape, kind: str, depth: int) -> bool:
        match kind:
            case "integer":
                first, last = shape.interval.integers()
                return first is not None and last is not None and first > last
            case "fraction":
                return shape.interval.empty
            case "string":
                return shape.longest is not None and shape.shortest > shape.longest
            case "array":
                most = shape.most_items
                return (most is not None and shape.fewest_items > most) or any(
                    depth > 0 and self.impossible(shape.item(index), depth - 1)
                    for index in range(min(shape.fewest_items, 8))
                )
            case "object":
                return self._void_object(shape, depth)
        return False

    def _void_object(self, shape: SchemaShape, depth: int) -> bool:
        most = shape.most_members
        if most is not None and max(shape.fewest_members, len(shape.required)) > most:
            return True
        if not shape.forbidden.isdisjoint(shape.required):
            return True
        return depth > 0 and any(self.impossible(self.member(shape, key), depth - 1) for key in shape.required)

    def admits(self, nodes: Nodes, value: Any) -> bool:
        """Whether a value satisfies schemas."""
        return any(self.admits_shape(shape, value) for shape in self.shapes(nodes))

    def admits_shape(self, shape: SchemaShape, value: Any) -> bool:
        """Whether a value is of a shape."""
        listed = shape.values is None or identity(value) in map(identity, shape.values)
        return listed and self.fits(shape, value)

    def fits(self, shape: SchemaShape, value: Any) -> bool:
        """Whether a value is of a shape, though its `values` be others."""
        if type_of(value) not in shape.types or (shape.excluded and identity(value) in shape.excluded):
            return False
        if isinstance(value, bool) or value is None:
            return True
        if isinstance(value, int | float):
            number = decimal_of(value)
            return shape.interval.has(number) and all((number / factor).denominator == 1 for factor, _ in shape.factors)
        if isinstance(value, str):
            return self._admits_text(shape, value)
        return self._admits_array(shape, value) if isinstance(value, list) else self._admits_object(shape, value)

    def _admits_text(self, shape: SchemaShape, value: str) -> bool:
        if not all(conforms(value, each) for each in shape.formats):
            return False
        if len(value) < shape.shortest or (shape.longest is not None and len(value) > shape.longest):
            return False
        return all(language.has(self.language_of(*each), value) for each in shape.patterns) and not any(
            language.has(self.language_of(*each, widest=True), value) for each in shape.unlike
        )

    def _admits_array(self, shape: SchemaShape, value: list[Any]) -> bool:
        if len(value) < shape.fewest_items or (shape.most_items is not None and len(value) > shape.most_items):
            return False
        if shape.unique and any(same(value[i], value[j]) for i in range(len(value)) for j in range(i)):
            return False
        if not all(self.admits(shape.item(index), each) for index, each in enumerate(value)):
            return False
        counts = (
            (sum(self.admits((node,), each) for each in value), least, most) for node, least, most in shape.contains
        )
        return all(least <= count and (most is None or count <= most) for count, least, most in counts)

    def _admits_object(self, shape: SchemaShape, value: dict[str, Any]) -> bool:
        most = shape.most_members
        if len(value) < shape.fewest_members or (most is not None and len(value) > most):
            return False
        if not value.keys() >= shape.required.keys() or not shape.forbidden.isdisjoint(value):
            return False
        return all(self.admits(self.member(shape, key), each) for key, each in value.items()) and all(
            self.admits(tuple(shape.names), key) for key in value
        )


def _has_no_border(pattern: str) -> bool:
    return "\\b" not in pattern and "\\B" not in pattern


def conforms(value: str, form: str) -> bool:
    """Whether validators take a string for one of a format."""
    from jsonschema import FormatChecker  # for the few schemas whose enums have a format beside them

    return bool(FormatChecker().conforms(value, form))


def type_of(value: Any) -> str:
    """The type of a JSON value; a number is an integer if it has no fraction, however it is written."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if value == value // 1 else "fraction"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def identity(value: Any) -> str:
    """The same text for equal JSON values and no others: 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, float) and value % 1 == 0:
        value = int(value)
    if isinstance(value, list):
        return f"[{','.join(map(identity, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(key)}:{identity(value[key])}' for key in sorted(value))}}}"
    return json.dumps(value)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal."""
    return type_of(one) == type_of(other) and identity(one) == identity(other)


# What each keyword says. `say` functions change the shape and give further schemas that must hold.


def _say_type(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    shape.types &= named_types(argument, node)
    shape.typed = True
    return ()


def _say_types(_reader: Reader, shape: SchemaShape, argument: Any, _node: SchemaNode) -> Nodes:
    shape.types &= argument
    shape.typed = True
    return ()


def _say_enum(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    if argument == []:
        raise SchemaRefused(node.path, "enum is empty: there is nothing to choose from; name at least one value")
    values = {identity(value): value for value in list_of(argument, node, "enum")}
    before = None if shape.values is None else set(map(identity, shape.values))
    shape.values = [value for key, value in values.items() if before is None or key in before]
    return ()


def _say_const(reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    return _say_enum(reader, shape, [argument], node)


def _say_excluded(_reader: Reader, shape: SchemaShape, argument: Any, _node: SchemaNode) -> Nodes:
    shape.excluded = shape.excluded | {identity(value): value for value in argument}
    return ()


def _bound(keyword: str) -> Say:
    def say(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
        low = "inimum" in keyword
        if isinstance(argument, bool) and keyword.startswith("exclusive"):
            # As drafts up to 4, and OpenAPI 3.0, have it: a word about the bound beside it.
            beside = node.value.get("minimum" if low else "maximum")
            if not argument or beside is None:
                return ()
            argument = beside
        bound = number_of(argument, node, keyword)
        limited = shape.interval.above if low else shape.interval.below
        shape.interval = limited(bound, keyword.startswith("exclusive"))
        return ()

    return say


def _say_multiple(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    """Multiples are those of the decimals that are written, exactly.

    So has the specification it, and pydantic within what doubles round. Validators that divide doubles, such as
    jsonschema, take 0.07 for no multiple of 0.01: no text of it satisfies those.
    """
    factor = number_of(argument, node, "multipleOf")
    if factor <= 0:
        raise SchemaRefused(node.path, "multipleOf is not above 0")
    shape.factors = [*shape.factors, (factor, node.path)]
    return ()


def _limit(keyword: str, lower: str, upper: str) -> Say:
    def say(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
        count = count_of(argument, node, keyword)
        if keyword.startswith("min"):
            setattr(shape, lower, max(getattr(shape, lower), count))
        else:
            most = getattr(shape, upper)
            setattr(shape, upper, count if most is None else min(most, count))
        return ()

    return say


def _say_pattern(reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    reader.language_of(text_of(argument, node, "pattern"), node.path)
    shape.patterns = [*shape.patterns, (argument, node.path)]
    return ()


def _say_unlike(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    shape.unlike = [*shape.unlike, (argument, node.path)]
    return ()


def _say_format(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    shape.formats = [*shape.formats, text_of(argument, node, "format")]
    return ()


def _say_items(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    if isinstance(argument, list):
        # As drafts before 2020 have it.
        rest = node.value.get("additionalItems")
        after = None if rest is None else node.child(rest, "additionalItems")
        prefix = [node.child(each, "items", at) for at, each in enumerate(argument)]
        shape.arrays = [*shape.arrays, ArrayPart(prefix, after, node.path)]
    elif "prefixItems" not in node.value:
        shape.arrays = [*shape.arrays, ArrayPart([], node.child(argument, "items"), node.path)]
    return ()


def _say_prefix(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    prefix = [node.child(each, "prefixItems", at) for at, each in enumerate(list_of(argument, node, "prefixItems"))]
    after = node.child(node.value["items"], "items") if "items" in node.value else None
    shape.arrays = [*shape.arrays, ArrayPart(prefix, after, node.path)]
    return ()


def _say_unique(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    if not isinstance(argument, bool):
        raise SchemaRefused(node.path, "uniqueItems is neither true nor false")
    shape.unique = node.path if argument else shape.unique
    return ()


def _say_contains(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    least = count_of(node.value.get("minContains", 1), node, "minContains")
    most = node.value.get("maxContains")
    most = None if most is None else count_of(most, node, "maxContains")
    shape.contains = [*shape.contains, (node.child(argument, "contains"), least, most)]
    return ()


def _say_members(_reader: Reader, shape: SchemaShape, _argument: Any, node: SchemaNode) -> Nodes:
    """properties, patternProperties and additionalProperties belong together: the first of them speaks for all."""
    value = node.value
    if shape.objects and shape.objects[-1].path == node.path:
        return ()
    patterns = children_of(value.get("patternProperties", {}), node, "patternProperties")
    for pattern in patterns:
        _reader.language_of(pattern, node.path)
    additional = (
        node.child(value["additionalProperties"], "additionalProperties") if "additionalProperties" in value else None
    )
    properties = children_of(value.get("properties", {}), node, "properties")
    part = ObjectPart(properties, list(patterns.items()), additional, node.path)
    shape.objects = [*shape.objects, part]
    return ()


def _say_required(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    shape.required = shape.required | dict.fromkeys(texts_of(argument, node, "required"))
    return ()


def _say_forbidden(_reader: Reader, shape: SchemaShape, argument: Any, _node: SchemaNode) -> Nodes:
    shape.forbidden = shape.forbidden | argument
    return ()


def _say_names(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    shape.names = [*shape.names, node.child(argument, "propertyNames")]
    return ()


def _say_unevaluated_members(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    shape.closed_members = [*shape.closed_members, (node.child(argument, "unevaluatedProperties"), node.path)]
    return ()


def _say_unevaluated_items(_reader: Reader, shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    shape.closed_items = [*shape.closed_items, (node.child(argument, "unevaluatedItems"), node.path)]
    return ()


def _say_all(_reader: Reader, _shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    return tuple(node.child(each, "allOf", at) for at, each in enumerate(list_of(argument, node, "allOf")))


def _say_ref(_reader: Reader, _shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    return (resolved(text_of(argument, node, "$ref"), node),)


def _say_not(_reader: Reader, _shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    inner = node.child(argument, "not")
    return (SchemaNode(negated(inner), inner.path + "!", inner.root),)


def _say_id(_reader: Reader, _shape: SchemaShape, argument: Any, node: SchemaNode) -> Nodes:
    if node.value is not node.root and not str(argument).startswith("#"):
        raise SchemaRefused(node.path, "an $id inside of a schema, to which references are relative, is not supported")
    return ()


def _refuse(what: str) -> Say:
    def say(_reader: Reader, _shape: SchemaShape, _argument: Any, node: SchemaNode) -> Nodes:
        raise SchemaRefused(node.path, f"{what} is not supported")

    return say


# What makes alternatives.


def _choose_any(_reader: Reader, argument: Any, node: SchemaNode) -> list[Nodes]:
    branches = [node.child(each, "anyOf", at) for at, each in enumerate(list_of(argument, node, "anyOf"))]
    return [(each,) for each in branches]


def _choose_one(reader: Reader, argument: Any, node: SchemaNode) -> list[Nodes]:
    """One, and none of the others that it does not shut out itself."""
    branches = [node.child(each, "oneOf", at) for at, each in enumerate(list_of(argument, node, "oneOf"))]
    others: list[list[SchemaNode]] = [[] for _branch in branches]
    for first, one in enumerate(branches):
        for second in range(first + 1, len(branches)):
            if not reader.impossible((one, branches[second])):
                others[first].append(branches[second])
                others[second].append(one)
    return [
        (branch, *(SchemaNode(negated(other), other.path + "!", other.root) for other in rest))
        for branch, rest in zip(branches, others, strict=True)
    ]


def _choose_if(_reader: Reader, argument: Any, node: SchemaNode) -> list[Nodes]:
    condition = node.child(argument, "if")
    then = [node.child(node.value[key], key) for key in ("then",) if key in node.value]
    otherwise = [node.child(node.value[key], key) for key in ("else",) if key in node.value]
    if not then and not otherwise:
        return [()]
    return [(condition, *then), (SchemaNode(negated(condition), condition.path + "!", condition.root), *otherwise)]


def _choose_dependent_required(_reader: Reader, argument: Any, node: SchemaNode) -> list[Nodes]:
    return _dependencies(argument, node, "dependentRequired")


def _choose_dependent_schemas(_reader: Reader, argument: Any, node: SchemaNode) -> list[Nodes]:
    return _dependencies(argument, node, "dependentSchemas")


def _choose_dependencies(_reader: Reader, argument: Any, node: SchemaNode) -> list[Nodes]:
    return _dependencies(argument, node, "dependencies")


def _dependencies(argument: Any, node: SchemaNode, keyword: str) -> list[Nodes]:
    """Each name is absent, or brings along what depends on it."""
    alternatives: list[list[SchemaNode]] = [[]]
    for key, needs in map_of(argument, node, keyword).items():
        absent = node.child({Inner.FORBIDDEN: {key}}, keyword, key, "absent")
        present = node.child({"required": [key]}, keyword, key, "present")
        also = node.child({"required": needs} if isinstance(needs, list) else needs, keyword, key)
        alternatives = [[*each, *more] for each in alternatives for more in ([present, also], [absent])]
        if len(alternatives) > 256:
            raise SchemaRefused(node.path, f"{keyword} has too many combinations")
    return [tuple(each) for each in alternatives]


Say = Callable[[Reader, SchemaShape, Any, SchemaNode], Nodes]
Choose = Callable[[Reader, Any, SchemaNode], list[Nodes]]

MEMBERS = ("properties", "patternProperties", "additionalProperties")

SAYS: dict[object, Say] = {
    "type": _say_type,
    Inner.TYPES: _say_types,
    "enum": _say_enum,
    "const": _say_const,
    Inner.EXCLUDED: _say_excluded,
    "minimum": _bound("minimum"),
    "maximum": _bound("maximum"),
    "exclusiveMinimum": _bound("exclusiveMinimum"),
    "exclusiveMaximum": _bound("exclusiveMaximum"),
    "multipleOf": _say_multiple,
    "minLength": _limit("minLength", "shortest", "longest"),
    "maxLength": _limit("maxLength", "shortest", "longest"),
    "pattern": _say_pattern,
    Inner.UNLIKE: _say_unlike,
    "format": _say_format,
    "items": _say_items,
    "prefixItems": _say_prefix,
    "minItems": _limit("minItems", "fewest_items", "most_items"),
    "maxItems": _limit("maxItems", "fewest_items", "most_items"),
    "uniqueItems": _say_unique,
    "contains": _say_contains,
    "unevaluatedItems": _say_unevaluated_items,
    **dict.fromkeys(MEMBERS, _say_members),
    "required": _say_required,
    Inner.FORBIDDEN: _say_forbidden,
    "propertyNames": _say_names,
    "minProperties": _limit("minProperties", "fewest_members", "most_members"),
    "maxProperties": _limit("maxProperties", "fewest_members", "most_members"),
    "unevaluatedProperties": _say_unevaluated_members,
    "allOf": _say_all,
    "$ref": _say_ref,
    "not": _say_not,
    "$id": _say_id,
    "$dynamicRef": _refuse("$dynamicRef"),
    "$recursiveRef": _refuse("$recursiveRef"),
}

CHOOSES: dict[object, Choose] = {
    "anyOf": _choose_any,
    "oneOf": _choose_one,
    "if": _choose_if,
    "dependentRequired": _choose_dependent_required,
    "dependentSchemas": _choose_dependent_schemas,
    "dependencies": _choose_dependencies,
}

_OF_NUMBERS = frozenset({"integer", "fraction"})
CONCERNS: dict[object, frozenset[str]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _OF_NUMBERS),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format", Inner.UNLIKE), frozenset({"string"})),
    **dict.fromkeys(
        ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "unevaluatedItems"),
        frozenset({"array"}),
    ),
    **dict.fromkeys(
        (
            *MEMBERS,
            "required",
            "propertyNames",
            "minProperties",
            "maxProperties",
            "unevaluatedProperties",
            "dependentRequired",
            "dependentSchemas",
            "dependencies",
        ),
        frozenset({"object"}),
    ),
}
"""A schema that names no type and speaks of some is taken to mean these."""
