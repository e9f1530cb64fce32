"""A model behind an HTTP server: OpenAI, vLLM, SGLang, llama-server, Ollama, LM Studio, OpenRouter, Anthropic, ..."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Literal, Protocol, Unpack

import anyio
import httpx2
from pydantic import JsonValue

from aios.context import Snapshot
from aios.models.base import (
    CHARS_PER_TOKEN,
    NO_LIKELIHOODS,
    NO_VECTORS,
    NOBODY,
    ONLY_VECTORS,
    Caller,
    Emit,
    attachments_refusal,
    guess_tokens,
    too_long,
)
from aios.models.remote import anthropic_wire, openai_wire
from aios.models.remote.body import are_events, beginning, vouches_for_its_end
from aios.models.remote.complaint import refused_text, reported
from aios.models.remote.endpoint import Chunks, Endpoint, Settings
from aios.models.remote.lenient import is_json_object, read_json
from aios.models.remote.sse import EventNotJson, EventReader, WireFault
from aios.models.remote.transport import drain, read
from aios.models.thinking import told_apart
from aios_syscalls import BadRequest, Chat, ChatReply, Embed, EmbedReply, KernelBug, LlmCall, Rank, Usage

DRAIN_S = 0.1
"""How long a finished stream may take to close properly, which keeps its connection for the next call."""

LINGER_S = 2.0
"""How long an answer whose end was named may take to tell its usage and to end its stream."""
SPARE_S = 0.1
"""How long before its deadline it is taken as it is."""

Protocols = Literal["openai", "anthropic"]
Resume = Literal["assistant", "continue_final_message"]


class ReplyParser(Protocol):
    """An answer in the making."""

    ended: bool

    @property
    def finished(self) -> bool:
        """Whether its text is whole, though more may be told of it."""

    @property
    def sure(self) -> bool:
        """Whether what finished it can be nothing else."""

    @property
    def pieces(self) -> int:
        """In how many pieces text and reasoning have come."""

    @property
    def reasoning(self) -> str:
        """What it thought so far."""

    def add(self, data: bytes) -> str:
        """Take the data of one event and return its text. Raises WireFault."""

    def whole(self, data: bytes) -> str:
        """Take an answer in one piece and return its text. Raises WireFault."""

    def close(self) -> None:
        """No more comes: an answer that is finished has ended."""

    def reply(self, model: str) -> ChatReply:
        """The whole answer, given by `model`. Raises WireFault when it has no end or no sense."""


class RemoteSnapshot(Snapshot):
    """The text of an answer whose stream was cut; the server keeps nothing of it, or its own prefix cache does."""

    def __init__(self, model: RemoteModel, text: str, tokens: int, usage: Usage, reasoning: str = "") -> None:
        self.model, self.text, self.tokens, self.usage, self.reasoning = model, text, tokens, usage, reasoning

    def drop(self) -> None:
        pass


class RemoteModel(Endpoint):
    """Sends each chat to the server at `base_url`, for its model `model`, in one of the `protocols`.

    A None in the settings' `extra` removes a field: `{"max_tokens": None, "max_completion_tokens": 1024}`. What the
    server's model can do is what is said here: `context` in tokens, whether it calls `tools`, whether it keeps to
    `schemas` (`json_object`: by the older JSON mode), whether it can `stream`, whether it tells `logprobs`, by which a
    cascade judges. How it goes on with an answer of which it is given the beginning is `resume`: from an assistant's
    message at the end, or with a flag `continue_final_message` beside that; None if it cannot, and then no call is
    paused. `priority` says how the server orders the field of that name, `program_field` what it calls the program
    that a call is from.

    Raises BadRequest for a base_url that is none.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        protocol: Protocols = "openai",
        context: int | None = None,
        tools: bool = True,
        schemas: bool | Literal["json_object"] = True,
        stream: bool = True,
        logprobs: bool = False,
        resume: Resume | None = None,
        priority: Literal["high_first", "low_first"] | None = None,
        program_field: str | None = None,
        takes: Collection[Literal["image", "file"]] = (),
        **settings: Unpack[Settings],
    ) -> None:
        wire = anthropic_wire if protocol == "anthropic" else openai_wire
        super().__init__(base_url, wire.PATH, model, wire.headers, **settings)
        self._protocol, self._stream = protocol, stream
        if logprobs and protocol == "openai":
            self._extra = {"logprobs": True, "top_logprobs": 2} | self._extra
        self._context, self._tools, self._schemas, self._takes = context, tools, schemas, takes
        self._resume, self._priority, self._program_field = resume, priority, program_field

    async def count_tokens(self, chat: Chat) -> int | None:  # noqa: ARG002
        return None

    def demote(self, pid: int) -> None:
        pass

    def refusal(self, call: LlmCall) -> str:
        """As `Backend.refusal`."""
        if isinstance(call, Embed):
            return NO_VECTORS
        if isinstance(call, Rank):
            return NO_LIKELIHOODS
        if why := attachments_refusal(call, self._takes):
            return why
        if call.tools and not self._tools:
            return "calls no tools, as configured"
        if call.response_schema is not None and not self._schemas:
            return "keeps to no response schema, as configured"
        if call.grammar is not None and self._protocol == "anthropic":
            return "knows no grammars"
        return too_long(call, self._context) if self._context else ""

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit, caller: Caller = NOBODY
    ) -> ChatReply | Snapshot:
        """As `Model.generate`; a Snapshot only where the server can go on from a text and somebody waits for the slot.

        Raises BadRequest when the server refuses the call, ModelFailed for all else, at the latest at the deadline.
        """
        if snapshot is not None and not (isinstance(snapshot, RemoteSnapshot) and snapshot.model is self):
            raise KernelBug(f"model {self.name!r} cannot continue a {type(snapshot).__name__}")
        if budget is None or not self._stream or not self._resume or chat.tools or chat.response_schema or chat.grammar:
            budget = None
        offered = [spec.name for spec in chat.tools]
        slice = _Slice(self._parser(snapshot, offered), chat, budget, emit, caller, snapshot, self)

        def body() -> bytes:
            return self._body(chat, snapshot, caller)

        try:
            return await self.post(body, slice.take, most=slice.most, used=slice.used)
        except BadRequest as error:
            if snapshot is None:
                raise
            why = f"it does not go on from an answer's beginning: {error.message}; take out its `resume`"
            raise self.failure(why, permanent=True) from None

    def _parser(self, snapshot: RemoteSnapshot | None, offered: Collection[str]) -> ReplyParser:
        text = snapshot.text if snapshot else ""
        if self._protocol == "anthropic":
            return anthropic_wire.AnthropicStreamParser(text, offered)
        return openai_wire.OpenAiStreamParser(text, offered)

    def _body(self, chat: Chat, snapshot: RemoteSnapshot | None, caller: Caller) -> bytes:
        extra: dict[str, JsonValue] = {}
        if self._priority is not None:
            extra["priority"] = chat.priority if self._priority == "high_first" else -chat.priority
        if self._program_field is not None:
            extra[self._program_field] = f"{caller.program}-{caller.pid}"
        prefix = ""
        if snapshot is not None:
            prefix = snapshot.text
            chat = chat.model_copy(update={"max_tokens": chat.max_tokens - snapshot.tokens})
            if self._resume == "continue_final_message":
                extra |= {"continue_final_message": True, "add_generation_prompt": False}
        extra |= self._extra
        if self._protocol == "anthropic":
            return anthropic_wire.request_body(
                chat, self._model, extra, stream=self._stream, prefix=prefix, shape=self._shape
            )
        return openai_wire.request_body(
            chat,
            self._model,
            extra,
            stream=self._stream,
            prefix=prefix,
            json_object=self._schemas == "json_object",
            shape=self._shape,
        )


