"""Through which rooms a chat and the writing of a file go, from the agent's call until the model or the store has it.

*The way in* is who waits for whom at the moment when the model, or the store, is called: the open calls of Python, from
the SDK's method on, joined where a task waits for a thread. What was called on the way and has returned is an *aside*,
however often: an event was recorded, the policy told, a field of the ABI read. Whoever follows a call from room to room
reads the way; an aside can be read by itself.

A room is *entered* where the way comes into it from another one, and may be entered once. There is one exception: the
kernel hands the route a `RoutedCall`, by whose `run` the route hands the call back to the kernel's lane. The kernel
has never been left then - its own call is what waits - and a router could not try a second model otherwise. No other
way back is let through.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
from anyio import to_thread

from aios.boot import boot
from aios.config import Config
from aios.context import Snapshot
from aios.models import NOBODY, Caller, Emit
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent
from aios_syscalls import Chat, ChatReply

ASIDES = {"aios_syscalls", "aios.record", "aios.scheduler"}
"""What is called on the way: the ABI's fields, the journal, the policy."""


class Station(NamedTuple):
    """A function of ours that was called."""

    room: str
    function: str


HANDED_BACK = Station("aios.kernel", "Passage.run")
MODEL, STORE = Station("aios.models", "ScriptedModel.generate"), Station("aios_storage", "Files.write")


def room(frame: FrameType) -> str:
    """The room of the code that a frame runs; empty for what is not ours, or a primitive beside anyio's."""
    if (name := str(frame.f_globals.get("__name__", ""))) == "aios.tasks":
        return ""
    first, _, rest = name.partition(".")
    if first in ("aios_storage", "aios_syscalls"):
        return first
    return f"aios.{rest.partition('.')[0]}" if first == "aios" and rest else ""


def station(frame: FrameType) -> Station:
    return Station(room(frame), frame.f_code.co_qualname)


def waiting(frame: FrameType | None) -> list[FrameType]:
    """The frames of ours that wait for this one, the one that was called first in front, and itself."""
    found: list[FrameType] = []
    while frame is not None:
        found.extend([frame] if room(frame) else [])
        frame = frame.f_back
    return found[::-1]


def entries(way: Iterable[Station]) -> list[Station]:
    """The stations at which a way comes into another room, but for the kernel's lane."""
    stations = [Station("", ""), *way]
    found = [after for before, after in pairwise(stations) if before.room != after.room]
    return [each for each in found if each != HANDED_BACK]


def entered_again(way: Iterable[Station]) -> list[Station]:
    """The entries into rooms that the way has been in before."""
    found = entries(way)
    return [each for at, each in enumerate(found) if each.room in {earlier.room for earlier in found[:at]}]


