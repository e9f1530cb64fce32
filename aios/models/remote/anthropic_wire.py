"""Anthropic's Messages protocol: a Chat to its JSON, (`AnthropicStreamParser`) its events to a ChatReply; no I/O."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from aios.models.remote.anthropic_stream import AnthropicStreamParser
from aios.models.remote.extra import client_fields
from aios.models.remote.shape import BodyShape
from aios_syscalls import BadRequest, Chat, ImagePart, Message, NamedTool, Part, Sampling, TextPart, ToolSpec

__all__ = ["PATH", "AnthropicStreamParser", "headers", "request_body"]

PLAIN = BodyShape()
PATH = "/messages"
VERSION = "2023-06-01"
"""The last version of the API that takes a temperature."""

CHOICES: Mapping[str, str] = {"auto": "auto", "required": "any", "none": "none"}

JOINING = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas", "patternProperties"})
"""Words of a JSON Schema that put further conditions on the object that has them."""


def headers(key: str) -> dict[str, str]:
    """The headers that the protocol wants; an empty key is none."""
    return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})


def request_body(
    chat: Chat,
    model: str,
    extra: Mapping[str, JsonValue],
    *,
    stream: bool = True,
    prefix: str = "",
    shape: BodyShape = PLAIN,
) -> bytes:
    """`chat` as the JSON of a request that goes on after `prefix`; `extra` adds fields, its None removes one.

    Raises BadRequest when `chat` has a grammar, or a schema that is no JSON.
    """
    if chat.grammar is not None:
        raise BadRequest("Anthropic's API knows no grammars; use a response_schema or another model")
    system = [message.content for message in chat.messages if message.role == "system" and message.content.strip()]
    fields: dict[str, Any] = {
        "model": model,
        "system": "\n\n".join(system) or None,
        "messages": _turns(chat.messages, prefix),
        "stream": stream,
        "max_tokens": chat.max_tokens,
        "stop_sequences": chat.stop or None,
    }
    fields |= _sampling(chat.sampling)
    if chat.tools:
        fields |= {"tools": [_tool(spec) for spec in chat.tools], "tool_choice": _choice(chat)}
    fields = {**client_fields(chat, "anthropic", fields), **shape.fit(fields), **extra}
    try:
        if chat.response_schema is not None:
            _constrain(fields, chat.response_schema)
        return to_json({name: value for name, value in fields.items() if value is not None})
    except ValueError as error:
        raise BadRequest(f"a tool's or the response's schema is not JSON: {error}") from None


def _choice(chat: Chat) -> dict[str, Any]:
    choice = chat.tool_choice
    told = {"type": "tool", "name": choice.name} if isinstance(choice, NamedTool) else {"type": CHOICES[choice]}
    return told if chat.parallel_tool_calls or choice == "none" else {**told, "disable_parallel_tool_use": True}


def _sampling(sampling: Sampling) -> dict[str, Any]:
    # What the API does not know goes out all the same to who asked for it: a refusal is better than a silent no.
    # Newer models refuse a temperature next to a top_p, so none goes along that changes nothing.
    asked = sampling.model_dump(exclude_defaults=True, exclude_none=True, exclude={"temperature"})
    if sampling.temperature == 0:
        asked = {name: value for name, value in asked.items() if name == "repeat_penalty"}
    if asked.get("top_k") == 0:
        del asked["top_k"]  # here, to keep all is to say nothing
    return asked if sampling.temperature == 1 and "top_p" in asked else asked | {"temperature": sampling.temperature}


def _constrain(fields: dict[str, Any], schema: dict[str, Any]) -> None:
    # A forced tool would serve older models too, but the newest ones refuse to be forced; and this leaves tools free.
    config = fields.get("output_config", {})
    if isinstance(config, dict):  # what `extra` says of the effort stays; its None takes all of it out
        form = {"type": "json_schema", "schema": _closed(from_json(to_json(schema)))}
        fields["output_config"] = {"format": form} | config


def _closed(schema: Any) -> Any:
    # The API wants every object closed. What fits a closed schema fits the open one too, but nothing may fit two of
    # them at once: where an object's properties come from several places it is left as it is, and the API has its say.
    if not isinstance(schema, dict) or ("properties" in schema and not JOINING.isdisjoint(schema)):
        return schema
    closed = dict(schema)
    for name in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(name), dict):
            closed[name] = {key: _closed(each) for key, each in schema[name].items()}
    if isinstance(schema.get("anyOf"), list):
        closed["anyOf"] = [_closed(each) for each in schema["anyOf"]]
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    if "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed


def _turns(messages: tuple[Message, ...], prefix: str) -> list[dict[str, Any]]:
    # The API refuses turns without content and blank texts, and wants a tool's results in the user's next turn.
    blocks = [(_role(message), block) for message in messages if message.role != "system" for block in _blocks(message)]
    if prefix.strip():
        blocks.append(("assistant", _text(prefix)))
    if blocks and blocks[-1][0] == "assistant" and blocks[-1][1]["type"] == "text":
        # It refuses an answer to go on from that ends in whitespace as well; `AnthropicStreamParser` makes up for it.
        blocks[-1] = ("assistant", _text(blocks[-1][1]["text"].rstrip()))
    return [
        {"role": role, "content": [block for _, block in turn]} for role, turn in groupby(blocks, lambda each: each[0])
    ]


def _role(message: Message) -> str:
    return "assistant" if message.role == "assistant" else "user"


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.attachments:
        blocks = [_part(part) for part in message.parts if not isinstance(part, TextPart) or part.text.strip()]
    else:
        blocks = [_text(message.content)] if message.content.strip() else []
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_use_id}
        return [result | ({"content": blocks} if blocks else {})]
    return blocks + [
        {"type": "tool_use", "id": use.id, "name": use.name, "input": use.arguments} for use in message.tool_uses
    ]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return _text(part.text)
    source = {"type": "base64", "media_type": part.media_type, "data": b64encode(part.data).decode()}
    return {"type": "image" if isinstance(part, ImagePart) else "document", "source": source}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _tool(spec: ToolSpec) -> dict[str, Any]:
    return {"name": spec.name, "description": spec.description, "input_schema": spec.parameters}
