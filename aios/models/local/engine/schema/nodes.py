"""Schemas and where they stand, and the arguments of their keywords."""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple

from aios.models.local.engine.schema.errors import SchemaRefused
from aios.models.local.engine.schema.numbers import decimal_of

TYPES = {
    "null": {"null"},
    "boolean": {"boolean"},
    "string": {"string"},
    "array": {"array"},
    "object": {"object"},
    "integer": {"integer"},
    "number": {"integer", "fraction"},
}
EVERY_TYPE = frozenset().union(*TYPES.values())


class Inner(Enum):
    """Keywords of our own, which no schema can have: what a negated one says."""

    TYPES = "types"
    EXCLUDED = "excluded"
    FORBIDDEN = "forbidden"
    UNLIKE = "unlike"


class SchemaNode(NamedTuple):
    """A schema and where it stands; of equal paths are equal schemas."""

    value: Any
    path: str
    root: Any

    def child(self, value: Any, *keys: object) -> SchemaNode:
        """A schema inside, which may have come from elsewhere already."""
        if isinstance(value, SchemaNode):
            return value
        steps = "/".join(str(key).replace("~", "~0").replace("/", "~1") for key in keys)
        return SchemaNode(value, f"{self.path}/{steps}", self.root)


Nodes = tuple[SchemaNode, ...]


def count_of(argument: Any, node: SchemaNode, keyword: str) -> int:
    """A number of things. Raises Refused."""
    if isinstance(argument, bool) or not isinstance(argument, int | float) or argument < 0 or argument % 1:
        raise SchemaRefused(node.path, f"{keyword} is no number of things: {argument!r:.40}")
    return int(argument)


def number_of(argument: Any, node: SchemaNode, keyword: str) -> Fraction:
    """A number, as it is written. Raises Refused."""
    if isinstance(argument, bool) or not isinstance(argument, int | float) or argument - argument != 0:
        raise SchemaRefused(node.path, f"{keyword} is no number: {argument!r:.40}")
    return decimal_of(argument)


def text_of(argument: Any, node: SchemaNode, keyword: str) -> str:
    """A string. Raises Refused."""
    if not isinstance(argument, str):
        raise SchemaRefused(node.path, f"{keyword} is no string: {argument!r:.40}")
    return argument


def texts_of(argument: Any, node: SchemaNode, keyword: str) -> list[str]:
    """A list of strings. Raises Refused."""
    if not isinstance(argument, list) or not all(isinstance(each, str) for each in argument):
        raise SchemaRefused(node.path, f"{keyword} is no list of names: {argument!r:.40}")
    return argument


def list_of(argument: Any, node: SchemaNode, keyword: str) -> list[Any]:
    """A list that is not empty. Raises Refused."""
    if not isinstance(argument, list) or not argument:
        raise SchemaRefused(node.path, f"{keyword} is empty, or no list; name at least one")
    return argument


def map_of(argument: Any, node: SchemaNode, keyword: str) -> dict[str, Any]:
    """An object. Raises Refused."""
    if not isinstance(argument, dict):
        raise SchemaRefused(node.path, f"{keyword} is no object: {argument!r:.40}")
    return argument


def children_of(argument: Any, node: SchemaNode, keyword: str) -> dict[str, SchemaNode]:
    """The schemas of an object, by their keys. Raises Refused."""
    return {key: node.child(value, keyword, key) for key, value in map_of(argument, node, keyword).items()}


def named_types(argument: Any, node: SchemaNode) -> frozenset[str]:
    """The types that a `type` names. Raises Refused."""
    names = [argument] if isinstance(argument, str) else argument
    if not isinstance(names, list) or not names or any(name not in TYPES for name in names if isinstance(name, str)):
        raise SchemaRefused(node.path, f"type is none of {', '.join(TYPES)}: {argument!r:.60}")
    texts_of(names, node, "type")
    return frozenset().union(*(TYPES[name] for name in names))
