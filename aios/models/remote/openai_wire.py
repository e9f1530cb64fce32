"""The OpenAI protocol: a Chat or an Embed to its JSON, and (`OpenAiStreamParser`) chunks to a ChatReply; no I/O."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_json

from aios.models.remote.extra import client_fields
from aios.models.remote.openai_stream import OpenAiStreamParser
from aios.models.remote.shape import BodyShape
from aios.models.remote.vectors import read_vectors
from aios_syscalls import BadRequest, Chat, Embed, FilePart, ImagePart, Message, NamedTool, Part, TextPart, ToolSpec

__all__ = ["PATH", "OpenAiStreamParser", "embed_body", "headers", "read_vectors", "request_body"]

PLAIN = BodyShape()
PATH = "/chat/completions"
EMBED_PATH = "/embeddings"


def headers(key: str) -> dict[str, str]:
    """The headers that the protocol wants; an empty key is none."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def request_body(
    chat: Chat,
    model: str,
    extra: Mapping[str, JsonValue],
    *,
    stream: bool = True,
    prefix: str = "",
    json_object: bool = False,
    shape: BodyShape = PLAIN,
) -> bytes:
    """`chat` as the JSON of a request that goes on after `prefix`; `extra` adds fields, its None removes one.

    A response schema goes as OpenAI has it or, if `json_object`, as an addition to the older JSON mode.

    Raises BadRequest when a schema in `chat` is no JSON.
    """
    messages = chat.messages if not prefix else (*chat.messages, Message(role="assistant", content=prefix))
    fields: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in messages],
        "stream": stream,
        "stream_options": {"include_usage": True} if stream else None,
        "max_tokens": chat.max_tokens,
        "temperature": chat.sampling.temperature,
        "top_p": chat.sampling.top_p,
        "seed": chat.sampling.seed,
        "stop": chat.stop or None,
    }
    # OpenAI refuses a request that names a field it does not know, so these go only to who asked for them.
    fields |= chat.sampling.model_dump(include={"top_k", "min_p", "repeat_penalty"}, exclude_defaults=True)
    if chat.grammar is not None:
        fields["grammar"] = chat.grammar  # llama-server's name for it
    if chat.tools:
        fields |= {"tools": [_tool(spec) for spec in chat.tools], "tool_choice": _choice(chat.tool_choice)}
        if not chat.parallel_tool_calls:
            fields["parallel_tool_calls"] = False
    if chat.response_schema is not None:
        schema = {"name": "reply", "schema": chat.response_schema, "strict": True}
        fields["response_format"] = (
            {"type": "json_object", "schema": chat.response_schema}
            if json_object
            else {"type": "json_schema", "json_schema": schema}
        )
    fields = {**client_fields(chat, "openai", fields), **shape.fit(fields), **extra}
    try:
        return to_json({name: value for name, value in fields.items() if value is not None})
    except ValueError as error:
        raise BadRequest(f"a tool's or the response's schema is not JSON: {error}") from None


def _choice(choice: str | NamedTool) -> str | dict[str, Any]:
    return {"type": "function", "function": {"name": choice.name}} if isinstance(choice, NamedTool) else choice


def _message(message: Message) -> dict[str, Any]:
    parts = [_part(part) for part in message.parts] if message.attachments else message.content
    fields: dict[str, Any] = {"role": message.role, "content": parts}
    if message.tool_uses:
        fields["tool_calls"] = [
            {
                "id": use.id,
                "type": "function",
                "function": {"name": use.name, "arguments": to_json(use.arguments).decode()},
            }
            for use in message.tool_uses
        ]
    if message.tool_use_id is not None:
        fields["tool_call_id"] = message.tool_use_id
    return fields


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case ImagePart(media_type=media_type, data=data):
            return {"type": "image_url", "image_url": {"url": data_url(media_type, data)}}
        case FilePart(name=name, media_type=media_type, data=data):
            return {"type": "file", "file": {"filename": name or "file", "file_data": data_url(media_type, data)}}


def data_url(media_type: str, data: bytes) -> str:
    """Bytes as a URL that holds them (RFC 2397)."""
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return {"type": "function", "function": function}


def embed_body(call: Embed, model: str, extra: Mapping[str, JsonValue], shape: BodyShape = PLAIN) -> bytes:
    """`call` as the JSON of a request."""
    fields = {**shape.fit({"model": model, "input": list(call.texts), "encoding_format": "float"}), **extra}
    return to_json({name: value for name, value in fields.items() if value is not None})
