"""Anthropic's Messages wire: the body of a request as a WireRequest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from aios.server.http.chat_request import assistant_message, parsed_arguments
from aios.server.http.fields import Object, built, check, fault, get, join, need, objects
from aios.server.http.media import decoded, part
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

ATTRIBUTION = "x-anthropic-billing-header:"
"""What a first system block begins with that differs between sessions and tells the model nothing."""
ROLES = ("user", "assistant", "system")
KNOWN = frozenset(
    {
        *("model", "messages", "system", "tools", "tool_choice", "stream", "max_tokens", "stop_sequences"),
        *("temperature", "top_p", "top_k", "min_p", "seed", "output_config", "output_format"),
        # What only who sends a beta's header may ask for, or what lies with the vendor.
        *("context_management", "betas", "mcp_servers", "container", "cache_control"),
    }
)
"""The fields that are read here or dropped; all others are a server's of the same protocol."""


def read_messages_request(body: Object, turns: TurnsOf) -> WireRequest:
    """The request. Raises BadRequest with the field that is wrong."""
    tools, deferred = _tools(body)
    reader = _TurnReader(turns, deferred)
    messages = list(_system(body))
    for message, at in read_messages(body):
        messages.extend(reader.read(message, at))
    if not messages:
        raise fault("messages", "has no content; give some message a text")
    tools += [deferred[name] for name in reader.loaded]
    return WireRequest(
        body,
        need(body, "model", str),
        messages,
        tools,
        _choice(body, tools),
        _response_schema(body),
        read_sampling(body, 2),
        read_stops(body, "stop_sequences"),
        read_limit(body, "max_tokens", least=0),
        get(body, "stream", bool) or False,
        left_out=reader.left_out,
        parallel=not (get(body, "tool_choice", dict) or {}).get("disable_parallel_tool_use"),
        extra=read_extra(body, "anthropic", KNOWN, reader.left_out),
    )


def _system(body: Object) -> Iterator[Message]:
    value = body.get("system")
    if value is None:
        return
    blocks = [value] if isinstance(value, str) else _texts(value, "system")
    if blocks and blocks[0].startswith(ATTRIBUTION):
        del blocks[0]
    if any(blocks):
        yield Message(role="system", **contents([TextPart(text=text) for text in blocks]))


def _texts(value: Any, at: str) -> list[str]:
    blocks = objects(check(value, list, at), at)
    return [need(block, "text", str, place) for block, place in blocks if block.get("type", "text") == "text"]