class _Slice:
    """One request of a chat: all of the answer, or what comes until a pause."""

    def __init__(
        self,
        parser: ReplyParser,
        chat: Chat,
        budget: int | None,
        emit: Emit,
        caller: Caller,
        begun: RemoteSnapshot | None,
        model: RemoteModel,
    ) -> None:
        self._parser, self._chat, self._budget, self._emit, self._caller = parser, chat, budget, emit, caller
        self._begun = begun or RemoteSnapshot(model, "", 0, Usage())
        self._pieces: list[str] = []
        self._paused = False
        self._prompt = guess_tokens(chat) + self._begun.tokens
        self.most = self._prompt + chat.max_tokens - self._begun.tokens

    async def take(self, response: httpx2.Response, chunks: Chunks) -> ChatReply | Snapshot:
        head = await beginning(chunks)
        if not are_events(head, response):
            await self._read(head, chunks)
            reply = self._reply()
            self._say(reply.text.removeprefix(self._begun.text))
            return reply
        await self._follow(head, response, chunks)
        if self._paused:
            return self._pause()
        self._parser.close()
        return self._reply()

    async def _read(self, head: bytes, chunks: Chunks) -> None:
        """Take an answer in one piece: one that is whole JSON is whole, though its connection broke."""
        parts, broken = [head], None
        try:
            async for chunk in chunks:
                parts.append(chunk)
        except (httpx2.RequestError, OSError) as error:
            broken = error
        try:
            self._hear_whole(b"".join(parts))
        except WireFault:
            if broken is None:
                raise
            raise broken from None

    def _hear_whole(self, data: bytes) -> None:
        """One JSON value, or a stream of which each line is one."""
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2 or not all(map(is_json_object, lines)):
            self._parser.whole(data)
            return
        for line in lines:
            self._parser.add(line)
        self._parser.close()

    async def _follow(self, head: bytes, response: httpx2.Response, chunks: Chunks) -> None:
        """Hear a stream to its end, or to a pause. An answer whose end was named is whole, however its stream ends."""
        reader = EventReader()
        with anyio.CancelScope() as rest:
            try:
                over = self._hear(reader.feed(head), reader)
                until = anyio.current_effective_deadline() - SPARE_S
                while not over:
                    rest.deadline = self._patience(rest.deadline, until)
                    chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    over = self._hear(reader.feed(chunk), reader)
                if over and not self._paused:
                    await drain(chunks, within_s=DRAIN_S)
                if not over and vouches_for_its_end(response):
                    self._hear_rest(reader)
            except (httpx2.RequestError, OSError, WireFault):
                if not self._parser.finished:
                    raise
        if not self._paused and not self._parser.finished:
            _check_stray(reader.stray)

    def _hear_rest(self, reader: EventReader) -> None:
        try:
            self._hear(reader.rest(), reader)
        except EventNotJson as fault:  # the beginning of an event
            raise WireFault(f"the answer was cut off; try again; at last: {fault}") from None

    def _patience(self, until: float, latest: float) -> float:
        """Until when to listen: to the end; at `latest` where an answer may be finished, sooner where it surely is."""
        if not self._parser.finished:
            return math.inf
        return min(until, latest, anyio.current_time() + LINGER_S if self._parser.sure else math.inf)

    def _hear(self, events: Iterator[bytes], reader: EventReader) -> bool:
        """Whether nothing that comes after these events matters."""
        for data in events:
            if reader.name.lower() == "error":
                raise WireFault(f"it reported an error: {refused_text(data)}")
            spoke = bool(data.strip()) and self._say(self._parser.add(data))
            self._paused = spoke and not self._parser.ended and self._pauses()
            if self._parser.ended or self._paused:
                return True
        return False

    def used(self, outcome: ChatReply | Snapshot) -> int:
        """The tokens of this request alone."""
        usage = outcome.usage if isinstance(outcome, ChatReply | RemoteSnapshot) else Usage()
        return usage.total - self._begun.usage.total

    def _say(self, piece: str) -> bool:
        """Whether there was text."""
        if piece:
            self._pieces.append(piece)
            self._emit(piece)
        return bool(piece)

    def _pauses(self) -> bool:
        # What is finished is not gone on with: the server would say more.
        written = self._parser.pieces
        used = self._budget is not None and written >= self._budget
        if not used or self._parser.finished or not self._caller.crowded(written):
            return False
        # Where a stop text may have begun, the server alone knows, and it would begin to look for it anew.
        text = "".join(self._pieces)
        ends = (stop[:size] for stop in self._chat.stop for size in range(1, len(stop)))
        left = self._chat.max_tokens - self._begun.tokens - written
        return bool(text.strip()) and left > 0 and not any(map(text.endswith, ends))

    def _pause(self) -> RemoteSnapshot:
        begun, written = self._begun, self._parser.pieces
        usage = begun.usage.plus(Usage(prompt_tokens=self._prompt, completion_tokens=written, estimated=True))
        text, reasoning = begun.text + "".join(self._pieces), begun.reasoning + self._parser.reasoning
        return RemoteSnapshot(begun.model, text, begun.tokens + written, usage, reasoning)

    def _reply(self) -> ChatReply:
        reply = self._parser.reply(self._begun.model.name)
        usage = reply.usage
        if not usage.total:
            arguments = sum(len(str(use.arguments)) for use in reply.tool_uses)
            written = self._parser.pieces + math.ceil(arguments / CHARS_PER_TOKEN)
            usage = Usage(prompt_tokens=self._prompt, completion_tokens=written, estimated=True)
        text, reasoning = self._begun.text + reply.text, self._begun.reasoning + reply.reasoning
        if not reasoning:
            text, reasoning = told_apart(text)
        return reply.model_copy(update={"text": text, "reasoning": reasoning, "usage": self._begun.usage.plus(usage)})


