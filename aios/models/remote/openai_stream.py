"""The answer of the OpenAI protocol in the making: its chunks to a ChatReply; no I/O."""

from __future__ import annotations

import math
from collections.abc import Collection

from pydantic import JsonValue

from aios.models.remote.answer import ServerAnswer
from aios.models.remote.calls import MAX_TOOL_CALLS, CallPart
from aios.models.remote.complaint import reported
from aios.models.remote.finish import finish_of, reason
from aios.models.remote.lenient import (
    Json,
    Spoken,
    as_count,
    as_index,
    as_object,
    content,
    inner_text,
    no_object,
    read_body,
    thought_text,
    unwrapped,
)
from aios.models.remote.sse import NoObject, WireFault
from aios_syscalls import ChatReply, Usage

WHAT = "a chat completion"


class OpenAiStreamParser:
    """An answer in the making, chunk by chunk; `offered` are the names of the tools that it may call."""

    def __init__(self, prefix: str = "", offered: Collection[str] | None = None) -> None:
        self._answer = ServerAnswer("finish", prefix, offered)
        self._margins: list[float] = []
        self.ended = False
        """Whether nothing more is to come."""

    @property
    def finished(self) -> bool:
        """Whether its text is whole, though more may be told of it."""
        return self._answer.finished

    @property
    def sure(self) -> bool:
        """As `Answer.sure`."""
        return self._answer.sure

    @property
    def pieces(self) -> int:
        """As `Answer.pieces`."""
        return self._answer.pieces

    @property
    def reasoning(self) -> str:
        """As `Answer.reasoning`."""
        return self._answer.reasoning

    def add(self, data: bytes) -> str:
        """Take one chunk and return its text; what is no object says nothing.

        Raises WireFault: half of an object, off the protocol, or an error inside.
        """
        if self.ended:
            return ""
        if is_done(data):
            return self._done()
        try:
            chunk = _chunk(data)
        except NoObject as fault:
            self._answer.aside = fault
            return ""
        return self._take(chunk, _choices(chunk))

    def whole(self, data: bytes) -> str:
        """Take an answer that was not streamed and return its text. Raises WireFault as `add` does."""
        chunk = _chunk(data)
        choices = _choices(chunk)
        if chunk.get("choices") is None:
            raise WireFault(f"its answer is not {WHAT}: choices: Field required")
        text = self._take(chunk, choices)
        return text + self._done() if choices else text

    def close(self) -> None:
        """No more comes: an answer whose end was named is whole."""
        self.ended = self.ended or self._answer.finish is not None

    def _done(self) -> str:
        """The mark of the end, which is one also where nothing named it."""
        self.ended = True
        if self._answer.empty:
            return ""
        self._answer.end(self._answer.finish or "stop")
        return self._flush()

    def _flush(self) -> str:
        piece = self._answer.flush()
        self._answer.keep(piece)
        return piece

    def _take(self, chunk: Json, choices: list[Json]) -> str:
        self._count(chunk)
        return "".join(
            self._choose(choice, at) for at, choice in enumerate(choices) if not as_index(choice.get("index"))
        )

    def _choose(self, choice: Json, at: int) -> str:
        self._count(choice)
        piece = self._answer.say(self._spoken(choice, at))
        self._answer.keep(piece)
        self._margins += _margins(choice.get("logprobs"))
        named = reason(choice.get("finish_reason")) or reason(choice.get("finish_details"))
        if named is None:
            return piece
        if finish_of(named) is None and (said := reported(choice, answers=True)):
            raise WireFault(f"it reported an error: {said}")
        self._answer.end(named)
        return piece + self._flush()

    def _spoken(self, choice: Json, at: int) -> Spoken:
        delta, message = choice.get("delta"), choice.get("message")
        for name, each in (("delta", delta), ("message", message)):
            if each is not None and not isinstance(each, dict):
                return content(each, f"choices.{at}.{name}", WHAT)
        if isinstance(delta, dict) and (delta or not isinstance(message, dict)):
            return self._read(delta, f"choices.{at}.delta.content", apart=False)
        if isinstance(message, dict):
            return self._message(message, f"choices.{at}.message.content")
        return Spoken(text=inner_text(choice.get("text")))

    def _message(self, message: Json, place: str) -> Spoken:
        """What a whole message says that its pieces have not said before it."""
        if self._answer.empty:
            return self._read(message, place, apart=True)
        if self._answer.calls:
            message = {key: value for key, value in message.items() if key not in ("tool_calls", "function_call")}
        spoken = self._read(message, place, apart=True)
        new = self._answer.unsaid(spoken.text)
        if new != spoken.text:
            spoken.text, spoken.thought = new, ""
        return spoken

    def _read(self, message: Json, place: str, *, apart: bool) -> Spoken:
        """`apart`: each of its calls is whole."""
        spoken = content(message.get("content"), place, WHAT)
        spoken.thought = thought_text(message) or spoken.thought
        refusal = message.get("refusal")
        spoken.refusal += refusal if isinstance(refusal, str) else ""
        parts = _parts(message, place.replace("content", "tool_calls"))
        if apart:
            for part in parts:
                self._answer.calls.begin(part)
        else:
            self._answer.calls.add(parts)
        return spoken

    def _count(self, told: Json) -> None:
        for usage in (told.get("usage"), as_object(told.get("x_groq")).get("usage")):
            if isinstance(usage, dict) and (counted := _usage(usage)).total:
                self._answer.usage = counted

    def reply(self, model: str) -> ChatReply:
        """The whole answer, given by `model`. Raises WireFault when it has no end or no sense."""
        if self._margins:
            self._answer.margin = math.fsum(self._margins) / len(self._margins)
        return self._answer.reply(model)


