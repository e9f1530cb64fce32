"""OpenAI's Chat Completions wire: the body of a request as a WireRequest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import from_json

from aios.server.http.fields import Object, built, check, fault, get, join, need, objects, within
from aios.server.http.media import from_data_url
from aios.server.http.request import (
    Choice,
    WireRequest,
    contents,
    joined,
    named_tool,
    omission,
    read_extra,
    read_limit,
    read_messages,
    read_sampling,
    read_stops,
    read_tools,
    schema_of,
)
from aios.server.http.turns import TurnsOf
from aios_syscalls import Message, Part, TextPart, ToolSpec, ToolUse

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
ANY_OBJECT = {"type": "object"}
KNOWN = frozenset(
    {
        *("model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "stream", "n", "stop"),
        *("stream_options", "temperature", "top_p", "min_p", "top_k", "seed", "max_tokens", "max_completion_tokens"),
    }
)
"""The fields that are read here; all others are a server's of the same protocol."""
TEXT = "input"
"""The one argument of a custom tool."""


def read_chat(body: Object, turns: TurnsOf, max_choices: int = 16) -> WireRequest:
    """The request. Raises BadRequest with the field that is wrong."""
    left_out: list[str] = []
    tools = _tools(body)
    options = get(body, "stream_options", dict) or {}
    choices = get(body, "n", int)
    if choices is not None:
        within(choices, 1, max_choices, "n")
    return WireRequest(
        body,
        need(body, "model", str),
        [_message(message, at, turns, left_out) for message, at in read_messages(body)],
        tools,
        _choice(body, tools),
        _response_schema(body),
        read_sampling(body, 2),
        read_stops(body, "stop"),
        read_limit(body, "max_completion_tokens", "max_tokens"),
        get(body, "stream", bool) or False,
        get(options, "include_usage", bool, "stream_options") or False,
        choices or 1,
        left_out,
        get(body, "parallel_tool_calls", bool) is not False,
        read_extra(body, "openai", KNOWN, left_out),
        frozenset(_custom_names(body)),
    )


def _message(fields: Object, at: str, turns: TurnsOf, left_out: list[str]) -> Message:
    role = ROLES.get(need(fields, "role", str, at))
    if role is None:
        raise fault(join(at, "role"), f"is none of {', '.join(ROLES)}")
    content = fields.get("content")
    if isinstance(content, str):
        told: dict[str, Any] = {"content": content}
    else:
        told = contents(_parts(content, at, left_out))
    if role == "assistant":
        return _assistant(fields, told, at, turns)
    if role == "tool":
        told["tool_use_id"] = get(fields, "tool_call_id", str, at) or get(fields, "name", str, at)
    return built(Message, at, role=role, **told)


def _parts(content: Any, at: str, left_out: list[str]) -> list[Part]:
    if content is None:
        return []
    if not isinstance(content, list):
        raise fault(join(at, "content"), "is neither a text nor a list of parts")
    found = [_part(part, place, left_out) for part, place in objects(content, join(at, "content"))]
    return joined(part for part in found if part is not None)


def _part(part: Object, at: str, left_out: list[str]) -> Part | None:
    match need(part, "type", str, at):
        case "text":
            return TextPart(text=need(part, "text", str, at))
        case "refusal":
            return TextPart(text=need(part, "refusal", str, at))
        case "image_url":
            image = part.get("image_url")
            place = join(at, "image_url")
            url = image if isinstance(image, str) else need(check(image, dict, place), "url", str, place)
            found = from_data_url(url, place)
            return found or _left_out("image", at, left_out)
        case "file":
            file = need(part, "file", dict, at)
            data, place = get(file, "file_data", str, join(at, "file")), join(at, "file.file_data")
            found = from_data_url(data, place, get(file, "filename", str, join(at, "file")) or "") if data else None
            return found or _left_out("file", at, left_out)
        case kind:
            return _left_out("audio" if kind == "input_audio" else "part", at, left_out)


def _left_out(kind: str, at: str, left_out: list[str]) -> Part:
    left_out.append(f"{at}:{kind}")
    return TextPart(text=omission(kind))


def _assistant(fields: Object, told: dict[str, Any], at: str, turns: TurnsOf) -> Message:
    uses = _tool_uses(fields, at)
    reasoning = get(fields, "reasoning_content", str, at) or get(fields, "reasoning", str, at) or ""
    told["parts"] = ()  # an assistant's turn is text
    return assistant_message(told["content"], uses, reasoning, turns.named(use.id for use in uses), at, turns)


