"""Answers under a grammar, given or made of a JSON Schema: llama.cpp's automaton says which tokens may follow."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as C
from llama_cpp.llama_grammar import PRIMITIVE_RULES, BuiltinRule, SchemaConverter

from aios.models.local.llama import LlamaModel, start
from aios.models.local.sampling import Ids
from aios_syscalls import BadRequest, Chat, ToolSpec

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""The layout of a llama_token_data."""

STRICT_CHAR = r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F])'
"""llama_cpp's own rule lets raw line ends into strings, which is no JSON."""

ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


class Grammar:
    """Where one generation is in its grammar. Raises BadRequest for one that is broken, named by `field`."""

    def __init__(self, model: LlamaModel, source: str, field: str = "response_schema") -> None:
        log = start()
        log.take()
        # In C a NUL ends the text, and an empty one means no grammar.
        whole = bool(source) and "\0" not in source
        self._sampler = whole and C.llama_sampler_init_grammar(model.vocabulary, source.encode(), b"root")
        if not self._sampler:
            reason = log.take() if whole else "it is empty, or has a NUL character"
            raise BadRequest(f"the {field} gives no grammar that llama.cpp takes: {reason}; mend or simplify it", field)

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


def compile_grammar(model: LlamaModel, chat: Chat) -> Grammar | None:
    """The grammar that a chat's answer must follow, if any. Raises BadRequest.

    With a schema and tools of free choice, the answer is one or the other.
    """
    forced = chat.tool_choice == "required"
    if forced and not chat.tools:
        raise BadRequest("a tool call is required but there are no tools; add some, or choose 'auto'", "tool_choice")
    for field, given in (("response_schema", chat.response_schema), ("grammar", chat.grammar)):
        if forced and given is not None:
            raise BadRequest(f"a required tool call leaves no room for a {field}; drop one of them", field)
    if chat.grammar is not None:
        return Grammar(model, chat.grammar, "grammar")
    if not forced and chat.response_schema is None:
        return None
    calls = [_call(tool) for tool in chat.tools if chat.tool_choice != "none"]
    schemas = calls if chat.response_schema is None else [chat.response_schema, *calls]
    field = "tools" if forced else "response_schema"
    return Grammar(model, to_gbnf(schemas, field), field)


def _call(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": tool.parameters},
        "required": ["name", "arguments"],
    }


def to_gbnf(schemas: Sequence[dict[str, Any]], field: str = "response_schema") -> str:
    """A grammar of the JSON values that satisfy one of some schemas. Raises BadRequest for what it cannot express.

    Numeric bounds, `not`, `uniqueItems` and the like are not enforced.
    """
    whole = schemas[0] if len(schemas) == 1 else _union(schemas)
    try:
        # The converter writes into what it is given.
        return _Converter().convert(json.loads(json.dumps(whole)))
    except RecursionError:
        raise BadRequest("the schema is nested too deeply for a grammar; flatten it", field) from None
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # The converter checks little: a malformed schema fails wherever it hurts.
        reason = f"{type(error).__name__}: {error}".removeprefix("AssertionError: ")
        raise BadRequest(f"the schema cannot be made a grammar: {reason}; simplify it", field) from None


def _union(schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One schema of several, each kept whole so that references inside it hold."""
    parts = {f"part{number}": _rebased(schema, f"#/$defs/part{number}") for number, schema in enumerate(schemas)}
    return {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in parts], "$defs": parts}


def _rebased(schema: Any, place: str) -> Any:
    if isinstance(schema, list):
        return [_rebased(each, place) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: place + value[1:]
        if key == "$ref" and isinstance(value, str) and value[:1] == "#"
        else _rebased(value, place)
        for key, value in schema.items()
    }


class _Converter(SchemaConverter):  # type: ignore[misc]
    """llama_cpp's converter, with its mistakes in quoting, in string contents and in names of references mended."""

    def __init__(self) -> None:
        super().__init__(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)

    def convert(self, schema: dict[str, Any]) -> str:
        self.visit(self.resolve_refs(schema, "schema"), "")
        return str(self.format_grammar())

    def visit(self, schema: dict[str, Any], name: str) -> str:
        lengths = schema.get("minLength", 0), schema.get("maxLength", "")
        if schema.get("type") != "string" or lengths == (0, "") or "pattern" in schema or "format" in schema:
            return str(super().visit(schema, name))
        # Theirs nests a group a character.
        char = self._add_primitive("char", PRIMITIVE_RULES["char"])
        return str(self._add_rule(name or "root", rf'"\"" {char}{{{lengths[0]:d},{lengths[1]}}} "\"" space'))

    def _format_literal(self, literal: str) -> str:
        return f'"{literal.translate(ESCAPES)}"'

    def _generate_constant_rule(self, value: Any) -> str:
        return self._format_literal(json.dumps(value, ensure_ascii=False))

    def _add_primitive(self, name: str, rule: BuiltinRule) -> str:
        mended = BuiltinRule(STRICT_CHAR, rule.deps) if name == "char" else rule
        return str(super()._add_primitive(name, mended))

    def _resolve_ref(self, ref: str) -> str:
        # By its whole path: two tools may each have a $defs/Item.
        name = "ref" + re.sub("[^a-zA-Z0-9]+", "-", ref.partition("#")[2])
        if name not in self._rules and ref not in self._refs_being_resolved:
            self._refs_being_resolved.add(ref)
            name = self.visit(self._refs[ref], name)
            self._refs_being_resolved.remove(ref)
        return name
