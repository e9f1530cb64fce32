"""Runs the calls of one request while its client is there: whole, or as a stream that is kept alive."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
from starlette.types import Receive, Send

from aios.server.door import ClientPort
from aios.server.http.events import COMMENT
from aios.server.http.settings import HttpSettings
from aios.server.http.wire import ReplyStream
from aios_syscalls import AiosError, Chat, ChatReply, Syscall
from aios_syscalls.base import R


async def gone(receive: Receive) -> None:
    """Wait until the client has left; what else it sends is not looked at."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def submit_while_there(port: ClientPort, call: Syscall[R], receive: Receive) -> R | None:
    """The reply to a call; None when the client has left, which cancels it. Raises AiosError."""
    reply: R | None = None
    error: AiosError | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
        try:
            reply = await port.submit(call)
        except AiosError as failure:
            error = failure
        tasks.cancel_scope.cancel()
    if error is not None:
        raise error
    return reply


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    await gone(receive)
    scope.cancel()


@dataclass(slots=True, eq=False)
class StreamedCall:
    """One of the calls of a stream: what it has said and not yet sent, and its end."""

    call: Chat
    id: str = ""
    pieces: deque[str] = field(default_factory=deque)
    sent: int = 0
    """Characters."""
    reply: ChatReply | None = None
    error: AiosError | None = None
    ended: bool = False
    """Whether its end was sent."""
    first_at: float | None = None


class StreamedCalls:
    """The calls of one request, whose pieces become events as they come."""

    def __init__(self, port: ClientPort, calls: Sequence[Chat], settings: HttpSettings) -> None:
        self._port, self._settings = port, settings
        self.calls = [StreamedCall(call) for call in calls]
        self._news = anyio.Event()
        self._began = anyio.current_time()

    @property
    def ids(self) -> str:
        """Of the calls, as far as known."""
        return ",".join(each.id for each in self.calls if each.id)

    def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start every call."""
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

    @property
    def failure(self) -> AiosError | None:
        """The error of the first call that has failed."""
        return next((each.error for each in self.calls if each.error is not None), None)

    async def settle(self) -> None:
        """Wait until there is something to send, or a call has failed; not for longer than headers may wait."""
        with anyio.move_on_after(self._settings.grace_s):
            await self._news.wait()

    async def send_all(self, stream: ReplyStream, send: Send) -> bool:
        """Send every event to the last; False when a call failed, whose stream must not seem whole."""
        await _send(send, stream.begin())
        while True:
            self._news = self._news if not self._news.is_set() else anyio.Event()
            if self.failure is not None:
                return False
            if events := self._events(stream):
                await _send(send, events)
            if all(each.ended for each in self.calls):
                return True
            await self._next(send)

    async def _next(self, send: Send) -> None:
        """Wait for news, with a comment now and then."""
        while not self._news.is_set():
            with anyio.move_on_after(self._settings.keep_alive_s):
                await self._news.wait()
                return
            await _send(send, COMMENT)

    def _events(self, stream: ReplyStream) -> bytes:
        events: list[bytes] = []
        for choice, each in enumerate(self.calls):
            while each.pieces:
                text = each.pieces.popleft()
                each.sent += len(text)
                events.append(stream.piece(choice, text))
            if each.reply is not None and not each.ended:
                each.ended = True
                events.append(stream.end(choice, each.reply, each.reply.text[each.sent :], self._waited(each)))
        replies: list[ChatReply] = [each.reply for each in self.calls if each.reply is not None]
        if len(replies) == len(self.calls):
            events.append(stream.finish(replies))
        return b"".join(events)

    def _waited(self, each: StreamedCall) -> float:
        """Seconds to the first piece, or to the end of an answer without one."""
        return (anyio.current_time() if each.first_at is None else each.first_at) - self._began


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def choices_of(chat: Chat, count: int) -> list[Chat]:
    """The calls for several choices: with a seed, each has its own."""
    if count == 1:
        return [chat]
    sampling = chat.sampling
    seeds = [None if sampling.seed is None else (sampling.seed + at) % 2**63 for at in range(count)]
    return [chat.model_copy(update={"sampling": sampling.model_copy(update={"seed": seed})}) for seed in seeds]


async def submit_all(port: ClientPort, calls: Sequence[Chat], receive: Receive) -> list[ChatReply] | None:
    """The replies of several calls at once; None when the client has left. Raises the first AiosError."""
    replies: dict[int, ChatReply] = {}
    errors: list[AiosError] = []

    async def one(index: int, scope: anyio.CancelScope) -> None:
        id = port.next_call()
        try:
            replies[index] = identified(await port.submit(calls[index]), id)
        except AiosError as error:
            errors.append(error)
            scope.cancel()

    async with anyio.create_task_group() as watching:
        watching.start_soon(_cancel_when_gone, receive, watching.cancel_scope)
        if len(calls) == 1:
            await one(0, watching.cancel_scope)
        else:
            async with anyio.create_task_group() as tasks:
                for index in range(len(calls)):
                    tasks.start_soon(one, index, tasks.cancel_scope)
        watching.cancel_scope.cancel()
    if errors:
        raise errors[0]
    return [replies[index] for index in range(len(calls))] if len(replies) == len(calls) else None


def identified(reply: ChatReply, id: str) -> ChatReply:
    """The reply with the identity of its call, where it does not tell that itself."""
    return reply if reply.call or not id else reply.model_copy(update={"call": id})
