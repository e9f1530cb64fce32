"""What does not satisfy a schema, as a schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aios.models.local.engine.schema.errors import SchemaRefused
from aios.models.local.engine.schema.nodes import (
    EVERY_TYPE,
    Inner,
    SchemaNode,
    children_of,
    count_of,
    list_of,
    map_of,
    named_types,
    text_of,
    texts_of,
)
from aios.models.local.engine.schema.references import resolved


def negated(node: SchemaNode) -> Any:
    """A schema of what does not satisfy a schema. Raises Refused where that cannot be said."""
    value = node.value
    if isinstance(value, bool):
        return not value
    if not isinstance(value, dict):
        raise SchemaRefused(node.path, "is no schema: it must be an object, true or false")
    if "if" in value:
        raise SchemaRefused(node.path, "not, of an if, cannot be held in a grammar")
    found = []
    for keyword, argument in value.items():
        if keyword == "$id":
            continue
        if keyword in NEGATIONS:
            found.append(NEGATIONS[keyword](argument, node))
        elif keyword in UNNEGATED:
            raise SchemaRefused(
                node.path, f"not, or a oneOf whose branches overlap, of {keyword} cannot be held in a grammar"
            )
    return {"anyOf": found} if found else False


def _of(kinds: frozenset[str], **said: Any) -> dict[Any, Any]:
    return {Inner.TYPES: kinds, **said}


_NUMBERS = frozenset({"integer", "fraction"})
_STRINGS, _ARRAYS, _OBJECTS = frozenset({"string"}), frozenset({"array"}), frozenset({"object"})


def _not_type(argument: Any, node: SchemaNode) -> Any:
    return {Inner.TYPES: EVERY_TYPE - named_types(argument, node)}


def _not_bound(keyword: str, opposite: str) -> Negation:
    def negation(argument: Any, node: SchemaNode) -> Any:
        if isinstance(argument, bool):
            raise SchemaRefused(node.path, f"not, of {keyword} as a word, cannot be held in a grammar")
        return _of(_NUMBERS, **{opposite: argument})

    return negation


def _not_least(keyword: str, opposite: str, kinds: frozenset[str]) -> Negation:
    def negation(argument: Any, node: SchemaNode) -> Any:
        count = count_of(argument, node, keyword)
        return _of(kinds, **{opposite: count - 1}) if count else False

    return negation


def _not_most(keyword: str, opposite: str, kinds: frozenset[str]) -> Negation:
    return lambda argument, node: _of(kinds, **{opposite: count_of(argument, node, keyword) + 1})


def _not_required(argument: Any, node: SchemaNode) -> Any:
    names = texts_of(argument, node, "required")
    return {"anyOf": [{Inner.TYPES: _OBJECTS, Inner.FORBIDDEN: {name}} for name in names]} if names else False


def _not_properties(argument: Any, node: SchemaNode) -> Any:
    found = [
        _of(_OBJECTS, required=[key], properties={key: SchemaNode({"not": child}, child.path + "!!", child.root)})
        for key, child in children_of(argument, node, "properties").items()
        if child.value is not True and child.value != {}
    ]
    return {"anyOf": found} if found else False


def _not_dependent(argument: Any, node: SchemaNode) -> Any:
    found = [
        {Inner.TYPES: _OBJECTS, "required": [key], Inner.FORBIDDEN: {need}}
        for key, needs in map_of(argument, node, "dependentRequired").items()
        for need in texts_of(needs, node, "dependentRequired")
    ]
    return {"anyOf": found} if found else False


def _not_each(keyword: str, joined: str) -> Negation:
    def negation(argument: Any, node: SchemaNode) -> Any:
        children = [node.child(each, keyword, at) for at, each in enumerate(list_of(argument, node, keyword))]
        return {joined: [SchemaNode({"not": child}, child.path + "!!", child.root) for child in children]}

    return negation


def _not_ref(argument: Any, node: SchemaNode) -> Any:
    target = resolved(text_of(argument, node, "$ref"), node)
    return SchemaNode({"not": target}, target.path + "!!", target.root)


def _not_items(argument: Any, node: SchemaNode) -> Any:
    if isinstance(argument, list) or "prefixItems" in node.value:
        raise SchemaRefused(node.path, "not, of items behind a prefix, cannot be held in a grammar")
    child = node.child(argument, "items")
    return _of(_ARRAYS, contains=SchemaNode({"not": child}, child.path + "!!", child.root))


def _not_contains(argument: Any, node: SchemaNode) -> Any:
    if {"minContains", "maxContains"} & node.value.keys():
        raise SchemaRefused(node.path, "not, of contains with counts, cannot be held in a grammar")
    child = node.child(argument, "contains")
    return _of(_ARRAYS, items=SchemaNode({"not": child}, child.path + "!!", child.root))


def _not_pattern(argument: Any, node: SchemaNode) -> Any:
    return {Inner.TYPES: _STRINGS, Inner.UNLIKE: text_of(argument, node, "pattern")}


Negation = Callable[[Any, SchemaNode], Any]

NEGATIONS: dict[object, Negation] = {
    "type": _not_type,
    Inner.TYPES: lambda argument, _node: {Inner.TYPES: EVERY_TYPE - argument},
    "enum": lambda argument, node: {Inner.EXCLUDED: list_of(argument, node, "enum")},
    "const": lambda argument, _node: {Inner.EXCLUDED: [argument]},
    Inner.EXCLUDED: lambda argument, _node: {"enum": argument},
    "minimum": _not_bound("minimum", "exclusiveMaximum"),
    "maximum": _not_bound("maximum", "exclusiveMinimum"),
    "exclusiveMinimum": _not_bound("exclusiveMinimum", "maximum"),
    "exclusiveMaximum": _not_bound("exclusiveMaximum", "minimum"),
    "minLength": _not_least("minLength", "maxLength", _STRINGS),
    "maxLength": _not_most("maxLength", "minLength", _STRINGS),
    "minItems": _not_least("minItems", "maxItems", _ARRAYS),
    "maxItems": _not_most("maxItems", "minItems", _ARRAYS),
    "minProperties": _not_least("minProperties", "maxProperties", _OBJECTS),
    "maxProperties": _not_most("maxProperties", "minProperties", _OBJECTS),
    "pattern": _not_pattern,
    Inner.UNLIKE: lambda argument, _node: _of(_STRINGS, pattern=argument),
    "required": _not_required,
    Inner.FORBIDDEN: lambda argument, _node: {"anyOf": [_of(_OBJECTS, required=[name]) for name in argument]},
    "properties": _not_properties,
    "dependentRequired": _not_dependent,
    "allOf": _not_each("allOf", "anyOf"),
    "anyOf": _not_each("anyOf", "allOf"),
    "not": lambda argument, node: node.child(argument, "not"),
    "$ref": _not_ref,
    "items": _not_items,
    "contains": _not_contains,
}

UNNEGATED = frozenset(
    {
        *("multipleOf", "format", "prefixItems", "uniqueItems", "unevaluatedItems"),
        *("patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties"),
        *("oneOf", "if", "dependentSchemas", "dependencies", "$dynamicRef", "$recursiveRef"),
    }
)
"""Keywords that say something of which the opposite cannot be said; all others say nothing."""
