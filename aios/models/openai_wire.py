"""The OpenAI chat-completions protocol: a Chat to its JSON, and JSON chunks to a ChatReply; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field, JsonValue, NonNegativeInt, ValidationError
from pydantic_core import from_json, to_json

from aios.models.sse import WireFault
from aios_syscalls import BadRequest, Chat, ChatReply, Message, ToolSpec, ToolUse, Usage

MAX_ARGUMENTS_BYTES = 256 * 1024
MAX_ARGUMENTS_DEPTH = 64
MAX_TOOL_CALLS = 128
MAX_PARTS = 100_000
"""Values in one JSON text, about; with more of them validation would hold the event loop for seconds."""

FINISH: Mapping[str, Literal["stop", "length", "tool_use"]] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}


def request_body(
    chat: Chat, model: str, extra: Mapping[str, JsonValue], *, stream: bool = True, json_object: bool = False
) -> bytes:
    """`chat` as the JSON of a request; `extra` adds fields, its None removes one.

    A response schema goes as OpenAI has it or, if `json_object`, as an addition to the older JSON mode.

    Raises BadRequest when a schema in `chat` is no JSON.
    """
    fields: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in chat.messages],
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
        fields |= {"tools": [_tool(spec) for spec in chat.tools], "tool_choice": chat.tool_choice}
    if chat.response_schema is not None:
        schema = {"name": "reply", "schema": chat.response_schema, "strict": True}
        fields["response_format"] = (
            {"type": "json_object", "schema": chat.response_schema}
            if json_object
            else {"type": "json_schema", "json_schema": schema}
        )
    fields |= extra
    try:
        return to_json({name: value for name, value in fields.items() if value is not None})
    except ValueError as error:
        raise BadRequest(f"a tool's or the response's schema is not JSON: {error}") from None


def _message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
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


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {"name": spec.name, "description": spec.description, "parameters": spec.parameters}
    return {"type": "function", "function": function}


def error_text(error: JsonValue) -> str:
    """What an error object says: its `error.message`, `error`, `message` or `detail`, else all of it."""
    for key in ("error", "message", "detail"):
        if isinstance(error, dict) and key in error:
            error = error[key]
    return error if isinstance(error, str) else to_json(error).decode()


class _Function(BaseModel):
    name: str | None = None
    arguments: str | None = None


class _CallPart(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(BaseModel):
    content: str | None = None
    tool_calls: tuple[_CallPart, ...] | None = Field(default=None, fail_fast=True)


class _Choice(BaseModel):
    index: int = 0
    delta: _Delta | None = Field(default=None, validation_alias=AliasChoices("delta", "message"))
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: NonNegativeInt = 0
    completion_tokens: NonNegativeInt = 0


class _Chunk(BaseModel):
    choices: tuple[_Choice, ...] | None = Field(default=None, fail_fast=True)
    usage: _Usage | None = None
    error: JsonValue = None


class _Call:
    """A tool call in the making."""

    def __init__(self, index: int, id: str) -> None:
        self.index, self.id, self.name = index, id, ""
        self._arguments = bytearray()

    def add(self, function: _Function) -> None:
        self.name = self.name or function.name or ""
        self._arguments += (function.arguments or "").encode()
        if len(self._arguments) > MAX_ARGUMENTS_BYTES:
            raise WireFault(f"the arguments of a tool call are over {MAX_ARGUMENTS_BYTES} bytes")

    def repeats(self, other: _Call) -> bool:
        """Whether it is `other` sent again, which a tool must not be called twice for."""
        mine, its = (self.id, self.name, self._arguments), (other.id, other.name, other._arguments)
        return bool(self.id) and mine == its

    def use(self) -> ToolUse:
        arguments = from_json(bytes(self._arguments) or b"{}", allow_inf_nan=False)
        if not isinstance(arguments, dict) or _depth(arguments) > MAX_ARGUMENTS_DEPTH:
            raise ValueError(f"not an object of at most {MAX_ARGUMENTS_DEPTH} levels")
        return ToolUse(id=self.id or f"call_{self.index}", name=self.name, arguments=arguments)


def _depth(value: JsonValue) -> int:
    if isinstance(value, dict | list):
        return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


class Draft:
    """An answer in the making, chunk by chunk; an answer that was not streamed is a single chunk."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: list[_Call] = []
        self._finish: str | None = None
        self._usage = Usage()

    def add(self, data: bytes) -> str:
        """Take one chunk and return its text. Raises WireFault: no JSON, off the protocol, or an error inside."""
        chunk = _parse(data)
        if chunk.usage is not None:
            self._usage = Usage(**chunk.usage.model_dump())
        piece = ""
        for choice in chunk.choices or ():
            if choice.index == 0:
                # A stop that comes after a length or a filter does not make the answer whole.
                if FINISH.get(self._finish or "stop") == "stop":
                    self._finish = choice.finish_reason or self._finish
                piece += self._take(choice.delta or _Delta())
        if piece:
            self._text.append(piece)
        return piece

    def _take(self, delta: _Delta) -> str:
        for position, part in enumerate(delta.tool_calls or ()):
            self._call(part, position).add(part.function or _Function())
        return delta.content or ""

    def _call(self, part: _CallPart, position: int) -> _Call:
        # Some servers leave the index out or give every call 0; then only a new id tells calls apart.
        index = position if part.index is None else part.index
        for call in reversed(self._calls):
            if call.index == index and part.id in (None, "", call.id):
                return call
        if len(self._calls) == MAX_TOOL_CALLS:
            raise WireFault(f"it made over {MAX_TOOL_CALLS} tool calls")
        self._calls.append(_Call(index, part.id or ""))
        return self._calls[-1]

    def reply(self, model: str) -> ChatReply:
        """The whole answer, given by `model`. Raises WireFault when it has no end or no sense."""
        if self._finish is None:
            raise WireFault("the answer was cut off; try again")
        finish = FINISH.get(self._finish)
        if finish is None:
            raise WireFault(f"it gave up on the answer, with finish reason {self._finish[:40]!r}")
        uses = self._uses("; raise max_tokens" if finish == "length" else "")
        if finish == "stop" and uses:
            finish = "tool_use"
        if finish == "tool_use" and not uses:
            raise WireFault("it announced a tool call and sent none; try again")
        return ChatReply(text="".join(self._text), tool_uses=uses, finish=finish, model=model, usage=self._usage)

    def _uses(self, hint: str) -> tuple[ToolUse, ...]:
        uses = []
        for position, call in enumerate(self._calls):
            if not call.name:
                raise WireFault("it called a tool without a name")
            if any(call.repeats(other) for other in self._calls[:position]):
                continue
            try:
                uses.append(call.use())
            except ValueError as error:
                raise WireFault(f"its call of tool {call.name[:64]!r} has broken arguments: {error}{hint}") from None
        return tuple(uses)


def _parse(data: bytes) -> _Chunk:
    if sum(map(data.count, (b"{", b"[", b","))) > MAX_PARTS:
        raise WireFault(f"its answer has over {MAX_PARTS} parts")
    try:
        chunk = _Chunk.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"]))[:80]
        raise WireFault(f"its answer is not a chat completion: {place or 'the body'}: {fault['msg']}") from None
    if chunk.error:
        raise WireFault(f"it reported an error: {error_text(chunk.error)}")
    if chunk.choices is None:
        raise WireFault("its answer is not a chat completion: choices: Field required")
    return chunk
