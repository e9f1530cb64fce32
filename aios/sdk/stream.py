"""An answer that is read while it is being written."""

from __future__ import annotations

from typing import Self

import anyio

from aios_syscalls import Chat, ChatReply
from aios_syscalls.port import Port


class Stream:
    """The pieces of one chat, in order; `reply` is there once they are through."""

    def __init__(self) -> None:
        # Unbounded, yet never larger than the answer, which max_tokens bounds.
        self._pieces, self._received = anyio.create_memory_object_stream[str](float("inf"))
        self._reply: ChatReply | None = None
        self._failure: Exception | None = None

    @property
    def reply(self) -> ChatReply:
        """The whole reply. Raises RuntimeError before the last piece was read."""
        if self._reply is None:
            raise RuntimeError("the stream has not ended yet; read all pieces first")
        return self._reply

    async def run(self, port: Port, call: Chat) -> None:
        """Submit the call, and pass on its text."""
        with self._pieces:
            try:
                self._reply = await port.submit(call, self._pieces.send_nowait)
            except Exception as error:
                self._failure = error  # raised where the pieces are read

    def close(self) -> None:
        """Nobody reads on."""
        self._received.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        try:
            return await self._received.receive()
        except anyio.EndOfStream:
            if self._failure is not None:
                raise self._failure from None
            raise StopAsyncIteration from None
