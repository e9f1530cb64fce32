"""The port of an agent that runs in a process of its own.

Agent to kernel: {id, call, stream}, {cancel: id}, at the end {result} or {error}.
Kernel to agent: first {program, task, pid}; then {id, text} any number of times, {id, ok} or {id, error} once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio

from aios.frames import Frames
from aios_syscalls import AiosError, BadRequest, Cancelled, R, Syscall
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.port import discard
from aios_syscalls.wire import call_to_json, reply_from_object


@dataclass(slots=True)
class _Pending:
    emit: Callable[[str], None]
    outcome: dict[str, Any] | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)


def kernel_gone() -> AiosError:
    """What a process of the kernel's is told when the kernel has hung up: it is about to be ended."""
    return Cancelled("the kernel has gone")


class SocketPort:
    """Submits over frames; `listen` must run meanwhile. `gone` makes the error of calls that find nobody there."""

    def __init__(self, frames: Frames, gone: Callable[[], AiosError] = kernel_gone) -> None:
        self._frames, self._gone = frames, gone
        self._over = False
        self._ids = itertools.count(1)
        self._pending: dict[int, _Pending] = {}

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        data = call_to_json(call)
        if len(data) > MAX_CALL_BYTES:
            raise BadRequest(f"a call of {len(data)} bytes is over the limit of {MAX_CALL_BYTES}; send it in parts")
        if self._over:
            raise self._gone()
        id = next(self._ids)
        stream = b"false" if emit is discard else b"true"
        pending = self._pending[id] = _Pending(emit)
        try:
            await self._frames.send(b'{"id":%d,"stream":%b,"call":%b}' % (id, stream, data))
            await pending.ended.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._frames.send({"cancel": id})
            raise
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise self._gone() from None
        finally:
            del self._pending[id]
        if pending.outcome is None:
            raise self._gone()
        return reply_from_object(call, pending.outcome)

    async def listen(self) -> None:
        """Hand the kernel's frames to the calls they answer, until it hangs up; then no call is answered any more."""
        try:
            with suppress(anyio.EndOfStream):
                while True:
                    self._take(await self._frames.receive())
        finally:
            self._over = True
            for pending in self._pending.values():
                pending.ended.set()

    def _take(self, frame: dict[str, Any]) -> None:
        pending = self._pending.get(frame["id"])
        if pending is None:
            return  # answered after the caller was cancelled
        if "text" in frame:
            pending.emit(frame["text"])
        else:
            pending.outcome = frame
            pending.ended.set()