@dataclass(slots=True)
class _TurnReader:
    """Turns the client's messages into ours, one by one."""

    turns: TurnsOf
    deferred: Mapping[str, ToolSpec]
    left_out: list[str] = field(default_factory=list)
    loaded: dict[str, None] = field(default_factory=dict)
    """Deferred tools that a tool's result has brought in, in that order."""

    def read(self, fields: Object, at: str) -> Iterable[Message]:
        role = need(fields, "role", str, at)
        if role not in ROLES:
            raise fault(join(at, "role"), f"is none of {', '.join(ROLES)}")
        content = fields.get("content")
        if isinstance(content, str) and role != "assistant":
            return [Message(role=role, content=content)] if content else []
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        placed = [] if blocks is None else objects(check(blocks, list, join(at, "content")), join(at, "content"))
        return [self._assistant(placed, at)] if role == "assistant" else self._turn(role, placed, at)

    def _assistant(self, blocks: Sequence[tuple[Object, str]], at: str) -> Message:
        texts, thoughts, uses, ids = list[str](), list[str](), list[ToolUse](), list[str]()
        for block, place in blocks:
            match need(block, "type", str, place):
                case "text":
                    texts.append(need(block, "text", str, place))
                case "thinking":
                    thoughts.append(need(block, "thinking", str, place))
                    ids.append(get(block, "signature", str, place) or "")
                case "tool_use":
                    uses.append(_tool_use(block, place))
                    ids.append(uses[-1].id)
                case "redacted_thinking":
                    pass
                case _:
                    self._omit("part", place)
        content = contents([TextPart(text=text) for text in texts])["content"]
        return assistant_message(content, uses, "\n".join(thoughts), self.turns.named(ids), at, self.turns)

    def _turn(self, role: str, blocks: Sequence[tuple[Object, str]], at: str) -> Iterator[Message]:
        """A user's or system's turn: results of tools are messages of their own, in their order."""
        parts: list[Part] = []
        for block, place in blocks:
            if block.get("type") == "tool_result":
                if parts:
                    yield built(Message, at, role=role, **contents(joined(parts)))
                parts = []
                yield self._result(block, place)
            else:
                parts.extend(self._parts(block, place))
        if parts:
            yield built(Message, at, role=role, **contents(joined(parts)))

    def _result(self, block: Object, at: str) -> Message:
        id = need(block, "tool_use_id", str, at)
        content = block.get("content")
        if content is None or isinstance(content, str):
            return built(Message, at, role="tool", content=content or "", tool_use_id=id)
        found = [
            part
            for each, place in objects(check(content, list, join(at, "content")), join(at, "content"))
            for part in self._parts(each, place)
        ]
        return built(Message, at, role="tool", tool_use_id=id, **contents(joined(found)))

    def _parts(self, block: Object, at: str) -> list[Part]:
        match need(block, "type", str, at):
            case "text":
                return [TextPart(text=need(block, "text", str, at))]
            case "mid_conv_system" | "system":
                content = block.get("content")
                texts = [content] if isinstance(content, str) else _texts(content or [], join(at, "content"))
                return [TextPart(text=text) for text in texts]
            case "tool_reference":
                return [TextPart(text=self._reference(need(block, "tool_name", str, at)))]
            case "image":
                return [self._source(block, at, "image")]
            case "document":
                return [self._source(block, at, "file")]
            case "search_result":
                source = get(block, "source", str, at) or ""
                title = get(block, "title", str, at) or ""
                texts = _texts(block.get("content") or [], join(at, "content"))
                return [TextPart(text=text) for text in (title, source, *texts) if text]
            case _:
                return [self._omit("part", at)]

    def _source(self, block: Object, at: str, kind: str) -> Part:
        source, place = need(block, "source", dict, at), join(at, "source")
        match need(source, "type", str, place):
            case "base64":
                data = decoded(need(source, "data", str, place), join(place, "data"))
                media_type = need(source, "media_type", str, place).lower()
                return part(media_type, data, place, get(block, "title", str, at) or "")
            case "text":
                return TextPart(text=need(source, "data", str, place))
            case "content":
                content = source.get("content")
                texts = [content] if isinstance(content, str) else _texts(content or [], join(place, "content"))
                return TextPart(text="\n".join(texts))
            case _:
                return self._omit(kind, at)

    def _reference(self, name: str) -> str:
        """A deferred tool in the place where the client tells the model of it."""
        spec = self.deferred.get(name)
        if spec is None:
            return name
        self.loaded[name] = None
        told = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
        return to_json(told).decode()

    def _omit(self, kind: str, at: str) -> Part:
        self.left_out.append(f"{at}:{kind}")
        return TextPart(text=omission(kind))


def _tool_use(block: Object, at: str) -> ToolUse:
    arguments = parsed_arguments(block.get("input"), join(at, "input"))
    return built(ToolUse, at, id=need(block, "id", str, at), name=need(block, "name", str, at), arguments=arguments)


def _tools(body: Object) -> tuple[list[ToolSpec], dict[str, ToolSpec]]:
    """The client's own tools, and those that the model is told of later; tools of the vendor's are skipped."""
    tools: list[ToolSpec] = []
    deferred: dict[str, ToolSpec] = {}
    for tool, at in objects(read_tools(body), "tools"):
        if (tool.get("type") or "custom") != "custom":
            continue
        told: dict[str, Any] = {"name": need(tool, "name", str, at)}
        if description := get(tool, "description", str, at):
            told["description"] = description
        if (schema := get(tool, "input_schema", dict, at)) is not None:
            told["parameters"] = schema
        spec = built(ToolSpec, at, **told)
        if get(tool, "defer_loading", bool, at):
            deferred[spec.name] = spec
        else:
            tools.append(spec)
    return tools, deferred


def _choice(body: Object, tools: Sequence[ToolSpec]) -> Choice:
    choice = get(body, "tool_choice", dict)
    if choice is None:
        return "auto"
    match need(choice, "type", str, "tool_choice"):
        case "auto":
            return "auto"
        case "any":
            return "required"
        case "none":
            return "none"
        case "tool":
            name = need(choice, "name", str, "tool_choice")
            return named_tool(name, tools, read_tools(body), "tool_choice.name")
        case _:
            raise fault("tool_choice.type", "is none of auto, any, none and tool")


def _response_schema(body: Object) -> dict[str, Any] | None:
    config = get(body, "output_config", dict) or {}
    form, at = get(config, "format", dict, "output_config"), "output_config.format"
    if form is None:
        form, at = get(body, "output_format", dict), "output_format"
    if form is None:
        return None
    if need(form, "type", str, at) != "json_schema":
        raise fault(join(at, "type"), "is not json_schema")
    return schema_of(form, "schema", at)
