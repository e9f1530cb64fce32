"""Runs the calls of one request: whole, or as a stream that is kept alive."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from starlette.types import Send

from aios.server.door import ClientPort
from aios.server.http.events import COMMENT
from aios.server.http.settings import HttpSettings
from aios.server.http.wire import ReplyStream
from aios_syscalls import AiosError, Chat, ChatReply


def choices_of(chat: Chat, count: int) -> list[Chat]:
    """The calls for several choices: with a seed, each has its own."""
    if count == 1:
        return [chat]
    sampling = chat.sampling
    seeds = [None if sampling.seed is None else (sampling.seed + at) % 2**63 for at in range(count)]
    return [chat.model_copy(update={"sampling": sampling.model_copy(update={"seed": seed})}) for seed in seeds]


async def submit_all(port: ClientPort, calls: Sequence[Chat]) -> list[ChatReply]:
    """The replies of several calls at once. Raises the first AiosError, which ends the others."""
    if len(calls) == 1:
        return [await _submit(port, calls[0])]
    replies: dict[int, ChatReply] = {}
    errors: list[AiosError] = []

    async def one(index: int) -> None:
        try:
            replies[index] = await _submit(port, calls[index])
        except AiosError as error:
            errors.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for index in range(len(calls)):
            tasks.start_soon(one, index)
    if errors:
        raise errors[0]
    return [replies[index] for index in range(len(calls))]


async def _submit(port: ClientPort, call: Chat) -> ChatReply:
    id = port.next_call()
    return identified(await port.submit(call), id)


def identified(reply: ChatReply, id: str) -> ChatReply:
    """The reply with the identity of its call, where it does not tell that itself."""
    return reply if reply.call or not id else reply.model_copy(update={"call": id})


@dataclass(slots=True, eq=False)
class StreamedCall:
    """One of the calls of a stream: what it has said and not yet sent, and its end."""

    call: Chat
    id: str = ""
    pieces: deque[str] = field(default_factory=deque)
    sent: list[str] = field(default_factory=list)
    reply: ChatReply | None = None
    error: AiosError | None = None
    ended: bool = False
    """Whether its end was sent."""
    first_at: float | None = None

    def rest(self, text: str) -> str:
        """What of the whole text no piece has had; nothing where the pieces were not its beginning."""
        sent = "".join(self.sent)
        return text[len(sent) :] if text.startswith(sent) else ""


class StreamedCalls:
    """The calls of one request, whose pieces become events as they come."""

    def __init__(self, port: ClientPort, calls: Sequence[Chat], settings: HttpSettings) -> None:
        self._port, self._settings = port, settings
        self.calls = [StreamedCall(call) for call in calls]
        self._news = anyio.Event()
        self._sends = 0
        self._began = anyio.current_time()

    @property
    def ids(self) -> str:
        """Of the calls, as far as known."""
        return ",".join(each.id for each in self.calls if each.id)

    @property
    def failure(self) -> AiosError | None:
        """The error of the first call that has failed."""
        return next((each.error for each in self.calls if each.error is not None), None)

    def start(self, tasks: TaskGroup) -> None:
        """Submit every call."""
        for each in self.calls:
            tasks.start_soon(self._run, each)

    async def _run(self, each: StreamedCall) -> None:
        def emit(text: str) -> None:
            if each.first_at is None:
                each.first_at = anyio.current_time()
            each.pieces.append(text)
            self._news.set()

        each.id = self._port.next_call()
        try:
            each.reply = identified(await self._port.submit(each.call, emit), each.id)
        except AiosError as error:
            each.error = error
        self._news.set()

    async def settle(self) -> None:
        """Wait until there is something to send, or a call has failed; not for longer than headers may wait."""
        with anyio.move_on_after(self._settings.grace_s):
            await self._news.wait()

    async def send_all(self, stream: ReplyStream, send: Send) -> bool:
        """Send every event to the last; False when a call failed, whose stream must not seem whole."""
        await _send(send, stream.begin())
        while True:
            if self._news.is_set():
                self._news = anyio.Event()
            if self.failure is not None:
                return False
            if events := self._events(stream):
                self._sends += 1
                await _send(send, events)
            if all(each.ended for each in self.calls):
                return True
            await self._news.wait()

    async def keep_alive(self, send: Send) -> None:
        """Send a comment whenever nothing else was sent for a while."""
        while True:
            sent = self._sends
            await anyio.sleep(self._settings.keep_alive_s)
            if sent == self._sends:
                await _send(send, COMMENT)

    def _events(self, stream: ReplyStream) -> bytes:
        """All that there is to send now: several events go out in one piece where the client is slower than they."""
        events: list[bytes] = []
        for choice, each in enumerate(self.calls):
            while each.pieces:
                text = each.pieces.popleft()
                each.sent.append(text)
                events.append(stream.piece(choice, text))
            if each.reply is not None and not each.ended:
                each.ended = True
                events.append(stream.end(choice, each.reply, each.rest(each.reply.text), self._waited(each)))
        if all(each.ended for each in self.calls):
            events.append(stream.finish([each.reply for each in self.calls if each.reply is not None]))
        return b"".join(events)

    def _waited(self, each: StreamedCall) -> float:
        """Seconds to the first piece, or to the end of an answer without one."""
        return (anyio.current_time() if each.first_at is None else each.first_at) - self._began


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