def assistant_message(
    content: str, uses: Sequence[ToolUse], reasoning: str, turn: str, at: str, turns: TurnsOf
) -> Message:
    """An assistant's turn that names the reply it came from, where that is known."""
    recalled = turns.recalled(content) if not uses and not turn else ""
    return built(
        Message,
        at,
        role="assistant",
        content=content,
        tool_uses=tuple(uses),
        reasoning=reasoning,
        turn=turn or recalled,
        generated=bool(recalled),
    )


def _tool_uses(fields: Object, at: str) -> list[ToolUse]:
    calls = get(fields, "tool_calls", list, at) or []
    found = [
        _tool_use(call, place, index) for index, (call, place) in enumerate(objects(calls, join(at, "tool_calls")))
    ]
    return [use for use in found if use is not None]


def _tool_use(call: Object, at: str, index: int) -> ToolUse | None:
    if call.get("type") == "custom":
        custom, place = need(call, "custom", dict, at), join(at, "custom")
        text = get(custom, TEXT, str, place) or ""
        id = get(call, "id", str, at) or f"call_{index}"
        return built(ToolUse, at, id=id, name=need(custom, "name", str, place), arguments={TEXT: text})
    if (call.get("type") or "function") != "function":
        return None
    function, place = need(call, "function", dict, at), join(at, "function")
    arguments = parsed_arguments(function.get("arguments"), join(place, "arguments"))
    id = get(call, "id", str, at) or f"call_{index}"
    return built(ToolUse, at, id=id, name=need(function, "name", str, place), arguments=arguments)


def parsed_arguments(value: Any, at: str) -> dict[str, Any]:
    """The arguments of a tool call, as text or object; a text that is no JSON object is kept as the one argument."""
    if value is None or value == "":
        return {}
    if isinstance(value, dict):
        return value
    text = check(value, str, at)
    try:
        parsed = from_json(text, allow_inf_nan=False)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"arguments": text}


def _tools(body: Object) -> list[ToolSpec]:
    found = []
    for tool, at in objects(read_tools(body), "tools"):
        match tool.get("type") or "function":
            case "function":
                found.append(_tool(need(tool, "function", dict, at), join(at, "function")))
            case "custom":
                found.append(_custom_tool(need(tool, "custom", dict, at), join(at, "custom")))
    return found


def _custom_names(body: Object) -> Iterator[str]:
    for tool, _ in objects(read_tools(body), "tools"):
        match tool:
            case {"type": "custom", "custom": {"name": str(name)}}:
                yield name


def _custom_tool(custom: Object, at: str) -> ToolSpec:
    """A tool that takes a text, as one with a single argument: every model can call it so.

    A regular expression binds that text; of another grammar the model is told.
    """
    description, text = get(custom, "description", str, at) or "", {"type": "string"}
    form = get(custom, "format", dict, at) or {}
    grammar = get(form, "grammar", dict, join(at, "format")) or {}
    definition = get(grammar, "definition", str, join(at, "format.grammar"))
    if definition and grammar.get("syntax") == "regex":
        text["pattern"] = f"^(?:{definition})$"
    elif definition:
        description += f"\n\nThe text follows this grammar:\n{definition}"
    schema = {"type": "object", "properties": {TEXT: text}, "required": [TEXT], "additionalProperties": False}
    return built(ToolSpec, at, name=need(custom, "name", str, at), description=description, parameters=schema)


def _tool(function: Object, at: str) -> ToolSpec:
    told: dict[str, Any] = {"name": need(function, "name", str, at)}
    if description := get(function, "description", str, at):
        told["description"] = description
    if (parameters := get(function, "parameters", dict, at)) is not None:
        told["parameters"] = parameters
    return built(ToolSpec, at, **told)


def _choice(body: Object, tools: Sequence[ToolSpec]) -> Choice:
    match body.get("tool_choice"):
        case None:
            return "auto"
        case "auto" | "required" | "none" as choice:
            return choice  # type: ignore[no-any-return]
        case {"type": "function", "function": {"name": str(name)}}:
            return named_tool(name, tools, (), "tool_choice.function.name")
        case {"type": "custom", "custom": {"name": str(name)}}:
            return named_tool(name, tools, (), "tool_choice.custom.name")
        case {"type": "allowed_tools"}:
            return "auto"
        case _:
            raise fault(
                "tool_choice", 'is none of "auto", "required", "none" and {"type": "function", "function": ...}'
            )


def _response_schema(body: Object) -> dict[str, Any] | None:
    form = get(body, "response_format", dict)
    if form is None:
        return None
    match need(form, "type", str, "response_format"):
        case "text":
            return None
        case "json_object":
            return ANY_OBJECT
        case "json_schema":
            at = "response_format.json_schema"
            return schema_of(need(form, "json_schema", dict, "response_format"), "schema", at)
        case _:
            raise fault("response_format.type", "is none of text, json_object and json_schema")
