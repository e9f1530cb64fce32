"""OpenAI's Chat Completions wire: replies, streams and errors, with every published field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from aios.server.http.chat_request import TEXT, read_chat
from aios.server.http.events import data_event
from aios.server.http.fields import Object
from aios.server.http.refusal import HttpRefusal
from aios.server.http.request import WireRequest
from aios.server.http.turns import TurnsOf
from aios.server.http.wire import ReplyContext, ReplyStream, about_call, whole_uses
from aios_syscalls import ChatReply, ToolUse, Usage

FINGERPRINT = "aios"
FINISH: Mapping[str, str] = {"stop": "stop", "length": "length", "tool_use": "tool_calls"}


class ChatWire:
    """See `Wire`."""

    def __init__(self, max_choices: int) -> None:
        self._max_choices = max_choices

    def read(self, body: Object, turns: TurnsOf) -> WireRequest:
        return read_chat(body, turns, self._max_choices)

    def whole(self, context: ReplyContext, replies: Sequence[ChatReply], waited_s: float) -> bytes:
        choices = [
            {
                "index": index,
                "message": _message(reply, context),
                "logprobs": None,
                "finish_reason": finish_reason(reply),
            }
            for index, reply in enumerate(replies)
        ]
        told = {"choices": choices, "usage": usage_of(replies), "aios": about_call(replies, waited_s)}
        return to_json({**_frame(context, "chat.completion"), **told})

    def stream(self, context: ReplyContext) -> ReplyStream:
        return ChatStream(context)

    def too_long(self, tokens: int, most: int) -> HttpRefusal:
        why = (
            f"This model's maximum context length is {most} tokens, but the messages have {tokens}: "
            "the input exceeds the context window. Shorten the messages."
        )
        return HttpRefusal(400, why, "messages", "context_length_exceeded")


def finish_reason(reply: ChatReply) -> str:
    """Why an answer ended, in OpenAI's words."""
    return "tool_calls" if whole_uses(reply) else FINISH[reply.finish] if reply.finish != "tool_use" else "stop"


def usage_of(replies: Sequence[ChatReply]) -> dict[str, Any]:
    """The tokens of an answer's choices, whose prompt is one."""
    if len(replies) == 1:
        return openai_usage(replies[0].usage)
    prompt = max((reply.usage.prompt_tokens for reply in replies), default=0)
    cached = max((reply.usage.cached_tokens for reply in replies), default=0)
    written = sum(reply.usage.completion_tokens for reply in replies)
    return openai_usage(Usage(prompt_tokens=prompt, completion_tokens=written, cached_tokens=cached))


def openai_usage(usage: Usage) -> dict[str, Any]:
    """Counted tokens with every published field."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _frame(context: ReplyContext, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{context.id}",
        "object": kind,
        "created": context.created,
        "model": context.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _message(reply: ChatReply, context: ReplyContext) -> dict[str, Any]:
    turns = context.turns
    calls = _tool_calls(reply, context)
    if not calls:
        turns.sent(reply.text, reply.call)
    told: dict[str, Any] = {
        "role": "assistant",
        "content": reply.text or (None if calls else ""),
        "refusal": None,
        "annotations": [],
        "audio": None,
    }
    if reply.reasoning:
        told["reasoning_content"] = reply.reasoning
    if calls:
        told["tool_calls"] = calls
    return told


def _tool_calls(reply: ChatReply, context: ReplyContext) -> list[dict[str, Any]]:
    return [
        {"id": context.turns.mint("call", reply.call, index), **_called(use, context.request.text_tools)}
        for index, use in enumerate(whole_uses(reply))
    ]


def _called(use: ToolUse, text_tools: frozenset[str]) -> dict[str, Any]:
    """A tool's call in the form in which the tool was offered."""
    text = use.arguments.get(TEXT)
    if use.name in text_tools and isinstance(text, str):
        return {"type": "custom", "custom": {"name": use.name, TEXT: text}}
    arguments = to_json(use.arguments).decode()
    return {"type": "function", "function": {"name": use.name, "arguments": arguments}}


class ChatStream:
    """See `ReplyStream`."""

    def __init__(self, context: ReplyContext) -> None:
        self._context, self._waited_s = context, 0.0
        self._frame = _frame(context, "chat.completion.chunk")
        # A piece's event is put together from bytes: its text is all that differs from the one before.
        self._before, self._after = self._template()

    def begin(self) -> bytes:
        role = {"role": "assistant", "content": "", "refusal": None}
        return b"".join(self._chunk(choice, role) for choice in range(self._context.request.choices))

    def piece(self, choice: int, text: str) -> bytes:
        return b"%s%d%s%s%s" % (self._before[0], choice, self._before[1], to_json(text), self._after)

    def end(self, choice: int, reply: ChatReply, rest: str, waited_s: float) -> bytes:
        self._waited_s = max(self._waited_s, waited_s)
        told = [self._chunk(choice, {"reasoning_content": reply.reasoning})] if reply.reasoning else []
        if rest:
            told.append(self.piece(choice, rest))
        calls = _tool_calls(reply, self._context)
        told += [self._chunk(choice, {"tool_calls": [{"index": at, **call}]}) for at, call in enumerate(calls)]
        if not calls:
            self._context.turns.sent(reply.text, reply.call)
        return b"".join(told) + self._chunk(choice, {}, finish_reason(reply), aios=about_call([reply], waited_s))

    def finish(self, replies: Sequence[ChatReply]) -> bytes:
        about = about_call(replies, self._waited_s)
        if not self._context.request.include_usage:
            return b"data: [DONE]\n\n"
        usage = {**self._frame, "choices": [], "usage": usage_of(replies), "aios": about}
        return data_event(usage) + b"data: [DONE]\n\n"

    def _chunk(self, choice: int, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
        told = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data_event({**self._frame, "choices": [told], "usage": None, **more})

    def _template(self) -> tuple[tuple[bytes, bytes], bytes]:
        frame = to_json(self._frame)[:-1]
        before = (b"data: " + frame + b',"choices":[{"index":', b',"delta":{"content":')
        return before, b'},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
