"""JSON Schemas as people, pydantic, zod and OpenAPI write them, and ones that no grammar can hold."""

from __future__ import annotations

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, HttpUrl, RootModel

Schema = dict[str, Any]


def string(pattern: str = "", **more: Any) -> Schema:
    return {"type": "string", **({"pattern": pattern} if pattern else {}), **more}


def obj(*required: str, **properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


class Color(enum.Enum):
    RED = "red"
    GREEN = 'gr"e\\en'


class Leaf(BaseModel):
    kind: Literal["leaf"]
    weight: float = Field(ge=0, le=1)


class Tree(BaseModel):
    kind: Literal["tree"] = "tree"
    children: list[Annotated[Leaf | Tree, Field(discriminator="kind")]] = Field(max_length=3)


class Node(BaseModel):
    name: str
    children: list[Node]


class Chain(BaseModel):
    value: int
    next: Chain | None = None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: UUID
    born: date
    seen: datetime
    wakes: time | None = None
    naps: timedelta = timedelta()
    price: Decimal = Decimal(0)
    cents: float = Field(multiple_of=0.01, ge=0, default=0)
    paid: Decimal = Field(multiple_of=0.01, default=Decimal(0))
    zip: str = Field(pattern=r"^\d{5}(-\d{4})?$")
    score: int = Field(ge=0, le=100, multiple_of=5)
    ratio: float = Field(gt=0, lt=1)
    color: Color
    tags: set[Literal["a", "b", "c", "d"]] = set()
    pair: tuple[int, str] = (1, "x")
    scores: dict[str, int] = {}
    levels: dict[Literal["low", "high"], bool] = {}
    either: int | str | None = None
    url: str = Field(default="", json_schema_extra={"format": "uri"})


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: Annotated[str, Field(min_length=1, max_length=20)]


class Names(RootModel[list[Annotated[str, Field(pattern="^[A-Z][a-z]+$")]]]):
    pass


class Link(BaseModel):
    u: HttpUrl
    other: AnyUrl
    title: Annotated[str, Field(min_length=1, max_length=5000, pattern=r"\S")]


PYDANTIC: dict[str, Schema] = {
    model.__name__: model.model_json_schema() for model in (Leaf, Tree, Node, Chain, Strict, Open, Names, Link)
}

LENGTHS: dict[str, Schema] = {
    "an address of mail": string(format="email", maxLength=254),
    "a short address of mail": string(format="email", maxLength=100),
    "a long address of mail": string(format="email", minLength=200, maxLength=254),
    "an address of the web": string(format="uri", minLength=1, maxLength=2083),
    "a short address of the web": string(format="uri", maxLength=12),
    "a long address of the web": string(format="uri", minLength=1000),
    "a very long address of the web": string(format="uri", minLength=4000),
    "a name of a host": string(format="hostname", maxLength=253),
    "a pointer": string(format="json-pointer", maxLength=4000),
    "what is not blank": string(r"\S", maxLength=5000),
    "what has no blanks": string(r"^\S+$", minLength=1, maxLength=5000),
    "a slug": string("^[a-z0-9]+(-[a-z0-9]+)*$", maxLength=5000),
    "a password": string(minLength=8, maxLength=5000, allOf=[{"pattern": "[A-Z]"}, {"pattern": "[0-9]"}]),
    "patterns with lengths of their own": string(
        "^.{1,3000}$", allOf=[{"pattern": "[A-Z]"}, {"pattern": "[0-9]"}, {"pattern": "[^a-z]"}]
    ),
    "words of a great length": string("^(ab|cd[0-9]{3}|x{40})*$", minLength=2000),
    "many long texts": obj(*"abc", **{name: string(r"\S", maxLength=4000 - at) for at, name in enumerate("abc")}),
    "many addresses": obj(*"abc", **{name: string(format="uri", maxLength=2083 - at) for at, name in enumerate("abc")}),
    "long keys": {
        "type": "object",
        "propertyNames": {"format": "email", "maxLength": 254},
        "additionalProperties": {"type": "null"},
        "minProperties": 1,
    },
}
"""Strings whose lengths, counted in every state of their automata, would be too many states."""

REFERENCES: dict[str, Schema] = {
    "recursion through the root": obj("v", v={"type": "integer"}, next={"$ref": "#"}),
    "definitions of draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$ref": "#/definitions/User",
        "definitions": {
            "User": obj("name", name=string(), friends={"type": "array", "items": {"$ref": "#/definitions/User"}})
        },
    },
    "a pointer with escapes": {
        "$ref": "#/$defs/a~1b~0c%25d",
        "$defs": {"a/b~c%d": obj("x", x={"type": "boolean"})},
    },
    "a pointer with spaces and quotes": {
        "$ref": "#/$defs/my%20%22type%22",
        "$defs": {'my "type"': string(maxLength=3)},
    },
    "a pointer into properties": obj("a", "b", a=string("^x+$"), b={"$ref": "#/properties/a"}),
    "a pointer through a list": {"anyOf": [{"type": "null"}, {"$ref": "#/anyOf/2"}, {"type": "boolean"}]},
    "a reference to a reference to a reference": {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/C"}, "C": {"type": "integer", "maximum": 3}},
    },
    "a reference with siblings": {
        "$ref": "#/$defs/Name",
        "minLength": 3,
        "description": "beside",
        "$defs": {"Name": string("^[a-z]+$", maxLength=5)},
    },
    "a reference that adds properties": {
        "allOf": [{"$ref": "#/$defs/Base"}],
        "properties": {"extra": {"type": "integer"}},
        "required": ["extra"],
        "$defs": {"Base": obj("id", id=string(maxLength=4))},
    },
    "an anchor": {"$ref": "#node", "$defs": {"N": {"$anchor": "node", **obj("n", n={"type": "null"})}}},
    "an id of its own": {
        "$id": "https://example.com/tree.json",
        **obj("l", l={"anyOf": [{"$ref": "https://example.com/tree.json"}, {"type": "null"}]}),
    },
    "two that need each other": {
        "$ref": "#/$defs/A",
        "$defs": {
            "A": obj("b", b={"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]}),
            "B": obj("a", a={"type": "array", "items": {"$ref": "#/$defs/A"}}),
        },
    },
    "a name that is a keyword of the grammar": {
        "$ref": "#/$defs/root",
        "$defs": {"root": {"$ref": "#/$defs/char"}, "char": string("^.$")},
    },
    "properties that are called like keywords": obj(
        "$ref", "type", **{"$ref": string("^r$"), "type": {"enum": ["enum", "const"]}, "$id": {"type": "integer"}}
    ),
    "any JSON, written out": {
        "$ref": "#/$defs/json",
        "$defs": {
            "json": {
                "anyOf": [
                    {"type": ["null", "boolean", "number", "string"]},
                    {"type": "array", "items": {"$ref": "#/$defs/json"}},
                    {"type": "object", "additionalProperties": {"$ref": "#/$defs/json"}},
                ]
            }
        },
    },
    "the same definition many times": {
        **obj(*"abcdefgh", **{name: {"$ref": "#/$defs/P"} for name in "abcdefgh"}),
        "$defs": {"P": obj("x", "y", x={"type": "number", "minimum": 0}, y={"type": "number"})},
    },
}

LOGIC: dict[str, Schema] = {
    "anyOf": {"anyOf": [{"type": "integer"}, string("^a"), {"type": "null"}]},
    "anyOf beside type": {"type": "string", "anyOf": [{"minLength": 5}, {"pattern": "^x"}], "maxLength": 8},
    "anyOf of what is required": {
        **obj(a={"type": "integer"}, b={"type": "integer"}),
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "oneOf of what is required": {
        **obj(a={"type": "integer"}, b={"type": "integer"}),
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "oneOf that overlaps in numbers": {"oneOf": [{"type": "integer", "minimum": 5}, {"type": "integer", "maximum": 9}]},
    "oneOf of number and integer": {
        "oneOf": [{"type": "number", "maximum": 9, "minimum": 0}, {"type": "integer", "minimum": 0}]
    },
    "oneOf told apart by a constant": {
        "oneOf": [obj("t", "v", t={"const": "i"}, v={"type": "integer"}), obj("t", "v", t={"const": "s"}, v=string())],
    },
    "oneOf of strings that overlap": {"oneOf": [string("^a"), string("b$")]},
    "oneOf in which three overlap": {"oneOf": [string(minLength=3), string(maxLength=5), {"type": "integer"}]},
    "allOf of objects": {
        "allOf": [obj("a", a={"type": "integer"}), obj("b", b=string()), {"properties": {"a": {"minimum": 3}}}]
    },
    "allOf of patterns": string("^[a-z]+$", allOf=[{"pattern": "q"}, {"pattern": "^.{2,6}$"}]),
    "allOf of allOf": {"allOf": [{"allOf": [{"type": "integer"}]}, {"allOf": [{"minimum": 3}, {"maximum": 5}]}]},
    "allOf and anyOf together": {
        "allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"maxLength": 2}, {"minimum": 1}]}],
    },
    "const": {"const": {"a": [1, 'q"\\\n', None, True], "é": 1.5}},
    "const false": {"const": False},
    "const beside a type": {"type": "integer", "const": 3},
    "enum of everything": {
        "enum": ["a", 1, 1.5, None, True, [1, "x"], {"k": "v"}, "", 'quote"', "back\\slash", "line\nend", "\x01", "😀"]
    },
    "enum cut by its siblings": {"enum": ["a", "bbbb", 3, None], "type": ["string", "null"], "maxLength": 2},
    "enum of numbers that begin alike": {"enum": [1, 10, 100, 1000, 12, 123]},
    "enum of words that begin alike": {"enum": ["in", "inner", "inn", "i", ""]},
    "two enums at once": {"allOf": [{"enum": [1, 2, 3]}, {"enum": [3.0, 2, "3"]}]},
    "enum cut by a pattern": {"enum": ["abc", "xyz", "a1"], "pattern": "^[a-z]+$"},
    "not a type": {"not": {"type": ["object", "array", "string"]}},
    "not an enum": {"type": "string", "not": {"enum": ["a", "b", "ab"]}, "maxLength": 2},
    "not a const among numbers": {"type": "integer", "minimum": 0, "maximum": 12, "not": {"const": 7}},
    "not a const among decimals": {"type": "number", "minimum": 0, "maximum": 2, "not": {"const": 1.5}},
    "not a pattern": string("^[a-c]{1,4}$", **{"not": {"pattern": "aa"}}),
    "not required": {**obj("a", a={"type": "integer"}, b={"type": "integer"}), "not": {"required": ["b"]}},
    "not not": {"not": {"not": {"type": "boolean"}}},
    "not anyOf": {"type": ["string", "integer"], "not": {"anyOf": [{"type": "string"}, {"minimum": 10}]}},
    "not a range": {"type": "integer", "not": {"minimum": 3, "maximum": 5}, "minimum": 0, "maximum": 9},
    "not a length": {"type": "string", "not": {"maxLength": 3}, "maxLength": 5},
    "not a reference": {"type": ["integer", "null"], "not": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "null"}}},
    "not items": {"type": "array", "items": {"enum": [1, 2]}, "not": {"items": {"const": 1}}, "maxItems": 3},
    "if, then and else": {
        **obj("kind", kind={"enum": ["card", "cash"]}, number=string("^[0-9]{4}$"), coins={"type": "integer"}),
        "if": {"properties": {"kind": {"const": "card"}}, "required": ["kind"]},
        "then": {"required": ["number"]},
        "else": {"required": ["coins"]},
    },
    "if and then": {"type": "integer", "if": {"minimum": 10}, "then": {"multipleOf": 10}, "minimum": 0, "maximum": 40},
    "if without a consequence": {"type": "integer", "if": {"minimum": 10}},
    "dependentRequired": {
        **obj(card=string(), address=string(), zip=string()),
        "dependentRequired": {"card": ["address"], "address": ["zip"]},
    },
    "dependencies of draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **obj(a={"type": "integer"}, b={"type": "integer"}),
        "dependencies": {"a": ["b"], "b": {"properties": {"b": {"minimum": 5}}}},
    },
    "dependentSchemas": {
        **obj(a={"type": "integer"}, b={"type": "integer"}),
        "dependentSchemas": {"a": {"required": ["b"]}},
    },
}

TYPES: dict[str, Any] = {
    "true": True,
    "empty": {},
    "null": {"type": "null"},
    "a list of types": {"type": ["string", "null", "integer"]},
    "nullable of OpenAPI 3.0": {"type": "string", "nullable": True, "maxLength": 3},
    "nullable by anyOf": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
    "what says nothing": {
        "title": "T",
        "description": "d",
        "examples": [1],
        "deprecated": True,
        "type": "boolean",
        "x-order": 1,
    },
    "no type, but properties": {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
    "no type, but a pattern": {"pattern": "^ab?$"},
    "no type, but items": {"items": {"type": "null"}, "maxItems": 2},
    "properties that are true and false": {"type": "object", "properties": {"a": True, "b": False}, "required": ["a"]},
    "integers between": {"type": "integer", "minimum": -3, "maximum": 250},
    "integers from": {"type": "integer", "minimum": 18},
    "integers to": {"type": "integer", "maximum": -5},
    "integers strictly between": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 3},
    "exclusive bounds of draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "integer",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 3,
        "exclusiveMaximum": False,
    },
    "integers between fractions": {"type": "integer", "minimum": 1.5, "maximum": 3.5},
    "one integer": {"type": "integer", "minimum": 7, "maximum": 7},
    "large integers": {"type": "integer", "minimum": 9007199254740993, "maximum": 9007199254740999},
    "very large integers": {"type": "integer", "minimum": 10**30},
    "multiples": {"type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 200},
    "negative multiples": {"type": "integer", "multipleOf": 4, "maximum": -1},
    "multiples of two numbers": {
        "type": "integer",
        "allOf": [{"multipleOf": 4}, {"multipleOf": 6}],
        "minimum": 1,
        "maximum": 100,
    },
    "multiples as a float": {"type": "integer", "multipleOf": 5.0, "minimum": 0, "maximum": 20},
    "halves": {"type": "number", "multipleOf": 0.5, "minimum": -1, "maximum": 2},
    **{
        f"multiples of {factor}": {"type": "number", "multipleOf": factor}
        for factor in (0.01, 0.1, 0.5, 0.05, 0.25, 0.15, 1.1, 1e-6, 1e-9, 12.3)
    },
    "money": {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 100_000},
    "much money": {"type": "number", "multipleOf": 0.01, "minimum": 1e9, "maximum": 1e10},
    "cents": {"type": "number", "multipleOf": 0.01, "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "cents and quarters": {"type": "number", "allOf": [{"multipleOf": 0.01}, {"multipleOf": 0.25}]},
    "integers of cents": {"type": "integer", "multipleOf": 0.01},
    "multiples of ten among numbers": {"type": "number", "multipleOf": 10, "minimum": 5, "maximum": 100},
    "probabilities": {"type": "number", "minimum": 0, "maximum": 1},
    "strictly between numbers": {"type": "number", "exclusiveMinimum": -0.25, "exclusiveMaximum": 0.125},
    "numbers from": {"type": "number", "minimum": 0.1},
    "numbers above a third": {"type": "number", "exclusiveMinimum": 0.3333333333333333, "maximum": 0.34},
    "small numbers": {"type": "number", "minimum": 1e-7, "maximum": 2e-7},
    "large numbers": {"type": "number", "minimum": 1e20},
    "numbers to": {"type": "number", "exclusiveMaximum": 0},
    "numbers that are no integers": {"type": "number", "not": {"type": "integer"}},
    "bytes": {"type": "integer", "minimum": 0, "maximum": 255, "format": "uint8"},
    "lengths": string(minLength=2, maxLength=4),
    "a least length": string(minLength=3),
    "no length": string(maxLength=0),
    "lengths as floats": string(minLength=1.0, maxLength=2.0),
    "a length beyond all": string(maxLength=1_000_000),
    "items between": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4},
    "a least number of items": {"type": "array", "items": {"type": "boolean"}, "minItems": 3},
    "no items": {"type": "array", "maxItems": 0},
    "items of anything": {"type": "array"},
    "items that are false": {"type": "array", "items": False},
    "a tuple": {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "items": False,
        "minItems": 2,
    },
    "a tuple that goes on": {
        "type": "array",
        "prefixItems": [{"const": 1}],
        "items": {"const": 2},
        "minItems": 2,
        "maxItems": 4,
    },
    "a tuple of draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array",
        "items": [{"type": "string"}, {"type": "integer"}],
        "additionalItems": False,
        "minItems": 1,
    },
    "a tuple longer than its prefix": {"type": "array", "prefixItems": [{"const": 1}], "minItems": 3, "maxItems": 3},
    "unique among few": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2},
    "unique among many": {
        "type": "array",
        "items": {"enum": list(range(40))},
        "uniqueItems": True,
        "minItems": 3,
        "maxItems": 5,
    },
    "unique booleans": {"type": "array", "items": {"type": ["boolean", "null"]}, "uniqueItems": True},
    "unique, of one at most": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 1},
    "contains": {
        "type": "array",
        "items": {"type": "integer"},
        "contains": {"minimum": 100, "type": "integer"},
        "maxItems": 3,
    },
    "contains twice": {
        "type": "array",
        "contains": {"const": "x"},
        "minContains": 2,
        "items": {"type": "string", "maxLength": 2},
    },
    "contains at most once": {
        "type": "array",
        "items": {"enum": [1, 2, 3]},
        "contains": {"const": 1},
        "maxContains": 1,
        "maxItems": 4,
    },
    "contains behind a prefix": {"type": "array", "prefixItems": [{"type": "string"}], "contains": {"type": "null"}},
    "unevaluatedItems": {"type": "array", "prefixItems": [{"const": 1}], "unevaluatedItems": False},
}

