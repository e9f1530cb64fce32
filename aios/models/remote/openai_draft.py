"""The answer of the OpenAI protocol in the making: its chunks to a ChatReply; no I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import AliasChoices, BaseModel, Field, JsonValue, NonNegativeInt

from aios.models.remote.sse import WireFault
from aios.models.remote.wire import MAX_TOOL_CALLS, Call, check_parts, error_text, validated
from aios_syscalls import ChatReply, ToolUse, Usage

FINISH: Mapping[str, Literal["stop", "length", "tool_use"]] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}


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


class _Likely(BaseModel):
    logprob: float


class _Token(_Likely):
    top_logprobs: tuple[_Likely, ...] = ()


class _Likelihoods(BaseModel):
    content: tuple[_Token, ...] | None = Field(default=None, fail_fast=True)


class _Choice(BaseModel):
    index: int = 0
    logprobs: _Likelihoods | None = None
    delta: _Delta | None = Field(default=None, validation_alias=AliasChoices("delta", "message"))
    finish_reason: str | None = None


class _Cached(BaseModel):
    cached_tokens: NonNegativeInt | None = None


class _Usage(BaseModel):
    prompt_tokens: NonNegativeInt = 0
    completion_tokens: NonNegativeInt = 0
    prompt_tokens_details: _Cached | None = None


class _Chunk(BaseModel):
    choices: tuple[_Choice, ...] | None = Field(default=None, fail_fast=True)
    usage: _Usage | None = None
    error: JsonValue = None


class _Call(Call):
    """A tool call in the making, with its place among others."""

    def __init__(self, index: int, id: str) -> None:
        super().__init__(id or f"call_{index}")
        self.index, self.given = index, id

    def take(self, function: _Function) -> None:
        self.name = self.name or function.name or ""
        self.add(function.arguments or "")

    def repeats(self, other: _Call) -> bool:
        """Whether it is `other` sent again, which a tool must not be called twice for."""
        mine, its = (self.given, self.name, self.arguments), (other.given, other.name, other.arguments)
        return bool(self.given) and mine == its


class Draft:
    """An answer in the making, chunk by chunk; an answer that was not streamed is a single chunk."""

    def __init__(self, prefix: str = "") -> None:  # noqa: ARG002 - what it goes on from joins as it is
        self.ended = False
        """Whether nothing more is to come."""
        self._text: list[str] = []
        self._calls: list[_Call] = []
        self._finish: str | None = None
        self._usage = Usage()
        self._margins: list[float] = []

    @property
    def finished(self) -> bool:
        """Whether its text is whole, though more may be told of it."""
        return self._finish is not None

    def add(self, data: bytes) -> str:
        """Take one chunk and return its text. Raises WireFault: no JSON, off the protocol, or an error inside."""
        if data == b"[DONE]" or self.ended:
            self.ended = True
            return ""
        chunk = _parse(data)
        if chunk.usage is not None:
            told = chunk.usage
            cached = (told.prompt_tokens_details or _Cached()).cached_tokens or 0
            self._usage = Usage(
                prompt_tokens=told.prompt_tokens, completion_tokens=told.completion_tokens, cached_tokens=cached
            )
        piece = ""
        for choice in chunk.choices or ():
            if choice.index == 0:
                # A stop that comes after a length or a filter does not make the answer whole.
                if FINISH.get(self._finish or "stop") == "stop":
                    self._finish = choice.finish_reason or self._finish
                piece += self._take(choice.delta or _Delta())
                self._margins += map(_margin, choice.logprobs.content or () if choice.logprobs else ())
        if piece:
            self._text.append(piece)
        return piece

    def _take(self, delta: _Delta) -> str:
        for position, part in enumerate(delta.tool_calls or ()):
            self._call(part, position).take(part.function or _Function())
        return delta.content or ""

    def _call(self, part: _CallPart, position: int) -> _Call:
        # Some servers leave the index out or give every call 0; then only a new id tells calls apart.
        index = position if part.index is None else part.index
        for call in reversed(self._calls):
            if call.index == index and part.id in (None, "", call.given):
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
        margin = math.fsum(self._margins) / len(self._margins) if self._margins else None
        text = "".join(self._text)
        return ChatReply(text=text, tool_uses=uses, finish=finish, model=model, usage=self._usage, margin=margin)

    def _uses(self, hint: str) -> tuple[ToolUse, ...]:
        calls = self._calls
        repeats = {at for at, call in enumerate(calls) if any(call.repeats(other) for other in calls[:at])}
        return tuple(call.use(hint) for at, call in enumerate(calls) if at not in repeats)


def _margin(token: _Token) -> float:
    """How much likelier the best choice for a token was than the next."""
    best, *rest = sorted((math.exp(min(0.0, each.logprob)) for each in token.top_logprobs or (token,)), reverse=True)
    return best - max(rest, default=0.0)


def _parse(data: bytes) -> _Chunk:
    check_parts(data)
    chunk = validated(_Chunk, data, "a chat completion")
    if chunk.error:
        raise WireFault(f"it reported an error: {error_text(chunk.error)}")
    if chunk.choices is None:
        raise WireFault("its answer is not a chat completion: choices: Field required")
    return chunk
