"""Tool calls that a model makes of its own free will: whatever it draws, a call that has begun is a right one."""

from __future__ import annotations

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from aios.models.local.engine.generation import Generation
from aios.models.local.engine.llama import LlamaModel
from aios.models.local.engine.template import parse_tool_uses, without_half_a_call
from aios.models.local.engine.text import CALL_BEGINS, CALL_ENDS, ShownText
from aios.models.local.engine.tool_calls import ToolCallGrammar, tool_call_grammar
from aios_syscalls import Sampling, ToolSpec

NUMBER = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 99}}, "required": ["n"]}
COLOR = {
    "type": "object",
    "properties": {"color": {"enum": ["red", "blue"]}, "tags": {"type": "array", "items": {"type": "boolean"}}},
    "required": ["color"],
}
WORD = {"type": "object", "properties": {"word": {"type": "string", "maxLength": 12}}, "required": ["word"]}
TOOLS = [ToolSpec(name=name, parameters=each) for name, each in (("count", NUMBER), ("paint", COLOR), ("say", WORD))]


def drawn(
    llama: LlamaModel,
    seed: int,
    grammar: ToolCallGrammar | None,
    begin: str,
    *,
    most: int = 200,
    temperature: float = 1.0,
) -> tuple[str, str]:
    """An answer by chance alone, after a beginning: its text, and why it ended."""
    dice = np.random.default_rng(seed)
    vocabulary = llama.vocabulary_size
    generation = Generation(
        1,
        llama,
        [1, 2],
        Sampling(temperature=temperature, top_k=0),
        room=10_000,
        max_tokens=most,
        seed=seed,
        text=ShownText(tools=True),
        grammar=grammar,
        generated=llama.tokenize(begin),
    )
    try:
        while generation.finish is None:
            if generation.draw(dice.normal(size=vocabulary).astype(np.float32) * 4) is None:
                return generation.text.value, "stop"
        return generation.text.value, generation.finish
    finally:
        generation.close()


def calls(text: str) -> list[str]:
    _, uses = parse_tool_uses(without_half_a_call(text), TOOLS)
    for use in uses:
        (tool,) = [tool for tool in TOOLS if tool.name == use.name]
        Draft202012Validator(tool.parameters).validate(use.arguments)
    return [use.name for use in uses]


def test_whatever_is_drawn_a_call_that_has_begun_is_one_of_the_tools(llama: LlamaModel) -> None:
    names: set[str] = set()
    for seed in range(16):
        grammar = tool_call_grammar(llama, TOOLS, parallel=False)
        text, end = drawn(llama, seed, grammar, f"So. {CALL_BEGINS}", temperature=(0.0, 1.0)[seed % 2])
        found = calls(text)
        assert (end, len(found)) == ("stop", 1) or (end, found) == ("length", []), text
        names.update(found)
    assert names == {"count", "paint", "say"}


def test_control_without_the_grammar_none_is(llama: LlamaModel) -> None:
    assert not any(calls(drawn(llama, seed, None, f"So. {CALL_BEGINS}")[0]) for seed in range(6))


def test_free_text_is_as_it_would_be_without(llama: LlamaModel) -> None:
    for seed in range(5):
        free = drawn(llama, seed, None, "Well", most=60)
        assert drawn(llama, seed, tool_call_grammar(llama, TOOLS, parallel=True), "Well", most=60) == free


def test_several_calls_follow_each_other_where_they_may(llama: LlamaModel) -> None:
    grammar = tool_call_grammar(llama, TOOLS, parallel=True)
    assert grammar is not None
    one = f'{CALL_BEGINS}\n{{"name": "count", "arguments": {{"n": 5}}}}\n{CALL_ENDS}'
    for token in llama.tokenize(f"a {one} b {one}"):
        if grammar.restricts:
            assert grammar.allowed(np.array([token]))[0]
        grammar.accept(token)
    assert (grammar.over, grammar.restricts) == (False, False)
    grammar.close()


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_call_in_which_the_tokens_ran_out_is_dropped(llama: LlamaModel, cut: int) -> None:
    grammar = tool_call_grammar(llama, TOOLS, parallel=True)
    text, end = drawn(llama, 7, grammar, f"So. {CALL_BEGINS}", most=len(llama.tokenize(f"So. {CALL_BEGINS}")) + cut)
    if CALL_ENDS not in text:
        assert end == "length"
        assert parse_tool_uses(without_half_a_call(text), TOOLS) == ("So. ", [])


def test_tools_whose_schemas_make_no_grammar_are_looked_at_afterwards(llama: LlamaModel) -> None:
    odd = [ToolSpec(name="odd", parameters={"not": {"type": "object"}})]
    assert tool_call_grammar(llama, odd, parallel=True) is None
    said = f'{CALL_BEGINS}{{"name": "count", "arguments": {{"n": "five"}}}}{CALL_ENDS}'
    assert parse_tool_uses(said, TOOLS) == (said, [])
