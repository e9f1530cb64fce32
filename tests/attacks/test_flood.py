"""An agent that makes twenty thousand calls, and how long its neighbour's call waits: in virtual time, and counted."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from trio.testing import MockClock

from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.frames import Frames
from aios.hosts import pace
from aios.hosts.session import Session
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Limits, Turn, by_family, lone_run
from aios.models.scripted import ScriptedModel
from aios.record import Event, Kind, MemoryJournal
from aios.scheduler import POLICIES, Fifo
from aios.sdk import Agent
from aios.simulate import clock
from aios_syscalls import Chat, ChatReply, Message, Reply, Spawn, Usage, Wait
from aios_syscalls.wire import call_to_json

FLOOD = 20_000
CALL_S = 2e-7
"""What a function call takes in virtual time, by which steps of the event loop differ."""


def high(waits: Sequence[float]) -> float:
    """The 99th of a hundred."""
    return sorted(waits)[int(len(waits) * 0.99)]


# The lanes: a model with two slots, which four programs keep busy.


class Ticking:
    """Writes a token a second."""

    async def run(self, turn: Turn) -> Reply:
        assert isinstance(turn.call, Chat)
        await anyio.sleep(turn.call.max_tokens)
        return ChatReply(text="done", usage=Usage(completion_tokens=turn.call.max_tokens))


def chat(tokens: int) -> Chat:
    return Chat(messages=(Message(role="user", content="hi"),), max_tokens=tokens)


async def one_by_one(agent: Agent, task: str) -> str:
    dice = random.Random(int(task))
    while True:
        await agent.port.submit(chat(dice.randrange(4, 12)))


async def now_and_then(agent: Agent, task: str) -> str:
    dice = random.Random(0)
    for _ in range(200):
        await agent.port.submit(chat(8))
        await anyio.sleep(dice.expovariate(1 / 60))
    return ""


async def flood(agent: Agent, task: str) -> str:
    room = anyio.Semaphore(Limits().calls_per_process)

    async def one() -> None:
        async with room:
            await agent.port.submit(chat(8))

    async with anyio.create_task_group() as tasks:
        for _ in range(FLOOD):
            tasks.start_soon(one)
    return ""


async def lane_waits(policy: str, beside: str) -> list[float]:
    """How long each call of the neighbour waits for its slot, beside one program more, or none."""
    mains = {"neighbour": now_and_then, "flood": flood, **{f"busy{number}": one_by_one for number in range(4)}}
    lane, journal = Lane("llm", Ticking(), POLICIES[policy](16, 2), 2, meter=ChatMeter()), MemoryJournal()
    limits = Limits(agent_time_limit_s=1e9)
    async with lone_run([lane], by_family, TaskHost(mains=mains), journal, limits=limits) as kernel:
        for number, program in enumerate(name for name in (beside, *list(mains)[2:]) if name):
            await kernel.submit(Spawn(program=program, task=str(number)))
        pid = (await kernel.submit(Spawn(program="neighbour"))).pid
        await kernel.submit(Wait(pid=pid))
    return waits_of(journal.events, pid)


def waits_of(events: Sequence[Event], pid: int) -> list[float]:
    own = [event for event in events if event.pid == pid]
    arrived = {event.n: event.at for event in own if event.kind is Kind.ACCEPTED}
    return [event.at - arrived[event.n] for event in own if event.kind is Kind.STARTED]


@pytest.mark.parametrize("policy", ["vtc", "fair_gittins"])
def test_a_fair_policy_keeps_a_flood_from_its_neighbour(policy: str) -> None:
    without, beside = clock.run(lane_waits, policy, ""), clock.run(lane_waits, policy, "flood")
    assert sum(beside) / len(beside) <= 1.1 * sum(without) / len(without)
    assert high(beside) <= 1.1 * high(without)


def test_control_first_come_first_served_lets_the_flood_go_first() -> None:
    assert high(clock.run(lane_waits, "fifo", "flood")) > 3 * high(clock.run(lane_waits, "fifo", ""))


# The event loop: sessions of ten agents, each step of which takes as long as it makes function calls.

FRAME = call_to_json(chat(8))


def frame(id: int) -> bytes:
    return b'{"id":%d,"stream":false,"call":%b}' % (id, FRAME)


class Cost(trio.abc.Instrument):
    """Lets virtual time pass by what each step of the kernel's does; agents have processors of their own."""

    def __init__(self, clock: MockClock) -> None:
        self._clock = clock
        self._calls = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._calls = 0
        if not task.name.startswith("agent"):
            sys.setprofile(self._count)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        sys.setprofile(None)
        if not task.name.startswith("agent"):
            self._clock.jump(self._calls * CALL_S)

    def _count(self, _frame: FrameType, _what: str, _argument: Any) -> None:
        self._calls += 1


