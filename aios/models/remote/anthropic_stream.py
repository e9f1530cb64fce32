"""The answer of Anthropic's Messages protocol in the making: its events to a ChatReply; no I/O."""

from __future__ import annotations

from collections.abc import Collection
from itertools import takewhile

from pydantic import JsonValue

from aios.models.remote.answer import ServerAnswer
from aios.models.remote.calls import CallPart, PendingCall, arguments_text
from aios.models.remote.complaint import reported
from aios.models.remote.finish import reason
from aios.models.remote.lenient import (
    Json,
    Spoken,
    as_count,
    as_index,
    as_object,
    as_text,
    content,
    inner_text,
    no_object,
    part_thought,
    read_body,
    unwrapped,
)
from aios.models.remote.openai_stream import is_done
from aios.models.remote.sse import NoObject, WireFault
from aios_syscalls import ChatReply, Usage

WHAT = "a message of Anthropic's"

COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


class _Block:
    """A part of the answer in the making: `call` where it is a tool's."""

    def __init__(self, call: PendingCall | None = None, given: str = "") -> None:
        self.call, self.given, self.stopped = call, given, False
        """`given`: arguments that came with its beginning, which pieces take the place of."""


class AnthropicStreamParser:
    """An answer in the making, event by event; an answer that was not streamed is a single one.

    `prefix` is what the request went on from, `offered` are the names of the tools that the answer may call.
    """

    def __init__(self, prefix: str = "", offered: Collection[str] | None = None) -> None:
        # The request left this whitespace out, so the model is likely to say it again.
        self._said = prefix[len(prefix.rstrip()) :]
        self._answer = ServerAnswer("stop", prefix, offered)
        self._blocks: dict[int, _Block] = {}
        self._latest = 0
        """The index of the last block, for events that name none."""
        self._counts: dict[str, int] = {}
        self.ended = False
        """Whether the last event has come."""

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
        """Take one event and return its text; what is no object says nothing.

        Raises WireFault: half of an object, off the protocol, or an error inside.
        """
        if self.ended:
            return ""
        if is_done(data) and self.finished:
            return self._done()
        try:
            event = _event(data)
        except NoObject as fault:
            self._answer.aside = fault
            return ""
        return self._keep(self._take(event))

    def whole(self, data: bytes) -> str:
        """Take an answer that was not streamed and return its text. Raises WireFault as `add` does."""
        event = _event(data)
        if event.get("content") is None:
            raise WireFault(f"its answer is not {WHAT}: content: Field required")
        return self._keep(self._whole(event))

    def close(self) -> None:
        """No more comes: an answer whose end was named is whole."""
        self.ended = self.ended or self._answer.finish is not None

    def _keep(self, piece: str) -> str:
        piece = self._fresh(piece)
        self._answer.keep(piece)
        return piece

    def _take(self, event: Json) -> str:
        match event.get("type"):
            case "message_start":
                self._count(as_object(event.get("message")).get("usage"))
            case "content_block_start":
                return self._start(as_index(event.get("index")), as_object(event.get("content_block")))
            case "content_block_delta":
                return self._piece(as_index(event.get("index")), as_object(event.get("delta")))
            case "content_block_stop":
                self._stop(as_index(event.get("index")))
            case "message_delta":
                self._count(event.get("usage"))
                return self._end(as_object(event.get("delta")).get("stop_reason"))
            case "message_stop":
                return self._done()
            case "message":
                return self._whole(event)
        return ""

    def _end(self, named: JsonValue) -> str:
        if reason(named) is None:
            return ""
        self._answer.finish, self._answer.sure = reason(named), True
        return self._answer.flush()

    def _done(self) -> str:
        """The mark of the end, which is one also where nothing named it."""
        self.ended = True
        if not self._answer.empty:
            self._answer.finish = self._answer.finish or "end_turn"
        return self._answer.flush()

    def _whole(self, message: Json) -> str:
        self._count(message.get("usage"))
        blocks = message.get("content")
        if isinstance(blocks, list):
            text = "".join(self._start(at, as_object(block)) for at, block in enumerate(blocks))
        else:
            text = self._answer.say(content(blocks, "content", WHAT))
        return text + self._end(message.get("stop_reason")) + self._done()

    def _start(self, index: int | None, block: Json) -> str:
        self._latest = index = len(self._blocks) if index is None else index
        if index in self._blocks and not self._blocks[index].stopped:
            raise WireFault(f"its answer is not {WHAT}: block {index} begins twice")
        self._blocks[index] = _Block()
        if block.get("type") == "tool_use":
            self._blocks[index] = self._call(block)
        return self._answer.say(_spoken(block))

    def _call(self, block: Json) -> _Block:
        part = CallPart(None, as_text(block.get("id")), as_text(block.get("name")).strip(), "")
        call, given = self._answer.calls.begin(part), arguments_text(block.get("input"))
        call.add(given)  # in a stream it is empty, and comes in pieces
        return _Block(call, given)

    def _piece(self, index: int | None, delta: Json) -> str:
        index = self._latest if index is None else index
        piece = delta.get("partial_json")
        if piece and index not in self._blocks:
            raise WireFault(f"its answer is not {WHAT}: block {index} goes on before it begins")
        block = self._blocks.get(index)
        if block is None or block.call is None or not piece:
            return self._answer.say(_spoken(delta))
        if block.given:
            block.given = ""
            block.call.clear()
        block.call.add(arguments_text(piece))
        return ""

    def _stop(self, index: int | None) -> None:
        if block := self._blocks.get(self._latest if index is None else index):
            block.stopped = True

    def _count(self, usage: JsonValue) -> None:
        told = as_object(usage)  # each count is of all tokens so far
        self._counts |= {name: as_count(told[name]) for name in COUNTS if told.get(name) is not None}

    def _fresh(self, piece: str) -> str:
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(piece, self._said, strict=False)))
        piece = piece[same:]
        self._said = "" if piece else self._said[same:]
        return piece

    def reply(self, model: str) -> ChatReply:
        """The whole answer, given by `model`. Raises WireFault when it has no end or no sense."""
        if not self.ended:
            raise self._answer.cut_off()
        written = self._counts.get("output_tokens", 0)
        self._answer.usage = Usage(prompt_tokens=sum(self._counts.values()) - written, completion_tokens=written)
        return self._answer.reply(model)


def _spoken(part: Json) -> Spoken:
    """What a block, or a piece of one, says: the kind of a piece is in the name of its field."""
    kind = as_text(part.get("type"))
    if "thinking" in kind:
        return Spoken(thought=part_thought(part))
    if kind.startswith("text") or not kind:
        return content(part.get("text"), "text", WHAT)
    return Spoken(refusal=inner_text(part.get("refusal")))


def _event(data: bytes) -> Json:
    value = unwrapped(read_body(data, WHAT))
    event = as_object(value)
    known = {"content", "delta", "content_block", "usage"} & event.keys() or isinstance(event.get("message"), dict)
    failed = event.get("type") == "error"
    if said := reported(value, answers=bool(known) and not failed):
        raise WireFault(f"it reported an error: {said}")
    if not isinstance(value, dict):
        raise no_object(data, WHAT)
    return event
