"""One agent's conversation with the kernel, over the channel of its process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import TaskGroup
from pydantic_core import from_json, to_json

from aios.frames import Frames
from aios.hosts.held import HeldBytes
from aios.hosts.pace import Pace
from aios_syscalls import (
    AgentFailed,
    AiosError,
    BadRequest,
    Cancelled,
    Overloaded,
    ReplayMismatch,
    Reply,
    RunGraphReply,
    ToolFailed,
    WaitReply,
)
from aios_syscalls.errors import from_wire
from aios_syscalls.port import WITHDRAWN, Port, ReplayLog, discard
from aios_syscalls.wire import call_from_object, count_values, outcome_to_json

MAX_UNANSWERED = 128
"""Calls of one agent that are read before their answers are: more than the kernel lets it have under way."""
MAX_CALL_ID = 10**18
SILENCE_S = 60.0
"""For which a program that is resumed may take to ask again what it had asked."""
MAX_HEARD = 100_000
"""Times in one frame."""
SHALLOW = 150
"""Brackets in an answer, up to which it cannot be too deep for its reader."""
VALUE_BYTES = 64
"""That a value of JSON takes in memory, beside its text."""
MAX_ERRORS = 64
"""Errors of the kernel that are remembered, the newest, to know them again when the agent ends with one."""
MAX_MESSAGE = 16_000
"""Characters of an agent's own error message that are kept."""


class NotAFrame(BadRequest):
    """The agent sent what no frame is."""


