"""What both wires' requests come to, and the Chat that this becomes for a model."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

from aios.server.door import ModelInfo
from aios.server.http.fields import Object, fault, get, objects, within
from aios.server.http.settings import HttpSettings
from aios_syscalls import (
    BadRequest,
    Chat,
    ExtraFields,
    FilePart,
    ImagePart,
    Message,
    NamedTool,
    Part,
    Sampling,
    TextPart,
    ToolSpec,
)
from aios_syscalls.wire import count_values

MAX_TOOLS = 4096
MAX_TOKENS = 2**31 - 1
MAX_STOPS = 16
MAX_EXTRA = 1_000
"""Fields of a request that are passed on unread, and values in one of them."""
MIN_TOP_P = 1e-6
SEPARATOR = "\n"
"""What stands between two blocks of text that become one: always the same, however the client cuts its text."""

Choice = Literal["auto", "required", "none"] | NamedTool


@dataclass(slots=True)
class WireRequest:
    """A chat as a client asks for it, before a model is chosen."""

    body: Object
    model: str
    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    tool_choice: Choice = "auto"
    response_schema: dict[str, Any] | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    left_out: list[str] = field(default_factory=list)
    """What no model here takes, each as place and kind."""
    parallel: bool = True
    """Whether one answer may call several tools."""
    extra: ExtraFields | None = None
    text_tools: frozenset[str] = frozenset()
    """The names of tools whose one argument is a text, and that go back as such."""

    def chat(self, info: ModelInfo | None, settings: HttpSettings) -> Chat:
        """The call for a model; what that does not take is left out. Raises BadRequest if that is not allowed."""
        messages = self._taken(info.takes if info else frozenset())
        if self.left_out and settings.strict:
            raise BadRequest(f"{self.left_out[0]} is nothing that the model takes; leave it out", self.left_out[0])
        context = info.context if info else None
        return Chat(
            messages=tuple(messages),
            tools=tuple(self.tools),
            tool_choice=self.tool_choice if self.tools else "auto",
            response_schema=self.response_schema,
            sampling=self.sampling,
            stop=self.stop,
            max_tokens=min(self.max_tokens or context or settings.max_tokens, context or MAX_TOKENS),
            model=info.name if info else None,
            parallel_tool_calls=self.parallel,
            extra=self.extra,
        )

    def _taken(self, takes: Iterable[str]) -> Sequence[Message]:
        if not any(message.attachments for message in self.messages if message.parts):
            return self.messages
        return [self._fitted(index, message, takes) for index, message in enumerate(self.messages)]

    def _fitted(self, index: int, message: Message, takes: Iterable[str]) -> Message:
        refused = {part.type for part in message.attachments if part.type not in takes}
        if not refused:
            return message
        parts: list[Part] = []
        for part in message.parts:
            if part.type in refused:
                self.left_out.append(f"messages.{index}:{part.type}")
                parts.append(TextPart(text=omission(part.type)))
            else:
                parts.append(part)
        kept = joined(parts)
        return message.model_copy(update=contents(kept))


def omission(kind: str) -> str:
    """The line in the place of what a model cannot take."""
    return f"[{kind} left out: this model takes text only]"


def joined(parts: Iterable[Part]) -> list[Part]:
    """The parts, with texts that stand side by side made one."""
    parts = list(parts)
    if len(parts) < 2:
        return parts
    found: list[Part] = []
    for is_text, run in groupby(parts, key=lambda part: isinstance(part, TextPart)):
        if is_text:
            found.append(TextPart(text=SEPARATOR.join(part.text for part in run if isinstance(part, TextPart))))
        else:
            found.extend(run)
    return found


def contents(parts: Sequence[Part]) -> dict[str, Any]:
    """The fields of a Message with such parts: a text alone is no part."""
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    if len(texts) == len(parts):
        return {"content": SEPARATOR.join(texts), "parts": ()}
    return {"content": "".join(texts), "parts": tuple(parts)}


def media_part(media_type: str, data: bytes, name: str = "") -> ImagePart | FilePart:
    """Bytes as a part of their kind."""
    if media_type.startswith("image/"):
        return ImagePart(media_type=media_type, data=data)
    return FilePart(name=name, media_type=media_type or "application/octet-stream", data=data)


def read_sampling(body: Object, most_temperature: float) -> Sampling:
    """How the next token is drawn; what is not said is as `Sampling` has it."""
    said: dict[str, Any] = {}
    if (temperature := get(body, "temperature", float)) is not None:
        within(temperature, 0, most_temperature, "temperature")
        said["temperature"] = temperature
    if (top_p := get(body, "top_p", float)) is not None:
        within(top_p, 0, 1, "top_p")
        said["top_p"] = max(top_p, MIN_TOP_P)
    if (min_p := get(body, "min_p", float)) is not None:
        within(min_p, 0, 1, "min_p")
        said["min_p"] = min_p
    if (top_k := get(body, "top_k", int)) is not None:
        within(top_k, -1, MAX_TOKENS, "top_k")
        said["top_k"] = max(0, top_k)
    if (seed := get(body, "seed", int)) is not None:
        said["seed"] = seed & (2**63 - 1)
    return Sampling(**said) if said else PLAIN_SAMPLING


PLAIN_SAMPLING = Sampling()


def read_limit(body: Object, *names: str, least: int = 1) -> int | None:
    """The most tokens of the answer, by the first of the fields that is there; more than any model has is as much."""
    for name in names:
        if (value := get(body, name, int)) is not None:
            if value < least:
                raise fault(name, f"is less than {least}; give the most tokens that the answer may have")
            return max(1, min(value, MAX_TOKENS))
    return None


def read_stops(body: Object, name: str) -> tuple[str, ...]:
    """Texts before which the answer ends: one or a list."""
    value = body.get(name)
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise fault(name, "is neither a text nor a list of texts")
    kept = tuple(stop for stop in stops if stop)
    if len(kept) > MAX_STOPS:
        raise fault(name, f"has more than {MAX_STOPS} texts")
    return kept


def read_extra(
    body: Object, protocol: Literal["openai", "anthropic"], known: Container[str], left_out: list[str]
) -> ExtraFields | None:
    """The fields of a body that are none of the known ones: a server of the same protocol may know them.

    What is longer than any setting, or more than any server knows, goes to `left_out`.
    """
    fields: dict[str, Any] = {}
    for name, value in body.items():
        if name in known or value is None:
            continue
        if len(fields) < MAX_EXTRA and count_values(value) <= MAX_EXTRA:
            fields[name] = value
        else:
            left_out.append(f"{name if name.isidentifier() else 'body'}:field")
    return ExtraFields(protocol=protocol, fields=fields) if fields else None


def read_messages(body: Object) -> list[tuple[Object, str]]:
    """The messages with their places, of which there is at least one."""
    value = body.get("messages")
    if not isinstance(value, list) or not value:
        raise fault("messages", "is missing or empty; give a list with at least one message")
    return objects(value, "messages")


def read_tools(body: Object) -> list[Any]:
    """The list of tools as sent."""
    tools = get(body, "tools", list) or []
    if len(tools) > MAX_TOOLS:
        raise fault("tools", f"has {len(tools)} entries, more than {MAX_TOOLS}; offer fewer")
    return tools


def named_tool(name: str, tools: Sequence[ToolSpec], offered: Iterable[Any], at: str) -> Choice:
    """The choice of one tool; of one that is `offered` but skipped, none in particular. Raises BadRequest."""
    if any(tool.name == name for tool in tools):
        return NamedTool(name=name)
    if any(isinstance(tool, dict) and tool.get("name") == name for tool in offered):
        return "auto"
    raise fault(at, f"names {name[:80]!r}, which is not among the tools; offer it, or choose another")


def schema_of(fields: Mapping[str, Any], name: str, at: str) -> dict[str, Any]:
    """A JSON Schema; one that is left out is that of any object."""
    schema = get(fields, name, dict, at)
    return {"type": "object"} if schema is None else schema
