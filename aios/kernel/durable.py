"""The record of a process in a durable run: what its program hears goes on it, and is repeated from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aios.record import AskedCall, Kind, ReplayScript
from aios_syscalls import AiosError, BadRequest, Cancelled, R, Syscall
from aios_syscalls.port import WITHDRAWN
from aios_syscalls.wire import call_from_object


class NumberedPort(Protocol):
    """Runs a call under the number that its process gives it."""

    async def submit(self, call: Syscall[R], emit: Callable[[str], None], *, pid: int, n: int) -> R: ...


class DurableProcess:
    """See `aios_syscalls.port.ReplayLog`.

    What is to be kept of what the program hears goes on record with the next event of the process: it is of no use
    before the program has asked for something else.
    """

    def __init__(
        self,
        pid: int,
        run: NumberedPort,
        report: Callable[[Kind, int, Mapping[str, Any], int], None],
        prepare: Callable[[Syscall[Any]], Syscall[Any]],
        script: ReplayScript | None = None,
    ) -> None:
        self._pid, self._run, self._report, self._prepare = pid, run, report, prepare
        self._script = script or ReplayScript()
        self._resumed = script is not None
        self._times: list[int] = []
        """When the program heard something and, negative, when a timer of its own rang."""
        self._pieces: list[tuple[int, str | None]] = []
        """What the program was sent, in order: a piece of a call's text or, as None, its end."""
        self._withdrawn: dict[int, None] = {}

    def opening(self) -> Mapping[str, Any]:
        script = self._script
        return {
            "durable": True,
            "repeating": not script.over,
            "first": script.first,
            "state": script.state,
            "clock": script.clock,
        }

    @property
    def over(self) -> bool:
        return self._script.over

    def ask(self, n: int, call: object) -> tuple[Sequence[Mapping[str, Any]], bool]:
        try:
            known = self._prepare(call_from_object(call))
        except BadRequest:
            known = None
        return self._script.ask(n, known)

    def knows(self, n: int) -> bool:
        return n in self._script.calls

    def begin(self) -> Sequence[Mapping[str, Any]]:
        return self._script.due()

    def tell_late(self, n: int | None = None) -> Sequence[Mapping[str, Any]]:
        frames = self._script.lately(n)
        self._pieces += [(each, None) for each in dict.fromkeys(frame["id"] for frame in frames)]
        return frames

    async def submit(self, n: int, call: Syscall[R], emit: Callable[[str], None]) -> R:
        return await self._run.submit(call, emit, pid=self._pid, n=n)

    def heard(self, times: Sequence[int], rang: int) -> None:
        self._times += times
        if rang and self._times and self._times[-1] < 0:
            self._times[-1] = -rang  # whatever rang before that rings on the way to it
        elif rang:
            self._times.append(-rang)

    def said(self, n: int, text: str | None) -> None:
        self._pieces.append((n, text))

    def withdrawn(self, n: int) -> bool:
        self._withdrawn[n] = None
        if n not in self._script.cancelled:
            return False
        self._script.cancelled.discard(n)
        self.refused(n, Cancelled(WITHDRAWN))
        self.said(n, None)
        return True

    def refused(self, n: int, error: AiosError) -> None:
        self._report(Kind.REFUSED, self._pid, {"error": error.to_wire()}, n)

    # -- for the run

    def take(self) -> dict[str, Any]:
        """What goes on record with the next event."""
        kept: dict[str, Any] = {}
        if self._pieces:
            kept["pieces"], self._pieces = self._pieces, []
        if self._times:
            kept["heard"], self._times = self._times, []
        if self._withdrawn:
            kept["withdrawn"], self._withdrawn = [*self._withdrawn], {}
        return kept

    def begun(self, n: int, node: str = "") -> AskedCall | None:
        """A call that an earlier life of the process had made and that had not ended then."""
        if not self._resumed:
            return None
        if node:
            call, outcome = self._script.nodes.get((n, node), (None, None))
            return call if outcome is None else None
        return self._script.calls.pop(n, None)

    def node(self, n: int, node: str) -> Mapping[str, Any] | None:
        """How a node of a graph had ended in an earlier life, as a frame has it."""
        return self._script.nodes.get((n, node), (None, None))[1]

    def child(self, n: int) -> int | None:
        """The process that call `n` had started in an earlier life."""
        return self._script.children.get(n)