OBJECTS: dict[str, Schema] = {
    "order and absence": obj("b", a={"type": "integer"}, b=string(maxLength=3), c={"type": "boolean"}),
    "nothing required": obj(a={"type": "integer"}, b={"type": "null"}),
    "no properties": {"type": "object", "properties": {}},
    "any object": {"type": "object"},
    "a map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "a map that is not empty": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
    "a map of few": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2},
    "open beside properties": {**obj("a", a={"type": "integer"}), "additionalProperties": string(maxLength=2)},
    "open to all beside properties": {**obj("a", a={"type": "integer"}), "additionalProperties": True},
    "closed": {**obj("a", a={"type": "integer"}), "additionalProperties": False},
    "closed twice": {
        "allOf": [
            {**obj(a={"type": "integer"}, b={"type": "integer"}), "additionalProperties": False},
            {**obj(b={"minimum": 3}, c={"type": "integer"}), "additionalProperties": False},
        ]
    },
    "required and not declared": {"type": "object", "required": ["a", 'we"ird\\key\n']},
    "required of a map": {"type": "object", "required": ["a"], "additionalProperties": {"type": "boolean"}},
    "patternProperties": {
        "type": "object",
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": False,
    },
    "patternProperties of two kinds": {
        "type": "object",
        "patternProperties": {"^a": {"type": "integer", "maximum": 9}, "z$": {"type": "integer", "minimum": 5}},
        "additionalProperties": string(maxLength=1),
    },
    "patternProperties of many kinds": {
        "type": "object",
        "patternProperties": {f"^{letter}": {"const": letter} for letter in "abcdef"},
        "additionalProperties": False,
        "minProperties": 1,
    },
    "patternProperties and properties": {
        "type": "object",
        "properties": {"x-a": {"type": "integer"}, "b": {"type": "null"}},
        "patternProperties": {"^x-": {"minimum": 5}},
        "additionalProperties": False,
    },
    "propertyNames": {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z]{1,3}$"},
        "additionalProperties": {"type": "null"},
    },
    "propertyNames that are listed": {
        "type": "object",
        "propertyNames": {"enum": ["a", "b"]},
        "additionalProperties": {"type": "integer"},
        "minProperties": 2,
    },
    "minProperties": {**obj(a={"type": "null"}, b={"type": "null"}, c={"type": "null"}), "minProperties": 2},
    "maxProperties": {**obj("c", a={"type": "null"}, b={"type": "null"}, c={"type": "null"}), "maxProperties": 2},
    "unevaluatedProperties": {
        "allOf": [obj("a", a={"type": "integer"})],
        "properties": {"b": {"type": "null"}},
        "unevaluatedProperties": False,
    },
    "deep": {
        "type": "object",
        "properties": {"a": obj("b", b=obj("c", c={"type": "array", "items": obj("d", d=string())}))},
    },
    "keys that JSON must escape": obj(
        'a"b', "\\", "\n", **{'a"b': {"const": 1}, "\\": {"const": 2}, "\n": {"const": 3}, "é😀": {"const": 4}}
    ),
    "an optional property that nothing satisfies": obj(
        a={"type": "integer"}, b={"allOf": [{"type": "string"}, {"type": "null"}]}
    ),
}

