"""Schemas and the grammars that are made of them: whatever is generated satisfies its schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from random import Random
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend, validator_for
from pydantic import Field, TypeAdapter

from aios.models.local.engine.grammar import to_gbnf
from aios.models.local.engine.llama import LlamaModel
from aios.models.local.engine.schema.negation import NEGATIONS, UNNEGATED
from aios.models.local.engine.schema.numbers import decimal_of
from aios.models.local.engine.schema.shapes import CHOOSES, SAYS
from aios_syscalls import BadRequest
from tests.models.local.gbnf import Walker
from tests.models.local.schemas import FORMATS, OF_ECMA, PATTERNS, PYDANTIC, REFUSED, TABLE, obj
from tests.models.local.test_local_grammar import accepts

pytestmark = pytest.mark.whole

VALUES = 15
"""How many values are drawn of each schema."""

checker = FormatChecker(FormatChecker.checkers.keys())


def _is_moment(value: str) -> bool:
    return len(value) > 19 and datetime.fromisoformat(value).tzinfo is not None


def _is_time(value: str) -> bool:
    return _is_moment(f"2000-01-01T{value}")


def _is_duration(value: str) -> bool:
    form = r"P(?!$)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)"
    return bool(re.fullmatch(form, value))


def _is_host(value: str) -> bool:
    form = r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
    return bool(re.fullmatch(form, value))


def _is_pointer(value: str) -> bool:
    return bool(re.fullmatch(r"(/([^~/]|~[01])*)*", value))


for _name, _check in {
    "date-time": _is_moment,
    "time": _is_time,
    "duration": _is_duration,
    "hostname": _is_host,
    "json-pointer": _is_pointer,
}.items():
    checker.checks(_name, raises=ValueError)(lambda value, check=_check: not isinstance(value, str) or check(value))


def _multiple(_validator: Any, factor: float, value: Any, _schema: Any) -> Iterator[ValidationError]:
    """As the specification has it: jsonschema itself divides doubles, and takes 0.07 for no multiple of 0.01."""
    if type(value) in (int, float) and (decimal_of(value) / decimal_of(factor)).denominator != 1:
        yield ValidationError(f"{value!r} is no multiple of {factor}")


@cache
def exact(kind: Any) -> Any:
    """A validator that takes decimals as they are written."""
    return extend(kind, {"multipleOf": _multiple})


def fault(schema: Any, text: str) -> str | None:
    """Why a text is no JSON that satisfies a schema."""
    try:
        value = json.loads(text)
        text.encode()
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError as error:
        return f"{text!r} is no JSON: {error}"
    kind = exact(validator_for(schema, default=Draft202012Validator))
    wrong = next(kind(schema, format_checker=checker).iter_errors(value), None)
    return wrong and f"{text!r:.300}: {wrong.message:.200}"


@cache
def made(name: str) -> tuple[str, Walker]:
    """The grammar of a schema of the table."""
    source = to_gbnf([TABLE[name]])
    return source, Walker(source)


def test_what_a_grammar_lets_through_satisfies_its_schema() -> None:
    assert len(TABLE) > 200
    random, faults = Random(12), []
    for name, schema in TABLE.items():
        _source, walker = made(name)
        for _ in range(VALUES):
            if found := fault(schema, walker.text(random)):
                faults.append(f"{name}: {found}")
                break
    assert faults == []


def test_what_is_drawn_is_let_through_by_llama_cpp(llama: LlamaModel) -> None:
    random, faults = Random(21), []
    for name in TABLE:
        source, walker = made(name)
        for _ in range(2):
            text = walker.text(random, patience=20)
            # This model has no tokens for some bytes.
            if spelled(llama, text) and not accepts(llama, source, text):
                faults.append(f"{name}: {text!r}")
    assert faults == []


def spelled(llama: LlamaModel, text: str) -> bool:
    return b"".join(map(llama.piece, llama.tokenize(text))) == text.encode()


def test_bounds_of_the_length_leave_room_for_what_is_usual(llama: LlamaModel) -> None:
    usual = {
        "an address of mail": "mary.ann.smith+news@mail.example-company.co.uk",
        "a short address of mail": "mary.smith@example.org",
        "an address of the web": f"https://www.example.org:8080/a/b/{'c' * 400}?q={'d' * 400}#{'e' * 400}",
        "a name of a host": "a.very-long-name-of-a.example",
        "what is not blank": " word " * 300,
        "what has no blanks": "word" * 500,
        "a slug": "one-two-three",
        "a password": "lower Upper 7 " + "x" * 800,
        "patterns with lengths of their own": "lower Upper 7 " + "x" * 800,
    }
    for name, text in usual.items():
        assert accepts(llama, made(f"lengths: {name}")[0], json.dumps(text)), name


def test_pydantic_takes_the_multiples_of_decimals_that_are_generated() -> None:
    random = Random(7)
    for factor in (0.01, 0.1, 0.05, 0.15, 0.7, 1.1, 1e-6, 1e-9):
        walker = Walker(to_gbnf([{"type": "number", "multipleOf": factor}]))
        kind = TypeAdapter(Annotated[float, Field(multiple_of=factor)])
        for _ in range(100):
            kind.validate_json(walker.text(random))


def test_strings_of_a_pattern_match_it() -> None:
    random = Random(3)
    for pattern, known in ({pattern: pattern for pattern in PATTERNS} | OF_ECMA).items():
        walker = Walker(to_gbnf([{"type": "string", "pattern": pattern}]))
        for _ in range(40):
            text = json.loads(walker.text(random))
            assert re.search(known, text), (pattern, text)


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_grammar_cannot_hold_is_refused_by_name_and_place(name: str) -> None:
    schema, place, reason = REFUSED[name]
    with pytest.raises(BadRequest) as caught:
        to_gbnf([schema])
    assert caught.value.field == "response_schema"
    assert reason in caught.value.message
    assert place in caught.value.message


def test_of_each_keyword_that_says_something_it_is_known_whether_its_opposite_can_be_said() -> None:
    assert SAYS.keys() | CHOOSES.keys() == NEGATIONS.keys() | UNNEGATED | {"$id"}
    assert not NEGATIONS.keys() & UNNEGATED


def nested(depth: int, schema: Any = None) -> Any:
    for _ in range(depth):
        schema = {"type": "array", "items": schema or {"type": "null"}}
    return schema


def chain(length: int) -> Any:
    definitions = {
        f"d{n}": {"properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}, "b": {"$ref": f"#/$defs/d{n + 1}"}}}
        for n in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{length}": {"type": "null"}}}


def test_large_schemas_are_bounded() -> None:
    for deep in (nested(1_000), nested(100_000), {"properties": {"a": nested(1_000)}}):
        with pytest.raises(BadRequest, match="nested too deeply"):
            to_gbnf([deep])
    assert Walker(to_gbnf([nested(150)])).text(Random(1))
    # Exponentially many ways, linearly many rules.
    assert to_gbnf([chain(100)]).count("\n") < 5_000
    with pytest.raises(BadRequest, match="too large"):
        to_gbnf([{"enum": list(range(600_000))}])
    with pytest.raises(BadRequest, match="too large"):
        to_gbnf([{"properties": {f"p{n}": {"type": "string", "pattern": f"^[a-z]{{{4000 - n}}}$"} for n in range(9)}}])


def test_a_grammar_grows_with_its_schema_and_not_faster() -> None:
    """Twice the words, twice the rules; and few ways are open at a time, which is what a token costs."""
    sizes = []
    for count in (5_000, 10_000, 20_000):
        words = [f"{n * 7919 % 1_000_003:06d}-{'xyz'[n % 3]}" for n in range(count)]
        source = to_gbnf([{"type": "string", "enum": words}])
        sizes.append(len(source))
        assert max(line.count(" | ") for line in source.split("\n")) < 20
        assert len(source) < 4 * sum(map(len, words))
    assert sizes[2] < 2.5 * sizes[1] < 2.5 * 2.5 * sizes[0]


def tree(levels: int) -> str:
    return f'{{"name":"x","children":[{tree(levels - 1) if levels else ""}]}}'


def test_recursion_has_an_end(llama: LlamaModel) -> None:
    """So has what a small model writes that likes to open brackets."""
    source = to_gbnf([PYDANTIC["Node"]])
    assert [accepts(llama, source, tree(levels)) for levels in (0, 1, 7, 9)] == [True, True, True, False]
    for seed in range(20):
        text = Walker(source).text(Random(seed), patience=3_000)
        assert fault(PYDANTIC["Node"], text) is None
    # Where so few levels are too few, all that are needed are there.
    levels = {f"d{n}": obj("a", "b", a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": "#/$defs/end"}) for n in range(30)}
    back = {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/d0"}]}
    deep = {"$ref": "#/$defs/d0", "$defs": {**levels, "d30": {"type": "null"}, "end": back}}
    assert fault(deep, Walker(to_gbnf([deep])).text(Random(1), patience=5)) is None


GOOD = [
    ({"type": "integer", "minimum": 0, "maximum": 120}, ["0", "7", "99", "120"], ["-1", "121", "007", "1.0", "-0"]),
    (
        {"type": "number", "minimum": 0, "maximum": 1},
        ["0", "1", "0.5", "1.0", "0.125"],
        ["1.1", "-0.1", "2", "00", "1.00001"],
    ),
    ({"type": "number", "exclusiveMinimum": -1.5}, ["-1.4", "-1.49", "3.25", "-1"], ["-1.5", "-1.6", "-2"]),
    ({"type": "string", "pattern": r"^\d{5}$"}, ['"12345"'], ['"1234"', '"123456"', '"1234a"', '"١٢٣٤٥"']),
    ({"type": "string", "pattern": "b"}, ['"b"', '"abc"', '"\\"b\\n"'], ['""', '"ac"']),
    ({"type": "string", "pattern": r'^"\\$'}, ['"\\"\\\\"'], ['""\\"']),
    ({"enum": ["in", "inner"]}, ['"in"', '"inner"'], ['"inn"', '""', '"inners"']),
    ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2023-02-29"', '"2024-13-01"', '"2024-04-31"']),
    ({"type": "string"}, ['"é😀\\"\\\\\\n"', '""'], ['"\\ud800"', '"a\nb"', '"\x7f\x01"', '"\\x"']),
    (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        ['{"a": 1, "b":2}', "{}"],
        ['{"a":"1"}', '{"a"}'],
    ),
    ({"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True}, ["[1,2]", "[2, 1]", "[]"], ["[1,1]", "[3]"]),
    (
        {"type": "number", "multipleOf": 0.01, "minimum": 0},
        ["19.99", "0.07", "0.3", "0", "1234567.89", "5.50", "100"],
        ["19.999", "-0.01", "0.001", "1e-2", ".5"],
    ),
    ({"type": "number", "multipleOf": 0.1}, ["0.3", "-0.7", "1.0"], ["0.35", "0.01"]),
    ({"type": "integer", "multipleOf": 15}, ["0", "45", "-30", "1005"], ["5", "3", "-10"]),
]


@pytest.mark.parametrize(("schema", "good", "bad"), GOOD)
def test_what_is_usual_is_let_through_and_what_is_wrong_is_not(
    llama: LlamaModel, schema: Any, good: list[str], bad: list[str]
) -> None:
    source = to_gbnf([schema])
    assert [text for text in good if not accepts(llama, source, text)] == []
    assert [text for text in bad if accepts(llama, source, text)] == []


def test_each_format_of_the_specification_is_known() -> None:
    for name in FORMATS:
        assert len(to_gbnf([{"type": "string", "format": name}])) > len(to_gbnf([{"type": "string"}]))
