"""Notices that a client has left while its answer is being made."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import anyio
from starlette.types import Receive

LOOK_AFTER_S = 0.01
"""Seconds of a request after which somebody watches its connection: most end before, and cost no task then."""


class CancelledOnLeave:
    """A context whose body is cancelled when the client leaves.

    The server that runs this is asyncio's, so this is: a timer costs a tenth of a task.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._scope = anyio.CancelScope()
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._timer = asyncio.get_running_loop().call_later(LOOK_AFTER_S, self._start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        return bool(self._scope.__exit__(kind, error, trace))

    def _start(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # what else a client sends with its request is not looked at
        self._scope.cancel()
