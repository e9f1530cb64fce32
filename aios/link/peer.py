"""Two sides of a connection that may both ask: questions and their answers over one stream of frames.

{ask: id, ...question} is answered once, by {id, ok} or {id, error}; {drop: id} cancels it; {tell: ...} has no answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from aios.frames import Frames
from aios_syscalls import AiosError, BadRequest, Cancelled, KernelBug
from aios_syscalls.errors import from_wire

Answer = Callable[[dict[str, Any]], Awaitable[Any]]
"""What a question is answered with, as JSON; raises AiosError."""


@dataclass(slots=True)
class _Asked:
    answered: anyio.Event = field(default_factory=anyio.Event)
    frame: dict[str, Any] | None = None


class Peer:
    """One side; `serve` must run meanwhile. When the other has gone, what was asked raises Cancelled."""

    def __init__(self, frames: Frames, answer: Answer, told: Callable[[Any], None] = lambda _what: None) -> None:
        self._frames, self._answer, self._told = frames, answer, told
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._answering: dict[int, anyio.CancelScope] = {}
        self.gone = anyio.Event()
        """Set when the other side has hung up."""

    async def ask(self, question: dict[str, Any]) -> Any:
        """The other side's answer; raises the AiosError that it answers with."""
        if self.gone.is_set():
            raise _gone()
        number, asked = next(self._numbers), _Asked()
        self._asked[number] = asked
        try:
            await self._send({"ask": number, **question})
            await asked.answered.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), suppress(Cancelled):
                await self._send({"drop": number})
            raise
        finally:
            del self._asked[number]
        if asked.frame is None:
            raise _gone()
        if "error" in asked.frame:
            raise from_wire(asked.frame["error"])
        return asked.frame["ok"]

    async def tell(self, what: Any) -> None:
        """Say something that is not answered; raises Cancelled when nobody is there to hear it."""
        await self._send({"tell": what})

    async def serve(self) -> None:
        """Answer the other side until it hangs up, or sends what is no frame of ours."""
        async with anyio.create_task_group() as tasks:
            with suppress(anyio.EndOfStream, anyio.DelimiterNotFound, ValueError):
                while True:
                    self._take(await self._frames.receive(), tasks)
            self.gone.set()
            for asked in self._asked.values():
                asked.answered.set()
            tasks.cancel_scope.cancel()

    def _take(self, frame: Any, tasks: TaskGroup) -> None:
        match frame:
            case {"ask": int(number)} if number not in self._answering:
                self._answering[number] = anyio.CancelScope()
                tasks.start_soon(self._respond, number, {key: each for key, each in frame.items() if key != "ask"})
            case {"drop": int(number)}:
                if scope := self._answering.get(number):
                    scope.cancel()
            case {"tell": what}:
                self._told(what)
            case {"id": int(number)}:
                if asked := self._asked.get(number):
                    asked.frame = frame
                    asked.answered.set()
            case _:
                raise ValueError("a frame that is none of ask, drop, tell, answer")

    async def _respond(self, number: int, question: dict[str, Any]) -> None:
        outcome: dict[str, Any] = {"error": Cancelled("the question was dropped").to_wire()}
        with self._answering[number]:
            try:
                outcome = {"ok": await self._answer(question)}
            except AiosError as error:
                outcome = {"error": error.to_wire()}
            except Exception as error:  # whatever it is, who has asked is to hear of it
                bug = KernelBug(f"answering met {type(error).__name__}: {error}; please report this")
                outcome = {"error": bug.to_wire()}
        del self._answering[number]
        with suppress(Cancelled):
            await self._send({"id": number, **outcome})

    async def _send(self, frame: dict[str, Any]) -> None:
        try:
            await self._frames.send(frame)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise _gone() from None


def _gone() -> Cancelled:
    return Cancelled("the other side of the connection has gone")


def unknown(question: dict[str, Any]) -> BadRequest:
    """The answer to a question that nobody knows."""
    return BadRequest(f"no question {', '.join(sorted(question))[:80]!r}; the other side may be of another version")
