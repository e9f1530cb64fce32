"""The answer of Anthropic's Messages protocol in the making: its events to a ChatReply; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Literal

from pydantic import BaseModel, Field, JsonValue, NonNegativeInt
from pydantic_core import from_json, to_json

from aios.models.remote.sse import WireFault
from aios.models.remote.wire import MAX_TOOL_CALLS, Call, check_parts, error_text, validated
from aios_syscalls import ChatReply, Usage

WHAT = "a message of Anthropic's"

FINISH: Mapping[str, Literal["stop", "length", "tool_use"]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_use",
}

Json = dict[str, JsonValue]


class _Event(BaseModel):
    type: str


class _TokenCounts(BaseModel):
    input_tokens: NonNegativeInt | None = None
    cache_creation_input_tokens: NonNegativeInt | None = None
    cache_read_input_tokens: NonNegativeInt | None = None
    output_tokens: NonNegativeInt | None = None


class _Counted(BaseModel):
    usage: _TokenCounts | None = None


class _MessageStart(BaseModel):
    message: _Counted


class _Start(BaseModel):
    index: NonNegativeInt
    content_block: Json


class _ToolBlock(BaseModel):
    id: str = Field(min_length=1)
    name: str
    input: Json = {}


class _Piece(BaseModel):
    type: str
    text: str = ""
    partial_json: str = ""


class _Delta(BaseModel):
    index: NonNegativeInt
    delta: Json


class _End(BaseModel):
    stop_reason: str | None = None


class _MessageDelta(_Counted):
    delta: _End


class _Whole(_End, _Counted):
    content: tuple[Json, ...] = Field(fail_fast=True)


class Draft:
    """An answer in the making, event by event; an answer that was not streamed is a single one.

    `prefix` is what the request went on from.
    """

    def __init__(self, prefix: str = "") -> None:
        # The request left this whitespace out, so the model is likely to say it again.
        self._said = prefix[len(prefix.rstrip()) :]
        self._text: list[str] = []
        self._blocks: dict[int, Call | None] = {}
        self._calls: list[Call] = []
        self._finish: str | None = None
        self._counts: dict[str, int] = {}
        self.ended = False
        """Whether the last event has come."""

    @property
    def finished(self) -> bool:
        """Whether its text is whole, though more may be told of it."""
        return self._finish is not None

    def add(self, data: bytes) -> str:
        """Take one event and return its text. Raises WireFault: no JSON, off the protocol, or an error inside."""
        if self.ended:
            return ""
        piece = self._fresh(self._take(_event(data)))
        if piece:
            self._text.append(piece)
        return piece

    def _take(self, event: Json) -> str:
        match event["type"]:
            case "message_start":
                self._count(validated(_MessageStart, event, WHAT).message.usage)
            case "content_block_start":
                start = validated(_Start, event, WHAT)
                return self._start(start.index, start.content_block)
            case "content_block_delta":
                return self._piece(validated(_Delta, event, WHAT))
            case "message_delta":
                change = validated(_MessageDelta, event, WHAT)
                self._finish = change.delta.stop_reason or self._finish
                self._count(change.usage)
            case "message_stop":
                self.ended = True
            case "message":
                return self._whole(validated(_Whole, event, WHAT))
        return ""

    def _whole(self, message: _Whole) -> str:
        self._finish, self.ended = message.stop_reason, True
        self._count(message.usage)
        return "".join(self._start(index, block) for index, block in enumerate(message.content))

    def _start(self, index: int, block: Json) -> str:
        if index in self._blocks:
            raise WireFault(f"its answer is not {WHAT}: block {index} begins twice")
        self._blocks[index] = None
        kind = block.get("type")
        if kind == "tool_use":
            if len(self._calls) == MAX_TOOL_CALLS:
                raise WireFault(f"it made over {MAX_TOOL_CALLS} tool calls")
            tool = validated(_ToolBlock, block, WHAT)
            call = self._blocks[index] = Call(tool.id, tool.name)
            self._calls.append(call)
            if tool.input:  # in a stream it is empty, and comes in pieces
                call.add(to_json(tool.input).decode())
        return validated(_Piece, block, WHAT).text if kind == "text" else ""

    def _piece(self, event: _Delta) -> str:
        if event.index not in self._blocks:
            raise WireFault(f"its answer is not {WHAT}: block {event.index} goes on before it begins")
        call, kind = self._blocks[event.index], event.delta.get("type")
        if kind == "text_delta":
            return validated(_Piece, event.delta, WHAT).text
        if kind == "input_json_delta" and call is not None:
            call.add(validated(_Piece, event.delta, WHAT).partial_json)
        return ""

    def _count(self, counts: _TokenCounts | None) -> None:
        if counts is not None:  # each count is of all tokens so far
            self._counts |= counts.model_dump(exclude_none=True)

    def _fresh(self, piece: str) -> str:
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(piece, self._said, strict=False)))
        piece = piece[same:]
        self._said = "" if piece else self._said[same:]
        return piece

    def reply(self, model: str) -> ChatReply:
        """The whole answer, given by `model`. Raises WireFault when it has no end or no sense."""
        if not self.ended or self._finish is None:
            raise WireFault("the answer was cut off; try again")
        if self._finish == "refusal":
            raise WireFault("the model refused to answer (stop reason 'refusal'); change the messages")
        finish = FINISH.get(self._finish)
        if finish is None:
            raise WireFault(f"it gave up on the answer, with stop reason {self._finish[:40]!r}")
        hint = "; raise max_tokens" if finish == "length" else ""
        uses = tuple(call.use(hint) for call in self._calls)
        if finish == "stop" and uses:
            finish = "tool_use"
        if finish == "tool_use" and not uses:
            raise WireFault("it announced a tool call and sent none; try again")
        written = self._counts.get("output_tokens", 0)
        usage = Usage(prompt_tokens=sum(self._counts.values()) - written, completion_tokens=written)
        return ChatReply(text="".join(self._text), tool_uses=uses, finish=finish, model=model, usage=usage)


def _event(data: bytes) -> Json:
    check_parts(data)
    try:
        event = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise WireFault(f"its answer is not {WHAT}: {error}") from None
    if isinstance(event, dict) and (event.get("type") == "error" or event.get("error")):
        raise WireFault(f"it reported an error: {error_text(event)}")
    validated(_Event, event, WHAT)
    return event  # type: ignore[no-any-return]  # a thing with a type is an object