def _check_stray(line: bytes) -> None:
    """Raises WireFault for an error that a server put into a stream without making it an event."""
    try:
        said = reported(read_json(line), answers=False) if line else ""
    except ValueError:
        said = ""
    if said:
        raise WireFault(f"it reported an error: {said}")


class RemoteEmbedder(Endpoint):
    """Sends each text to embed to `base_url`/embeddings, in the OpenAI protocol."""

    def __init__(self, base_url: str, model: str, **settings: Unpack[Settings]) -> None:
        super().__init__(base_url, openai_wire.EMBED_PATH, model, openai_wire.headers, **settings)

    async def count_tokens(self, chat: Chat) -> int | None:  # noqa: ARG002
        return None

    def demote(self, pid: int) -> None:
        pass

    def refusal(self, call: LlmCall) -> str:
        """As `Backend.refusal`."""
        return "" if isinstance(call, Embed) else ONLY_VECTORS

    async def embed(self, call: Embed) -> EmbedReply:
        """As `Embedder.embed`. The server decides what becomes of texts that are too long for it."""

        async def take(_: httpx2.Response, chunks: Chunks) -> EmbedReply:
            return openai_wire.read_vectors(await read(chunks), len(call.texts), self.name)

        def body() -> bytes:
            return openai_wire.embed_body(call, self._model, self._extra, self._shape)

        reply = await self.post(body, take, most=guess_tokens(call), used=lambda reply: reply.usage.total)
        if reply.usage.total:
            return reply
        return reply.model_copy(update={"usage": Usage(prompt_tokens=guess_tokens(call), estimated=True)})
