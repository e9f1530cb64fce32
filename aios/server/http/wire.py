"""What a wire is to the application: how it reads a request, and how it writes replies, streams and errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aios.server.http.fields import Object
from aios.server.http.refusal import HttpRefusal
from aios.server.http.request import WireRequest
from aios.server.http.turns import TurnsOf
from aios_syscalls import ChatReply, ToolUse


@dataclass(slots=True)
class ReplyContext:
    """What a reply is written with besides itself."""

    request: WireRequest
    turns: TurnsOf
    id: str
    """Of the HTTP request; a reply's id has it too."""
    model: str
    """By name, as long as the reply does not tell."""
    created: int
    prompt_tokens: int = 0
    """As counted beforehand; 0: not counted."""


class ReplyStream(Protocol):
    """The events of one answer; none of its methods waits."""

    def begin(self) -> bytes:
        """The events before the first text."""

    def piece(self, choice: int, text: str) -> bytes:
        """The event of a piece of text."""

    def end(self, choice: int, reply: ChatReply, rest: str, waited_s: float) -> bytes:
        """The events after the last text of a choice; `rest` is text that no piece had."""

    def finish(self, replies: Sequence[ChatReply]) -> bytes:
        """The last events, when every choice has ended."""


class Wire(Protocol):
    """A protocol of HTTP; it does no I/O."""

    def read(self, body: Object, turns: TurnsOf) -> WireRequest:
        """What is asked for. Raises BadRequest."""

    def whole(self, context: ReplyContext, replies: Sequence[ChatReply], waited_s: float) -> bytes:
        """The answer in one piece."""

    def stream(self, context: ReplyContext) -> ReplyStream:
        """The answer as events."""

    def too_long(self, tokens: int, most: int) -> HttpRefusal:
        """The refusal of a prompt that does not fit, in words at which clients shorten it."""


def whole_uses(reply: ChatReply) -> Sequence[ToolUse]:
    """The tool calls to send: none of an answer that was cut, since one cut call would be run as if it were whole."""
    return () if reply.finish == "length" else reply.tool_uses


def about_call(replies: Iterable[ChatReply], waited_s: float) -> dict[str, Any]:
    """What is told of the calls beside the published fields."""
    replies = list(replies)
    return {
        "call": ",".join(reply.call for reply in replies),
        "model": replies[0].model if replies else "",
        "waited_s": round(waited_s, 4),
        "cached_tokens": sum(reply.usage.cached_tokens for reply in replies),
    }
