"""Answers under a grammar, given or made of a JSON Schema: llama.cpp's automaton says which tokens may follow."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as C

from aios.models.local.engine import heartbeat
from aios.models.local.engine.llama import LlamaModel, start
from aios.models.local.engine.sampling import Ids
from aios.models.local.engine.schema.convert import gbnf
from aios.models.local.engine.schema.errors import SchemaRefused
from aios.models.local.engine.schema.nodes import Nodes, SchemaNode
from aios.models.local.engine.schema.rules import TooLarge
from aios.models.local.file.depth import DEEPEST, is_too_deep
from aios_syscalls import BadRequest, Chat, NamedTool, ToolSpec

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""The layout of a llama_token_data."""

MOST_PARTS = 500_000
"""Objects, lists and values in a schema."""


COMPILING = threading.Lock()


class Grammar:
    """Where one generation is in its grammar. Raises BadRequest for one that is broken, named by `field`."""

    def __init__(self, model: LlamaModel, source: str, field: str = "response_schema") -> None:
        log = start()
        # In C a NUL ends the text, and an empty one means no grammar.
        whole = bool(source) and "\0" not in source
        # The log is everybody's: one at a time, or the reason is another's.
        with COMPILING:
            log.take()
            self._sampler = whole and C.llama_sampler_init_grammar(model.vocabulary, source.encode(), b"root")
            reason = "" if self._sampler else log.take() if whole else "it is empty, or has a NUL character"
        if not self._sampler:
            raise BadRequest(f"the {field} gives no grammar that llama.cpp takes: {reason}; mend or simplify it", field)

    restricts = True
    """Whether there is anything that may not come next: always."""
    over = False
    """Whether nothing may follow, though the model would go on; here the model says so."""

    def allowed(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Which of some tokens may come next; costs time in proportion to their number."""
        candidates = np.zeros(len(ids), CANDIDATE)
        candidates["id"] = ids
        view = C.llama_token_data_array()
        view.data = candidates.ctypes.data_as(C.llama_token_data_p)
        view.size, view.selected, view.sorted = len(ids), -1, False
        C.llama_sampler_apply(self._sampler, view)
        permitted: npt.NDArray[np.bool_] = candidates["logit"] == 0
        return permitted

    def accept(self, token: int) -> None:
        """Move on past an allowed token, which must not be one that ends the generation."""
        C.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        """Free the automaton."""
        if self._sampler:
            C.llama_sampler_free(self._sampler)
            self._sampler = None


def must_call(chat: Chat) -> bool:
    """Whether the answer has to be a tool's call."""
    return chat.tool_choice == "required" or isinstance(chat.tool_choice, NamedTool)


def callable_tools(chat: Chat) -> list[ToolSpec]:
    """The tools that the answer may call. Raises BadRequest for a chosen one that there is not."""
    if not isinstance(chat.tool_choice, NamedTool):
        return [] if chat.tool_choice == "none" else list(chat.tools)
    name = chat.tool_choice.name
    if not (found := [tool for tool in chat.tools if tool.name == name]):
        raise BadRequest(f"the tool {name!r} is chosen, and is none of the chat's tools; add it", "tool_choice")
    return found


def compile_grammar(model: LlamaModel, chat: Chat) -> Grammar | None:
    """The grammar that a chat's answer must follow, if any. Raises BadRequest.

    With a schema and tools of free choice, the answer is one or the other.
    """
    forced, tools = must_call(chat), callable_tools(chat)
    if forced and not tools:
        raise BadRequest("a tool call is required but there are no tools; add some, or choose 'auto'", "tool_choice")
    for field, given in (("response_schema", chat.response_schema), ("grammar", chat.grammar)):
        if forced and given is not None:
            raise BadRequest(f"a required tool call leaves no room for a {field}; drop one of them", field)
    if chat.grammar is not None:
        return Grammar(model, chat.grammar, "grammar")
    if not forced and chat.response_schema is None:
        return None
    schemas = [] if chat.response_schema is None else [chat.response_schema]
    field = "tools" if forced else "response_schema"
    return Grammar(model, to_gbnf(schemas, field, tools), field)


def to_gbnf(
    schemas: Sequence[dict[str, Any] | bool], field: str = "response_schema", tools: Sequence[ToolSpec] = ()
) -> str:
    """A grammar of the JSON values that satisfy one of some schemas, or are calls of one of some tools.

    All that it lets through satisfies its schema, but not all that does is let through: objects have their properties
    in the order of the schema, and no others unless it says so, and recursion ends after some levels. Raises BadRequest
    for what it cannot hold.
    """
    alternatives: list[Nodes] = [(_node(schema, f"{number}#"),) for number, schema in enumerate(schemas)]
    alternatives += map(_call, tools)
    try:
        for nodes in alternatives:
            _check_size(nodes[-1].root)
        return gbnf(alternatives, heartbeat.progress().tick)
    except SchemaRefused as error:
        place = error.path.partition("#")[2] or "its root"
        raise BadRequest(f"the schema cannot be made a grammar: at {place}: {error.reason}", field) from None
    except TooLarge:
        raise BadRequest("the schema makes too large a grammar; bound or simplify it", field) from None


def _node(schema: Any, path: str) -> SchemaNode:
    return SchemaNode(schema, path, schema)


def _call(tool: ToolSpec) -> Nodes:
    """A call of a tool, whose references are those of its parameters."""
    path = f"{tool.name}#"
    arguments = {"allOf": [{"type": "object"}, _node(tool.parameters, path)]}
    call = {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": arguments},
        "required": ["name", "arguments"],
    }
    return (SchemaNode(call, f"{tool.name}:call#", tool.parameters),)


def _check_size(schema: Any) -> None:
    """Raises Refused for a schema that is too deep or too large, before anything else looks at it."""
    if is_too_deep(schema):
        raise SchemaRefused("", f"it is nested too deeply for a grammar, more than {DEEPEST} levels; flatten it")
    level, count = [schema], 0
    while level:
        count += len(level)
        if count > MOST_PARTS:
            raise SchemaRefused("", "it is too large for a grammar; shorten it")
        if any(isinstance(value, float) and not isfinite(value) for value in level):
            raise SchemaRefused("", "it has a number that JSON does not know")
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