def is_done(data: bytes) -> bool:
    """Whether an event is the mark at the end of a stream, however it is spelt."""
    return data.strip(b' \t\r\n"').upper().startswith((b"[DONE]", b"DONE"))


def _chunk(data: bytes) -> Json:
    value = unwrapped(read_body(data, WHAT))
    chunk = as_object(value)
    if said := reported(value, answers=bool(chunk.get("choices"))):
        raise WireFault(f"it reported an error: {said}")
    if not isinstance(value, dict):
        raise no_object(data, WHAT)
    return chunk


def _choices(chunk: Json) -> list[Json]:
    choices = chunk.get("choices")
    if choices is None:
        return []
    if not isinstance(choices, list):
        raise WireFault(f"its answer is not {WHAT}: choices: Input should be a valid list")
    if any(not isinstance(choice, dict | None) for choice in choices):
        raise WireFault(f"its answer is not {WHAT}: choices: Input should be a list of objects")
    return [as_object(choice) for choice in choices]


def _parts(message: Json, place: str) -> list[CallPart]:
    calls = message.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    if calls is not None and not isinstance(calls, list):
        raise WireFault(f"its answer is not {WHAT}: {place}: Input should be a valid list")
    older = message.get("function_call")
    if not calls and isinstance(older, dict) and older:
        calls = [{"index": 0, "function": older}]
    if calls and len(calls) > MAX_TOOL_CALLS:
        raise WireFault(f"it made over {MAX_TOOL_CALLS} tool calls")
    return [CallPart.read(call) for call in calls or () if isinstance(call, dict)]


def _usage(told: Json) -> Usage:
    """Counts as far as they make sense, under the names of either protocol."""
    read = as_count(told.get("prompt_tokens")) or as_count(told.get("input_tokens"))
    written = as_count(told.get("completion_tokens")) or as_count(told.get("output_tokens"))
    cached = as_count(as_object(told.get("prompt_tokens_details")).get("cached_tokens"))
    read = read or max(0, as_count(told.get("total_tokens")) - written)
    return Usage(prompt_tokens=read, completion_tokens=written, cached_tokens=cached)


def _margins(told: JsonValue) -> list[float]:
    tokens = as_object(told).get("content")
    found = [_margin(as_object(token)) for token in tokens] if isinstance(tokens, list) else []
    return [margin for margin in found if margin is not None]


def _margin(token: Json) -> float | None:
    """How much likelier the best choice for a token was than the next; None where that is not told."""
    others = token.get("top_logprobs")
    told = [as_object(each).get("logprob") for each in (others if isinstance(others, list) and others else [token])]
    logs = [each for each in told if isinstance(each, int | float) and not isinstance(each, bool)]
    if not logs:
        return None
    best, *rest = sorted((math.exp(min(0.0, each)) for each in logs), reverse=True)
    return best - max(rest, default=0.0)