PATTERNS: dict[str, Schema] = {
    pattern: string(pattern)
    for pattern in (
        r"^\d{5}$",
        r"^\d{3}-\d{4}$",
        r"^[A-Z]{2}\d+$",
        r"^\w+$",
        r"^[\w.-]+@[\w-]+\.\w{2,4}$",
        r"^\s*$",
        r"^\S+$",
        r"^\D+$",
        r"^\W+$",
        r"^[^\s]+$",
        r"^[^\d\W]+$",
        r"^[^a-z]+$",
        r'^[^"]*$',
        r"^[\"\\]+$",
        r"^a.b$",
        r"^(foo|bar)$",
        r"^(?:foo|bar)+$",
        r"^(?P<year>\d{4})-(?P<m>\d\d)$",
        r"^a|b$",
        r"^(a|b$)",
        r"foo",
        r"^foo",
        r"foo$",
        r"",
        r"^$",
        r"^[a-zA-Z0-9_-]{3,16}$",
        r"^#?([a-fA-F0-9]{6}|[a-fA-F0-9]{3})$",
        r"^(\([0-9]{3}\))?[0-9]{3}-[0-9]{4}$",
        r"^\/api\/.*$",
        r"^C:\\\\",
        r"^\\d$",
        r"^\t\n\r\f\v$",
        r"^\x41\u0042$",
        r"^[\u4e00-\u9fff]+$",
        r"^😀+$",
        r"^[😀-😎]$",
        r"^\.\*\+\?\(\)\[\]\{\}\|\^\$$",
        r"^a{2}b{1,}c{0,3}$",
        r"^a{,$",
        r"^{x}$",
        r"^]$",
        r"^[]a\]]$".replace("[]", r"[\]"),
        r"^[a\-z]$",
        r"^[-a]+$",
        r"^[a-]+$",
        r"^[\w-]+$",
        r"^(a*)*$",
        r"^(a+)+$",
        r"^(a|aa)+$",
        r"^(a?){3}$",
        r"^()$",
        r"^(|a)$",
        r"^a*?b+?c??$",
        r"\bfoo\b",
        r"^\bfoo bar\b$",
        r"\Bo",
        r"^[\b]$",
        r"^\0$",
        r"^[\x00-\x1f]$",
        r"\A\d\Z",
        r"^https?://[^\s/$.?#].[^\s]*$",
        r"^([01]\d|2[0-3]):[0-5]\d$",
        r"^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$".replace(r"(?!$)", ""),
        r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        r"^v?(0|[1-9]\d*)\.(0|[1-9]\d*)(-[\dA-Za-z-]+)?$",
        r"^\+?[1-9]\d{1,14}$",
        r"^.{8,20}$",
        r"^[^\n]+$",
        r"^\$\d+(\.\d{2})?$",
        r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    )
}

