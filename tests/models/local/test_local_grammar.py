"""Grammars from schemas: what they let through, and schemas that are none."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from aios.models.local.engine.grammar import Grammar, compile_grammar, to_gbnf
from aios.models.local.engine.llama import LlamaModel
from aios_syscalls import BadRequest, Chat, Message, ToolSpec

pytestmark = pytest.mark.whole

TREE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "kind": {"enum": ['a"b\\c', "é", "x\ny", 3, None]},
        "nodes": {"type": "array", "items": {"$ref": "#/$defs/Node"}, "maxItems": 2},
    },
    "required": ["name", "kind"],
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
            "required": ["next"],
        }
    },
}


def accepts(llama: LlamaModel, source: str, text: str) -> bool:
    """Whether a text is a whole sentence of a grammar."""
    grammar = Grammar(llama, source)
    try:
        for token in llama.tokenize(text):
            if not grammar.allowed(np.array([token]))[0]:
                return False
            grammar.accept(token)
        return bool(grammar.allowed(np.array(llama.tokenize("<|im_end|>", special=True)))[0])
    finally:
        grammar.close()


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ({"name": "x", "kind": 'a"b\\c'}, True),
        ({"name": 'tab\t"q"', "kind": "é"}, True),
        ({"name": "x", "kind": "x\ny"}, True),
        ({"name": "x", "kind": None, "nodes": [{"next": {"next": None}}, {"next": None}]}, True),
        ({"name": "123456789", "kind": 3}, False),
        ({"name": "x", "kind": "other"}, False),
        ({"name": "x", "kind": 3, "nodes": [{}]}, False),
        ({"name": "x"}, False),
    ],
)
def test_a_grammar_lets_through_what_the_schema_does(llama: LlamaModel, value: Any, good: bool) -> None:
    assert accepts(llama, to_gbnf([TREE]), json.dumps(value, ensure_ascii=False)) == good


def test_strings_have_no_raw_line_ends(llama: LlamaModel) -> None:
    assert not accepts(llama, to_gbnf([{"type": "string"}]), '"a\nb"')
    assert accepts(llama, to_gbnf([{"type": "string"}]), '"a\\nb"')


def test_two_schemas_keep_their_own_definitions(llama: LlamaModel) -> None:
    schemas = [
        {"type": "array", "items": {"$ref": "#/$defs/Item"}, "$defs": {"Item": {"type": kind}}}
        for kind in ("integer", "boolean")
    ]
    source = to_gbnf(schemas)
    assert [accepts(llama, source, text) for text in ("[1, 2]", "[true]", "[1, true]")] == [True, True, False]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"type": "string", "pattern": "(?=ahead)"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"type": "object", "properties": 3},
        {"type": "string", "maxLength": "many"},
        {"enum": []},
        {"type": "string", "not": {"type": "string"}},
    ],
)
def test_a_schema_that_is_no_grammar_is_the_callers_fault(llama: LlamaModel, schema: dict[str, Any]) -> None:
    chat = Chat(messages=(Message(role="user"),), response_schema=schema)
    with pytest.raises(BadRequest) as caught:
        compile_grammar(llama, chat)
    assert caught.value.field == "response_schema"


def test_a_deep_schema_is_refused(llama: LlamaModel) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(2000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(BadRequest, match="nested"):
        to_gbnf([schema])


def test_what_a_chat_asks_for_decides_its_grammar(llama: LlamaModel) -> None:
    tool = ToolSpec(
        name="add", parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    )
    chat = Chat(messages=(Message(role="user"),))
    assert compile_grammar(llama, chat) is None
    assert compile_grammar(llama, chat.model_copy(update={"tools": (tool,)})) is None
    with pytest.raises(BadRequest) as caught:
        compile_grammar(llama, chat.model_copy(update={"tool_choice": "required"}))
    assert caught.value.field == "tool_choice"
    with pytest.raises(BadRequest):
        compile_grammar(
            llama, Chat(messages=chat.messages, tools=(tool,), tool_choice="required", response_schema=TREE)
        )
    forced = compile_grammar(llama, chat.model_copy(update={"tools": (tool,), "tool_choice": "required"}))
    assert forced
    text = '{"name": "add", "arguments": {"a": 1}}'
    for token in llama.tokenize(text):
        assert forced.allowed(np.array([token]))[0]
        forced.accept(token)
    forced.close()


def test_a_grammar_of_the_callers_own_is_followed(llama: LlamaModel) -> None:
    chat = Chat(messages=(Message(role="user"),), grammar='root ::= "yes" | "no" [!]+')
    grammar = compile_grammar(llama, chat)
    assert grammar
    grammar.close()
    assert chat.grammar
    assert [accepts(llama, chat.grammar, text) for text in ("yes", "no!!", "no", "maybe")] == [True, True, False, False]


@pytest.mark.parametrize(
    "source",
    ['root ::= "a', 'x ::= "a"', "root ::= missing", 'root ::= root "a"', " ", "\0root ::= []", 'root ::= "a"\0'],
)
def test_a_broken_grammar_is_the_callers_fault(llama: LlamaModel, source: str) -> None:
    with pytest.raises(BadRequest, match="the grammar gives no grammar") as caught:
        compile_grammar(llama, Chat(messages=(Message(role="user"),), grammar=source))
    assert caught.value.field == "grammar"


def test_a_required_call_leaves_no_room_for_a_grammar(llama: LlamaModel) -> None:
    chat = Chat(
        messages=(Message(role="user"),), tools=(ToolSpec(name="t"),), tool_choice="required", grammar='root ::= "a"'
    )
    with pytest.raises(BadRequest) as caught:
        compile_grammar(llama, chat)
    assert caught.value.field == "grammar"