class Session:
    """Runs the calls of one agent until it sends its result, or until its process has exited.

    Nothing that an agent sends, or fails to read, keeps the session from ending once `exited` is set. With a `log`
    it is first told again what it had heard in an earlier life; what it asks beyond that waits until it has been.
    """

    def __init__(
        self,
        frames: Frames,
        port: Port,
        exited: anyio.Event,
        held: HeldBytes | None = None,
        log: ReplayLog | None = None,
    ) -> None:
        self._frames = frames
        self._port = port
        self._log = log
        self._repeating = log is not None
        self._last = 0
        """The highest number of a call so far."""
        self._open: list[tuple[int, Any, bool]] = []
        """Calls that had not ended: they run once all else has been repeated."""
        self._withdrawn: dict[int, None] = {}
        """Calls that were cancelled meanwhile."""
        self._unheard = 0
        """Frames that the agent was sent and has not said that it heard."""
        self._exited = exited
        self._held = held or HeldBytes()
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._unanswered = anyio.Semaphore(MAX_UNANSWERED, fast_acquire=True)
        self._pace = Pace()
        self._errors: dict[tuple[str, str], AiosError] = {}
        # Unbounded in number: what is in there is weighed.
        self._out, self._outgoing = anyio.create_memory_object_stream[tuple[bytes, int | None]](math.inf)

    async def serve(self) -> str:
        """The agent's result.

        Raises the kernel's error that the agent passed on, AgentFailed for its own, NotAFrame for what is none, and
        anyio.EndOfStream when its end of the channel is closed.
        """
        try:
            result = await self._serve()
        finally:
            self._held.give(self._held.bytes)
        if isinstance(result, Exception):
            raise result
        return result

    async def _serve(self) -> str | Exception:
        result: str | Exception
        async with self._out, anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            tasks.start_soon(self._hang_up)
            try:
                result = await self._converse(tasks)
            except (AiosError, anyio.EndOfStream) as error:
                result = error
            tasks.cancel_scope.cancel()
        return result

    async def _hang_up(self) -> None:
        """Once the process has exited, read what it has sent, and wait for nothing more."""
        await self._exited.wait()
        self._frames.end_input()
        self._unanswered.release()  # a call that waits for room is not going to run

    async def _converse(self, tasks: TaskGroup) -> str:
        self._tell_again(self._log.begin() if self._log else ())
        while True:
            await self._go_live(tasks)
            frame = await self._receive()
            self._note_heard(frame)
            match frame:
                case {"id": int(id), "call": call, "stream": bool(stream)} if self._is_new(id):
                    self._last = max(self._last, id)
                    if self._repeating:
                        self._repeat(id, call, stream)
                    elif self._log is not None and self._log.knows(id):
                        await self._resume(id, call, stream, tasks)
                    else:
                        await self._accept(id, call, stream, tasks)
                case {"cancel": int(id)}:
                    self._cancel(id)
                case {"result": str(result)}:
                    self._check_repeated()
                    return result
                case {"error": dict(wire), **rest}:
                    raise self._failure(wire, rest.get("at"))
                case _:
                    raise NotAFrame("the agent sent a frame that is none of call, cancel, result, error")

    # -- what is repeated

    async def _go_live(self, tasks: TaskGroup) -> None:
        """Once all has been repeated, say so, and run the calls that had no answer."""
        if not self._repeating or self._log is None or not self._log.over:
            return
        self._repeating = False
        self._send_forced(b'{"live":true}')
        self._unheard = 0  # what came until now was told when it is to be heard
        self._tell_again(self._log.tell_late())
        for id in self._withdrawn:
            self._cancel(id)
        for id, call, stream in self._open:
            await self._accept(id, call, stream, tasks)

    def _repeat(self, id: int, call: Any, stream: bool) -> None:
        """Tell the agent what it had heard by now. Raises ReplayMismatch."""
        assert self._log is not None
        told, run = self._log.ask(id, call)
        if run:
            if len(self._open) >= MAX_UNANSWERED:
                raise ReplayMismatch(
                    f"the resumed program asked {len(self._open)} things that it had not asked before it has asked "
                    "what it had, so it is not the same; start it anew with aios run"
                )
            self._open.append((id, call, stream))
        self._tell_again(told)

    async def _resume(self, id: int, call: Any, stream: bool, tasks: TaskGroup) -> None:
        """Once all has been repeated: answer a call that had an answer, run another. Raises ReplayMismatch."""
        assert self._log is not None
        _, run = self._log.ask(id, call)
        if run:
            await self._accept(id, call, stream, tasks)
        else:
            self._tell_again(self._log.tell_late(id))

    def _tell_again(self, frames: Iterable[Mapping[str, Any]]) -> None:
        lines = []
        for frame in frames:
            if "error" in frame:
                self._remember(from_wire(frame["error"]))
            lines.append(to_json(frame, inf_nan_mode="null"))
        if lines:
            self._unheard += len(lines)
            self._send_forced(b"\n".join(lines))  # at once: to hand each to the agent alone costs most of the time

    def _check_repeated(self) -> None:
        """Raises ReplayMismatch where the program ends before it has heard what it had heard."""
        if self._repeating:
            raise ReplayMismatch(
                "the resumed program ended before it had asked all that it had asked in its earlier life, so it is not "
                "the same; start it anew with aios run"
            )

    def _send_forced(self, frame: bytes) -> None:
        self._held.force(len(frame))
        self._send(frame, None)

    def _cancel(self, id: int) -> None:
        """The agent has cancelled a call, which may have ended meanwhile."""
        if self._repeating:
            self._open = [each for each in self._open if each[0] != id]
            if 0 <= id <= self._last:
                self._withdrawn[id] = None
            return
        known = id in self._scopes or (self._log is not None and self._log.knows(id))
        if known and self._log is not None and self._log.withdrawn(id):
            self._send_forced(_frame(id, Cancelled(WITHDRAWN)))
        if scope := self._scopes.get(id):
            scope.cancel()

    def _note_heard(self, frame: Any) -> None:
        """Keep when the agent says that it heard what it was sent. Raises NotAFrame for what is no time."""
        if self._log is None or not isinstance(frame, dict):
            return
        times, rang = frame.get("heard", []), frame.get("rang", 0)
        if not (isinstance(times, list) and len(times) <= MAX_HEARD and all(map(_is_time, [*times, rang]))):
            raise NotAFrame("the agent sent times that are none: microseconds since it began")
        if self._repeating or not (times or rang):
            return
        if len(times) > self._unheard:
            raise NotAFrame("the agent heard more than it was sent")
        self._unheard -= len(times)
        self._log.heard(times, rang)

    # -- calls

    async def _receive(self) -> Any:
        try:
            if not self._repeating:
                return await self._frames.receive()
            with anyio.fail_after(SILENCE_S):
                return await self._frames.receive()
        except TimeoutError:
            raise ReplayMismatch(
                f"the resumed program has not asked again within {SILENCE_S:g} s what it had asked: it waits for "
                "something else than a syscall or a timer, a thread or a file say; use agent.note for what comes from "
                "outside, or start it anew"
            ) from None
        except (ValueError, anyio.DelimiterNotFound) as error:
            raise NotAFrame(f"the agent sent something that is no frame: {error}") from None

    def _is_new(self, id: int) -> bool:
        if isinstance(id, bool) or not 0 <= id < MAX_CALL_ID or id in self._scopes:
            return False
        return self._log is None or id > self._last

    async def _accept(self, id: int, call: Any, stream: bool, tasks: TaskGroup) -> None:
        if not self._exited.is_set():
            await self._unanswered.acquire()
            await self._pace.enter(id)
        if self._exited.is_set():
            return  # nobody is there to hear the answer
        # Here, not in the task: the next frame may already cancel it.
        self._scopes[id] = anyio.CancelScope()
        if self._held.take(size := self._frames.received_bytes + VALUE_BYTES * count_values(call)):
            tasks.start_soon(self._answer, id, call, stream, size)
        else:
            error = _overloaded("calls under way and unread answers take too many bytes; await some calls")
            if self._log is not None:
                self._log.refused(id, error)
            self._tell(id, error)

    async def _answer(self, id: int, call: Any, stream: bool, size: int) -> None:
        outcome: Reply | AiosError = Cancelled(WITHDRAWN)
        with self._scopes[id]:
            try:
                emit = self._emitter(id) if stream else discard
                outcome = await self._submit(id, call, emit)
            except AiosError as error:
                outcome = error
        self._held.give(size)
        self._tell(id, outcome)

    async def _submit(self, id: int, call: Any, emit: Callable[[str], None]) -> Reply:
        if self._log is None:
            reply: Reply = await self._port.submit(call_from_object(call), emit)
            return reply
        try:
            found = call_from_object(call)
        except AiosError as error:
            self._log.refused(id, error)
            raise
        reply = await self._log.submit(id, found, emit)
        return reply

    def _tell(self, id: int, outcome: Reply | AiosError) -> None:
        """Send how a call ended; where the agent leaves too much unread, that it is too much."""
        del self._scopes[id]
        frame = _frame(id, outcome)
        if not self._held.take(len(frame)):
            outcome = _overloaded("the answer has no room beside those that were not read; read them, then ask again")
            frame = _frame(id, outcome)
            self._held.force(len(frame))
        self._remember(outcome)
        if self._log is not None:
            self._log.said(id, None)
        self._send(frame, id)

    def _emitter(self, id: int) -> Callable[[str], None]:
        """Streamed text that has no room is left out: the reply holds all of it."""

        def emit(text: str) -> None:
            if self._held.take(len(frame := to_json({"id": id, "text": text}))):
                if self._log is not None:
                    self._log.said(id, text)
                self._send(frame, None)

        return emit

    def _send(self, frame: bytes, answered: int | None) -> None:
        """Hand a frame to the writer, which has ended where the agent has: then nobody is there to hear it."""
        self._unheard += 1
        with suppress(anyio.BrokenResourceError):
            self._out.send_nowait((frame, answered))

    async def _write(self) -> None:
        with self._outgoing:
            async for frame, answered in self._outgoing:
                # An agent that has closed its channel hears nothing; that is for the reader to find.
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await self._frames.send(frame)
                self._held.give(len(frame))
                if answered is not None:
                    self._unanswered.release()
                    self._pace.through(answered)

    def _remember(self, outcome: Reply | AiosError) -> None:
        """Keep the kernel's errors, so that an agent that ends with one need not be believed about it."""
        for error in _errors(outcome):
            if len(error.message) <= MAX_MESSAGE:
                self._errors[error.code, error.message] = error
            if len(self._errors) > MAX_ERRORS:
                del self._errors[next(iter(self._errors))]

    def _failure(self, wire: Mapping[str, Any], at: Any) -> AiosError:
        """What a process failed with: the kernel's error, if the kernel gave it that one, or else the agent's own."""
        code, message = str(wire.get("code", "")), str(wire.get("message", ""))
        if known := self._errors.get((code, message)):
            return known
        where = f" (at {at})" if isinstance(at, str) else ""
        message = _cut(message or "the agent failed, and did not say why") + _cut(where, 200)
        return AgentFailed(message, cause=None if code in ("", AgentFailed.code) else _cut(code, 64))


def _is_time(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_CALL_ID


def _errors(outcome: Reply | AiosError) -> Iterator[AiosError]:
    """The errors that an outcome hands to the agent: of the call, of a graph's nodes, of a child."""
    match outcome:
        case AiosError():
            yield outcome
        case RunGraphReply(outcomes=nodes):
            yield from (from_wire(node.error) for node in nodes.values() if node.error)
        case WaitReply(process=process) if process.error:
            yield from_wire(process.error)


def _frame(id: int, outcome: Reply | AiosError) -> bytes:
    return b'{"id":%d,' % id + outcome_frame(outcome)[1:]


def _overloaded(why: str) -> Overloaded:
    return Overloaded(f"what the kernel holds for this agent is at its limit: {why}")


def outcome_frame(outcome: Reply | AiosError) -> bytes:
    """How a call ended, as JSON that its caller can read."""
    try:
        frame = outcome_to_json(outcome)
        if frame.count(b"[") + frame.count(b"{") > SHALLOW:
            from_json(frame)  # as the agent will
    except ValueError as error:
        return outcome_to_json(ToolFailed(f"the answer cannot be sent: {error}; let it be less deep, or a file"))
    return frame


def _cut(text: str, most: int = MAX_MESSAGE) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