OF_ECMA = {r"^(?<name>x)$": "^x$", r"^\cJ$": "^\n$", r"^\p{Lu}\p{Ll}+$": "^[^a-z\\W\\d_]\\w+$", r"^\p{Nd}$": r"^\d$"}
"""Patterns that Python does not know, with ones that it does."""

MIXED: dict[str, Schema] = {
    "a pattern and lengths": string("^[a-z]+$", minLength=3, maxLength=5),
    "a loose pattern and lengths": string("q", minLength=2, maxLength=4),
    "a pattern and a format": string("^2", format="date"),
    "a pattern on items": {"type": "array", "items": string(r"^\d+$"), "maxItems": 3},
    "zod: a user": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "email": string(format="email"),
            "age": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9007199254740991},
            "role": string(enum=["admin", "user"]),
            "slug": string("^[a-z0-9]+(?:-[a-z0-9]+)*$", maxLength=20),
            "meta": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {}},
            "point": {"type": "array", "minItems": 2, "maxItems": 2, "items": [{"type": "number"}, {"type": "number"}]},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "both": {"allOf": [obj("a", a=string()), obj("b", b={"type": "number"})]},
        },
        "required": ["email", "age", "role", "point"],
        "additionalProperties": False,
    },
    "OpenAPI: an order": {
        "type": "object",
        "required": ["id", "items"],
        "properties": {
            "id": {"type": "integer", "format": "int64", "minimum": 1, "example": 10},
            "shipDate": string(format="date-time"),
            "status": string(enum=["placed", "approved"], description="d"),
            "complete": {"type": "boolean", "default": False},
            "items": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Item"}},
            "password": string(format="password", minLength=8, maxLength=12),
        },
        "discriminator": {"propertyName": "status"},
        "xml": {"name": "order"},
        "components": {
            "schemas": {"Item": obj("sku", sku=string("^[A-Z]{3}-[0-9]+$"), count={"type": "integer", "minimum": 1})}
        },
    },
    "GeoJSON": {
        "oneOf": [
            obj("type", "coordinates", type={"enum": [kind]}, coordinates=coordinates)
            for kind, coordinates in (
                ("Point", {"type": "array", "minItems": 2, "maxItems": 3, "items": {"type": "number"}}),
                (
                    "Line",
                    {
                        "type": "array",
                        "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                    },
                ),
            )
        ]
    },
    "an expression": {
        "$ref": "#/$defs/e",
        "$defs": {
            "e": {
                "anyOf": [
                    {"type": "number", "minimum": 0, "maximum": 9},
                    {
                        **obj(
                            "op",
                            "args",
                            op={"enum": ["+", "*"]},
                            args={"type": "array", "items": {"$ref": "#/$defs/e"}, "minItems": 2, "maxItems": 2},
                        )
                    },
                ]
            }
        },
    },
}