Connect = Callable[[], Frames]


@asynccontextmanager
async def sessions() -> AsyncIterator[Connect]:
    """Makes channels of agents to a kernel whose model answers at once."""
    lane = Lane("llm", LlmCore(ScriptedModel(lambda _chat: "ok", record=0)), Fifo(), 8, meter=ChatMeter())
    async with lone_run([lane], by_family, TaskHost(), MemoryJournal()) as kernel, anyio.create_task_group() as tasks:

        def connect() -> Frames:
            ours, theirs = socket.socketpair()
            sockets.extend((ours, theirs))
            tasks.start_soon(Session(Frames.over(ours, whole=False), kernel.port(0), anyio.Event()).serve)
            return Frames.over(theirs, whole=False)

        sockets: list[socket.socket] = []
        yield connect
        tasks.cancel_scope.cancel()
    for each in sockets:
        each.close()


async def call_by_call(channel: Frames, number: int, waits: list[float]) -> None:
    for id in range(number):
        began = anyio.current_time()
        await channel.send(frame(id))
        await channel.receive()
        waits.append(anyio.current_time() - began)


async def all_at_once(channel: Frames) -> None:
    async def send() -> None:
        for id in range(FLOOD):
            await channel.send(frame(id))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, name="agent that sends")
        for _ in range(FLOOD):
            await channel.receive()


async def loop_waits(flooded: bool) -> list[float]:
    """How long the answers to each of ten agents take, of which one floods, or makes a call at a time as they do."""
    waits: list[float] = []
    async with sessions() as connect, anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(call_by_call, connect(), FLOOD, [], name=f"agent {number}")
        if flooded:
            tasks.start_soon(all_at_once, connect(), name="agent that floods")
        else:
            tasks.start_soon(call_by_call, connect(), FLOOD, [], name="agent like the others")
        async with anyio.create_task_group() as neighbour:
            neighbour.start_soon(call_by_call, connect(), 100, waits, name="agent next door")
        tasks.cancel_scope.cancel()
    return waits


def in_virtual_time(monkeypatch: pytest.MonkeyPatch, flooded: bool) -> list[float]:
    # As trio's documentation has it for Hypothesis: the same order of tasks in each run.
    monkeypatch.setattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", True)
    monkeypatch.setattr("trio._core._run._r", random.Random(1))
    virtual = MockClock(autojump_threshold=0)
    with unprofiled():
        return trio.run(loop_waits, flooded, clock=virtual, instruments=[Cost(virtual)])


@contextmanager
def unprofiled() -> Iterator[None]:
    before = sys.getprofile()
    try:
        yield
    finally:
        sys.setprofile(before)


def test_a_flood_of_frames_takes_no_more_of_the_event_loop_than_any_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    without, beside = in_virtual_time(monkeypatch, flooded=False), in_virtual_time(monkeypatch, flooded=True)
    assert sum(beside) / len(beside) <= 1.1 * sum(without) / len(without)
    assert high(beside) <= 1.1 * high(without)


def test_control_frames_that_come_in_as_they_are_read_do(monkeypatch: pytest.MonkeyPatch) -> None:
    without = in_virtual_time(monkeypatch, flooded=False)
    monkeypatch.setattr(pace, "PASSES", 0)
    assert high(in_virtual_time(monkeypatch, flooded=True)) > 1.2 * high(without)


@pytest.mark.anyio
async def test_a_call_that_nothing_holds_up_is_through_within_its_passes() -> None:
    passes = 0

    async def count() -> None:
        nonlocal passes
        while True:
            passes += 1
            await checkpoint()

    async with sessions() as connect, anyio.create_task_group() as tasks:
        channel = connect()
        tasks.start_soon(count)
        for id in range(20):
            await channel.send(frame(id))
            sent = passes
            await channel.receive()
            assert passes - sent <= pace.PASSES
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_calls_that_wait_let_the_next_one_by() -> None:
    entered, gate = anyio.Event(), pace.Pace()
    await gate.enter(1)
    await gate.enter(2)  # though nobody has answered the first
    gate.through(1)  # which is late, and says nothing of the second
    async with anyio.create_task_group() as tasks:

        async def third() -> None:
            await gate.enter(3)
            entered.set()

        tasks.start_soon(third)
        await checkpoint()
        await checkpoint()
        assert not entered.is_set()
        gate.through(2)
        await entered.wait()
