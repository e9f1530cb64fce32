"""Anthropic's Messages wire: replies, streams and errors, with every published field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from aios.server.http.events import named_event
from aios.server.http.fields import Object
from aios.server.http.messages_request import read_messages_request
from aios.server.http.refusal import HttpRefusal
from aios.server.http.request import WireRequest
from aios.server.http.turns import TurnsOf
from aios.server.http.wire import ReplyContext, ReplyStream, about_call, whole_uses
from aios_syscalls import ChatReply, Usage

STOP: Mapping[str, str] = {"stop": "end_turn", "length": "max_tokens", "tool_use": "end_turn"}


class MessagesWire:
    """See `Wire`."""

    def read(self, body: Object, turns: TurnsOf) -> WireRequest:
        return read_messages_request(body, turns)

    def whole(self, context: ReplyContext, replies: Sequence[ChatReply], waited_s: float) -> bytes:
        [reply] = replies
        told = _envelope(context)
        told |= {
            "content": _blocks(reply, context.turns),
            "stop_reason": stop_reason(reply),
            "usage": _usage(reply.usage),
            "aios": about_call(replies, waited_s),
        }
        return to_json(told)

    def stream(self, context: ReplyContext) -> ReplyStream:
        return MessagesStream(context)

    def too_long(self, tokens: int, most: int) -> HttpRefusal:
        return HttpRefusal(400, f"prompt is too long: {tokens} tokens > {most} maximum", "messages")


def stop_reason(reply: ChatReply) -> str:
    """Why an answer ended, in Anthropic's words."""
    return "tool_use" if whole_uses(reply) else STOP[reply.finish]


def _envelope(context: ReplyContext) -> dict[str, Any]:
    return {
        "id": f"msg_{context.id}",
        "type": "message",
        "role": "assistant",
        "model": context.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
    }


def _usage(usage: Usage) -> dict[str, Any]:
    # Here the tokens that were read before are not among those that are read.
    return {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached_tokens),
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        "inference_geo": None,
        "output_tokens_details": None,
        "server_tool_use": None,
        "service_tier": "standard",
    }


def _blocks(reply: ChatReply, turns: TurnsOf) -> list[dict[str, Any]]:
    uses = _tool_uses(reply, turns)
    blocks = [_thinking(reply, turns)] if reply.reasoning else []
    if reply.text or not uses:
        blocks.append({"type": "text", "text": reply.text, "citations": None})
    if not uses:
        turns.sent(reply.text, reply.call)
    return blocks + uses


def _thinking(reply: ChatReply, turns: TurnsOf) -> dict[str, Any]:
    return {"type": "thinking", "thinking": reply.reasoning, "signature": turns.mint("aios", reply.call, 0)}


def _tool_uses(reply: ChatReply, turns: TurnsOf) -> list[dict[str, Any]]:
    return [
        {
            "type": "tool_use",
            "id": turns.mint("toolu", reply.call, index),
            "name": use.name,
            "input": use.arguments,
            "caller": {"type": "direct"},
        }
        for index, use in enumerate(whole_uses(reply))
    ]


class MessagesStream:
    """See `ReplyStream`."""

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._index = 0
        self._in_text = False
        self._last = b""
        self._text_prefix = b""

    def begin(self) -> bytes:
        message = _envelope(self._context) | {"usage": _usage(Usage(prompt_tokens=self._context.prompt_tokens))}
        return named_event("message_start", message=message) + named_event("ping")

    def piece(self, choice: int, text: str) -> bytes:  # noqa: ARG002 - as `ReplyStream` has it
        start = b""
        if not self._in_text:
            start, self._in_text = self._start({"type": "text", "text": "", "citations": None}), True
        return b"%s%s%s}}\n\n" % (start, self._text_prefix, to_json(text))

    def end(self, choice: int, reply: ChatReply, rest: str, waited_s: float) -> bytes:
        turns, uses = self._context.turns, _tool_uses(reply, self._context.turns)
        told: list[bytes] = []
        if reply.reasoning:
            told += [self._stop(), self._thought(_thinking(reply, turns))]
        if rest or not (self._in_text or self._index or uses):
            told.append(self.piece(choice, rest))
        told.append(self._stop())
        told += [self._called(use) for use in uses]
        if not uses:
            turns.sent(reply.text, reply.call)
        self._last = self._delta(reply, waited_s)
        return b"".join(told)

    def finish(self, replies: Sequence[ChatReply]) -> bytes:  # noqa: ARG002 - as `ReplyStream` has it
        return self._last + named_event("message_stop")

    def _start(self, block: Mapping[str, Any]) -> bytes:
        self._text_prefix = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
            b'"delta":{"type":"text_delta","text":' % self._index
        )
        return named_event("content_block_start", index=self._index, content_block=block)

    def _stop(self) -> bytes:
        """The end of the text block, if one is open."""
        return self._closed() if self._in_text else b""

    def _closed(self) -> bytes:
        index, self._index, self._in_text = self._index, self._index + 1, False
        return named_event("content_block_stop", index=index)

    def _thought(self, block: Mapping[str, Any]) -> bytes:
        deltas = (
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        )
        start = self._start({"type": "thinking", "thinking": "", "signature": ""})
        return start + b"".join(self._block_delta(delta) for delta in deltas) + self._closed()

    def _called(self, use: Mapping[str, Any]) -> bytes:
        start = self._start({**use, "input": {}})
        whole = {"type": "input_json_delta", "partial_json": to_json(use["input"]).decode()}
        return start + self._block_delta(whole) + self._closed()

    def _block_delta(self, delta: Mapping[str, Any]) -> bytes:
        return named_event("content_block_delta", index=self._index, delta=delta)

    def _delta(self, reply: ChatReply, waited_s: float) -> bytes:
        usage = _usage(reply.usage)
        for name in ("cache_creation", "inference_geo", "service_tier"):
            del usage[name]
        delta = {
            "stop_reason": stop_reason(reply),
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
        }
        return named_event("message_delta", delta=delta, usage=usage, aios=about_call([reply], waited_s))