FORMATS = (
    *("date", "time", "date-time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6"),
    *("uri", "iri", "uri-reference", "iri-reference", "uri-template", "uuid", "json-pointer"),
    *("relative-json-pointer", "regex"),
)
"""Those of the specification."""
FORMATTED = {name: string(format=name) for name in (*FORMATS, "binary", "password", "unknown")}

TABLE: dict[str, Any] = {
    f"{group}: {name}": schema
    for group, schemas in {
        "pydantic": PYDANTIC,
        "references": REFERENCES,
        "logic": LOGIC,
        "types": TYPES,
        "lengths": LENGTHS,
        "objects": OBJECTS,
        "pattern": PATTERNS,
        "mixed": MIXED,
        "format": FORMATTED,
    }.items()
    for name, schema in schemas.items()
}


REFUSED: dict[str, tuple[Any, str, str]] = {
    "an unknown type": ({"type": "nonsense"}, "its root", "type is none of"),
    "an unknown type within": (obj(a={"type": "sring"}), "/properties/a", "type is none of"),
    "an enum of nothing": (obj(a={"enum": []}), "/properties/a", "enum is empty"),
    "anyOf nothing": ({"anyOf": []}, "its root", "anyOf is empty"),
    "no schema": (obj(a=3), "/properties/a", "is no schema"),
    "properties that are none": ({"type": "object", "properties": 3}, "its root", "properties is no object"),
    "required as draft 3 has it": (obj(a={"type": "string", "required": True}), "/properties/a", "required is no list"),
    "a length that is none": (string(maxLength="many"), "its root", "maxLength is no number of things"),
    "a negative length": (string(minLength=-1), "its root", "minLength is no number of things"),
    "half a length": (string(minLength=1.5), "its root", "minLength is no number of things"),
    "a bound that is none": ({"type": "integer", "minimum": "3"}, "its root", "minimum is no number"),
    "multiples of nothing": ({"type": "integer", "multipleOf": 0}, "its root", "multipleOf is not above 0"),
    "multiples of too large a fraction": (
        {"type": "number", "multipleOf": 0.3333333333333333},
        "its root",
        "is too large for an automaton",
    ),
    "no multiple in between": (
        {"type": "number", "multipleOf": 0.01, "minimum": 0.005, "maximum": 0.009},
        "its root",
        "no value that ends",
    ),
    "a reference to nothing": (obj(a={"$ref": "#/$defs/missing"}), "/properties/a", "leads nowhere"),
    "a reference out of the schema": ({"$ref": "https://example.com/s"}, "its root", "leads out of the schema"),
    "a reference to a file": ({"$ref": "other.json#/x"}, "its root", "leads out of the schema"),
    "a reference to itself": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        "/$defs/A",
        "refers to itself",
    ),
    "references in a circle": (
        {
            "$ref": "#/$defs/A",
            "$defs": {"A": {"allOf": [{"$ref": "#/$defs/B"}]}, "B": {"anyOf": [{"$ref": "#/$defs/A"}]}},
        },
        "/$defs/A",
        "refers to itself",
    ),
    "the root as itself": ({"$ref": "#"}, "its root", "refers to itself"),
    "a dynamic reference": ({"$dynamicRef": "#x"}, "its root", "$dynamicRef is not supported"),
    "a value without an end": (obj("next", next={"$ref": "#"}), "its root", "no value that ends"),
    "a contradiction": ({"type": "integer", "minimum": 3, "maximum": 2}, "its root", "no value that ends"),
    "a contradiction within": (obj("a", a={"allOf": [{"const": 1}, {"const": 2}]}), "its root", "no value that ends"),
    "false": (False, "its root", "no value that ends"),
    "a pattern that contradicts its length": (string("^a{5}$", maxLength=3), "its root", "no value that ends"),
    "a lookahead": (obj(a=string("^(?=.*[A-Z]).+$")), "/properties/a", "a lookahead"),
    "a negative lookahead": (string("^(?!x)"), "its root", "a negative lookahead"),
    "a lookbehind": (string("(?<=a)b"), "its root", "a lookbehind"),
    "a back reference": (string(r"^(a|b)\1$"), "its root", "a back reference"),
    "a named back reference": (string(r"^(?P<x>a)(?P=x)$"), "its root", "a back reference"),
    "flags": (string("(?i)abc"), "its root", "flags in a group"),
    "a possessive quantifier": (string("^a++b$"), "its root", "a possessive quantifier"),
    "an atomic group": (string("^(?>a)b$"), "its root", "an atomic group"),
    "a class that dialects read differently": (string("^[]a]$"), "its root", "a class that begins with ]"),
    "an escape that is none": (string(r"^\y$"), "its root", r"an escape \y"),
    "a property that is no category": (string(r"^\p{Script=Greek}$"), "its root", "a property"),
    "an open group": (string("^(a$"), "its root", "a ( that nothing closes"),
    "a closed group": (string("^a)$"), "its root", "a ) that opens nowhere"),
    "an open class": (string("^[a$"), "its root", "ends in the middle"),
    "nothing to repeat": (string("^*"), "its root", "repeats what cannot be repeated"),
    "a repetition without end": (string("+a"), "its root", "nothing to repeat"),
    "a quantifier the wrong way round": (string("a{3,2}"), "its root", "the wrong way round"),
    "a range the wrong way round": (string("[z-a]"), "its root", "the wrong way round"),
    "a repetition of repetitions": (string("^((a{1000}){1000}){1000}$"), "its root", "too large"),
    "an automaton that explodes": (string("(a|b)*a(a|b){24}$"), "its root", "states"),
    "unique strings": (
        obj(a={"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        "/properties/a",
        "uniqueItems",
    ),
    "not items behind a prefix": ({"type": "array", "not": {"prefixItems": [{"const": 1}]}}, "/not", "prefixItems"),
    "not a format": ({"type": "string", "not": {"format": "date"}}, "/not", "of format"),
    "not closed": ({"type": "object", "not": {"additionalProperties": False}}, "/not", "of additionalProperties"),
    "many keys of a map": (
        {"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 3},
        "its root",
        "minProperties",
    ),
    "combinations without end": (
        {
            "$ref": "#/$defs/a0",
            "$defs": {
                f"a{n}": {"allOf": [{"anyOf": [{"minimum": n}, {"maximum": 99 - n}]}, {"$ref": f"#/$defs/a{n + 1}"}]}
                for n in range(40)
            }
            | {"a40": {}},
        },
        "",
        "too many combinations",
    ),
    "an id within": (obj(a={"$id": "https://example.com/a", "type": "string"}), "/properties/a", "an $id inside"),
}
"""Schemas with where the error says the reason lies, and the reason."""
