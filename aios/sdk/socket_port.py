"""The port of an agent that runs in a process of its own.

Agent to kernel: {id, call, stream}, {cancel: id}, at the end {result} or {error}.
Kernel to agent: first {program, task, pid}; then {id, text} any number of times, {id, ok} or {id, error} once.

In a durable run the agent adds to what it sends when it heard what, and when a timer of its own rang after that:
{..., heard: [microseconds, ...], rang: microseconds}. What is repeated
to it says when that is to be: {id, ok, at: microseconds}, before that {at} lets its clock go on, and {live} says that
all has been.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
from pydantic_core import to_json

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


class ProgramClock(Protocol):
    """When a program hears what it is told; see `aios.hosts.steady`."""

    async def settle(self, at_us: int | None = None) -> int:
        """Wait until the program may hear the next thing; the time, which is to be `at_us` if that is given."""

    def go_on(self) -> None:
        """All has been repeated."""

    @property
    def now_us(self) -> int:
        """What it shows, in microseconds."""


def kernel_gone() -> AiosError:
    """What a process of the kernel's is told when the kernel has hung up: it is about to be ended."""
    return Cancelled("the kernel has gone")


class SocketPort:
    """Submits over frames; `listen` must run meanwhile. `gone` makes the error of calls that find nobody there.

    With a `clock` the run is durable: what is heard is put in order by it. `first` is the number of the first call.
    """

    def __init__(
        self,
        frames: Frames,
        gone: Callable[[], AiosError] = kernel_gone,
        clock: ProgramClock | None = None,
        first: int = 1,
    ) -> None:
        self._frames, self._gone, self._clock = frames, gone, clock
        self._heard: list[int] = []
        """When what came since the last frame was heard."""
        self._told = 0
        """The last time that the kernel knows of."""
        self._over = False
        self._ids = itertools.count(first)
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
            await self._frames.send(b'{"id":%d,"stream":%b,"call":%b%b}' % (id, stream, data, self._times()))
            await pending.ended.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._frames.send(b'{"cancel":%d%b}' % (id, self._times()))
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
                    await self._hear(await self._frames.receive())
        finally:
            self._over = True
            for pending in self._pending.values():
                pending.ended.set()

    async def _hear(self, frame: dict[str, Any]) -> None:
        """Take a frame; in a durable run once the program can do nothing before it hears it."""
        if self._clock is None:
            self._take(frame)
        elif "live" in frame:
            self._clock.go_on()
        else:
            at = await self._clock.settle(frame.get("at"))
            self._told = at
            if "at" not in frame:
                self._heard.append(at)
            if "id" in frame:
                self._take(frame)

    def _times(self) -> bytes:
        """What a frame says of when the program heard what it was sent, and whether a timer has rung since."""
        if self._clock is None:
            return b""
        times, self._heard = self._heard, []
        said = b',"heard":' + to_json(times) if times else b""
        if (now := self._clock.now_us) > self._told:
            self._told = now
            said += b',"rang":%d' % now
        return said

    def _take(self, frame: dict[str, Any]) -> None:
        pending = self._pending.get(frame["id"])
        if pending is None:
            return  # answered after the caller was cancelled
        if "text" in frame:
            pending.emit(frame["text"])
        else:
            pending.outcome = frame
            pending.ended.set()