class Trace:
    """The way to a station, and the rooms of all that is called until it is reached."""

    def __init__(self, target: Station) -> None:
        self.way: tuple[Station, ...] = ()
        self.called: set[str] = set()
        self._target, self._known = target, set(waiting(sys._getframe()))
        self._outside = len(self._known)

    def here(self, frame: FrameType, event: str, _argument: object) -> None:
        """Take a call in the thread in which the tracing began."""
        self._take((), frame, event, self._outside)

    def in_thread(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, traced in the thread for which whoever calls this waits."""
        before = tuple(map(station, waiting(sys._getframe())[self._outside :]))

        def traced_work(*arguments: object) -> Any:
            sys.setprofile(lambda frame, event, _: self._take(before, frame, event, 0))
            try:
                return work(*arguments)
            finally:
                sys.setprofile(None)

        return traced_work

    def _take(self, before: tuple[Station, ...], frame: FrameType, event: str, outside: int) -> None:
        # A coroutine that goes on is told as a call too.
        if event != "call" or self.way or frame in self._known or not room(frame):
            return
        self._known.add(frame)
        self.called.add(room(frame))
        if station(frame) == self._target:
            self.way = (*before, *map(station, waiting(frame)[outside:]))


@contextmanager
def traced(target: Station) -> Iterator[Trace]:
    """What is called until the target is, in this thread and in those for which tasks wait."""
    trace, run_sync = Trace(target), to_thread.run_sync

    async def handed_over(work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return await run_sync(trace.in_thread(work), *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(to_thread, "run_sync", handed_over)
        sys.setprofile(trace.here)
        try:
            yield trace
        finally:
            sys.setprofile(None)


Act = Callable[[Agent], Any]


async def way_of(target: Station, act: Act, place: Path, *models: ScriptedModel, before: Act | None = None) -> Trace:
    """The trace of what an agent does in a kernel, to its target."""
    found = []

    async def main(agent: Agent, _task: str) -> str:
        if before:
            await before(agent)
        with traced(target) as trace:
            await act(agent)
        found.append(trace)
        return ""

    (place / "files").mkdir()
    config, mains = Config(root=place / "files", isolate=False), {"main": main}
    async with boot(config, models=models or [ScriptedModel("Hello.")], mains=mains, directory=place / "run") as run:
        await Agent(run.run.port(0), 0).run("main")
    (trace,) = found
    return trace


@pytest.mark.anyio
async def test_a_chat_goes_through_each_room_once_and_through_eight_at_most(tmp_path: Path) -> None:
    trace = await way_of(MODEL, lambda agent: agent.chat("Hello?"), tmp_path)
    rooms = [each.room for each in entries(trace.way)]
    assert rooms == ["aios.sdk", "aios.kernel", "aios.routing", "aios.cores", "aios.models"]
    assert entered_again(trace.way) == []
    # What the router is told of a lane's queue is a closure of boot's.
    assert trace.called <= {*rooms, *ASIDES, "aios.boot"}
    assert len(trace.called - {"aios.boot"}) <= 8


@pytest.mark.anyio
async def test_a_file_write_goes_through_each_room_once_and_through_seven_at_most(tmp_path: Path) -> None:
    def write(agent: Agent) -> Any:
        return agent.write("a.md", "text")

    # The first call opens the store, and finds an embedder and walls for its owner.
    trace = await way_of(STORE, write, tmp_path, before=lambda agent: agent.write("first.md", "text"))
    rooms = [each.room for each in entries(trace.way)]
    assert rooms == ["aios.sdk", "aios.kernel", "aios.routing", "aios.cores", "aios_storage"]
    assert entered_again(trace.way) == []
    assert trace.called <= {*rooms, *ASIDES}
    assert len(rooms) <= 7


class Detour(ScriptedModel):
    """A model that asks another one by way of the SDK and the kernel before it answers."""

    def __init__(self) -> None:
        super().__init__("Hello.", "detour")
        self.agent: Agent | None = None

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit, caller: Caller = NOBODY
    ) -> ChatReply | Snapshot:
        assert self.agent
        await self.agent.chat("Hello?", model="plain")
        return await super().generate(chat, snapshot, budget, emit, caller)


@pytest.mark.anyio
async def test_control_a_room_that_is_entered_twice_is_noticed(tmp_path: Path) -> None:
    model = Detour()

    async def ask(agent: Agent) -> None:
        model.agent = agent
        await agent.chat("Hello?", model="detour")

    trace = await way_of(MODEL, ask, tmp_path, model, ScriptedModel("Hello.", "plain"))
    assert [each.room for each in entered_again(trace.way)] == ["aios.sdk", "aios.kernel", "aios.routing", "aios.cores"]


def test_control_no_other_way_back_into_a_waiting_room_is_let_through() -> None:
    back = Station("aios.kernel", "Kernel.submit")
    way = [Station("aios.kernel", "Kernel.submit"), Station("aios.routing", "Dispatch.__call__")]
    assert entered_again([*way, HANDED_BACK]) == []
    assert entered_again([*way, back]) == [back]
