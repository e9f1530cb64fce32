"""Several runs on one kernel: they share its lanes, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aios.cores.chat_meter import ChatMeter
from aios.hosts.task import TaskHost
from aios.kernel import Kernel, Lane, Limits, Run, RunSettings, Turn, by_family
from aios.record import Kind, MemoryJournal
from aios.scheduler import Fifo
from aios.sdk import Agent
from aios_syscalls import (
    Budget,
    BudgetExceeded,
    Cancelled,
    Chat,
    ChatReply,
    Kill,
    ListProcesses,
    NotFound,
    Overloaded,
    Reply,
    Spawn,
    Wait,
)

pytestmark = pytest.mark.anyio


async def waits(agent: Agent, _task: str) -> str:
    return (await agent.receive()).body


@pytest.fixture
def kernel(counting: type[Any]) -> Callable[..., Any]:
    @asynccontextmanager
    async def opened(calls: int = 100, width: int = 1) -> AsyncIterator[tuple[Kernel, MemoryJournal]]:
        journal = MemoryJournal()
        lane = Lane("llm", counting(), Fifo(), width, meter=ChatMeter())
        async with Kernel([lane], by_family, journal, limits=Limits(calls=calls)) as made:
            yield made, journal

    return opened


def settings(id: str, **more: Any) -> RunSettings:
    return RunSettings(TaskHost(mains={"waits": waits}), id=id, **more)


async def pids(run: Run) -> list[int]:
    return [process.pid for process in (await run.submit(ListProcesses())).processes]


async def test_a_run_knows_nothing_of_another(kernel: Any) -> None:
    async with kernel() as (made, _), made.open(settings("a")) as one, made.open(settings("b")) as two:
        first = (await one.submit(Spawn(program="waits"))).pid
        second = (await two.submit(Spawn(program="waits"))).pid
        assert first != second
        assert (await pids(one), await pids(two)) == ([first], [second])
        for call in (Kill(pid=first), Wait(pid=first)):
            with pytest.raises(NotFound, match=f"no process {first}"):
                await two.submit(call)
        assert made.run_of(first) is one
        assert made.run_of(second) is two
        assert made.run_of(second + 1) is None


async def test_each_has_its_own_budget_and_its_own_end_on_record(kernel: Any, say: Callable[..., Chat]) -> None:
    async with kernel() as (made, journal):
        async with made.open(settings("poor", budget=Budget(calls=1))) as poor, made.open(settings("rich")) as rich:
            await poor.submit(say())
            with pytest.raises(BudgetExceeded):
                await poor.submit(say())
            await rich.submit(say())
        kinds = {id: [event.kind for event in journal.events if event.run == id] for id in ("poor", "rich")}
    assert all(each[0] is Kind.RUN and each[-1] is Kind.CLOSED for each in kinds.values())


async def test_a_run_that_ends_takes_its_processes_along_and_no_other(kernel: Any) -> None:
    async with kernel() as (made, _), made.open(settings("stays")) as stays:
        kept = (await stays.submit(Spawn(program="waits"))).pid
        async with made.open(settings("goes")) as goes:
            gone = (await goes.submit(Spawn(program="waits"))).pid
        assert not goes.processes._rows[gone].state.alive
        assert stays.processes.alive(kept).state.alive
        with pytest.raises(Cancelled):
            await goes.submit(Spawn(program="waits"))


class Gate:
    """A core that holds every call until it is opened."""

    def __init__(self) -> None:
        self.open = anyio.Event()

    async def run(self, _turn: Turn) -> Reply:
        await self.open.wait()
        return ChatReply(text="ok")


async def test_they_wait_for_the_same_slots_and_share_the_kernels_limit(say: Callable[..., Chat]) -> None:
    gate = Gate()
    lane = Lane("llm", gate, Fifo(), 1)
    async with Kernel([lane], by_family, MemoryJournal(), limits=Limits(calls=2)) as made:
        async with made.open(settings("a")) as one, made.open(settings("b")) as two:
            async with anyio.create_task_group() as tasks:
                for run in (one, two):
                    tasks.start_soon(run.submit, say())
                while made.calls < 2:
                    await anyio.lowlevel.checkpoint()
                while (lane.running, lane.waiting) != (1, 1):
                    await anyio.lowlevel.checkpoint()
                with pytest.raises(Overloaded, match="the kernel's limit"):
                    await two.submit(say())
                gate.open.set()
            assert made.calls == 0


async def test_a_runs_preparation_is_made_of_each_of_its_calls(kernel: Any, say: Callable[..., Chat]) -> None:
    def louder(call: Any) -> Any:
        return call.model_copy(update={"priority": 7})

    async with kernel() as (made, journal), made.open(settings("a", prepare=louder)) as run:
        await run.submit(say())
    (accepted,) = [event.data["call"] for event in journal.events if event.kind is Kind.ACCEPTED]
    assert accepted.priority == 7


async def test_a_kernel_that_stops_opens_no_more_runs(kernel: Any) -> None:
    async with kernel() as (made, _):
        made.closing = True
        with pytest.raises(Cancelled, match="takes no more runs"):
            async with made.open(settings("late")):
                pass


async def test_a_runs_deadline_ends_its_processes_and_says_so(kernel: Any) -> None:
    async with kernel() as (made, journal), made.open(settings("short", deadline_s=0.01)) as run:
        pid = (await run.submit(Spawn(program="waits"))).pid
        await run.processes._rows[pid].ended.wait()
        with pytest.raises(Cancelled, match="deadline has passed"):
            await run.submit(Spawn(program="waits"))
    (end,) = [event for event in journal.events if event.kind is Kind.EXITED]
    assert end.data["error"]["code"] == "expired"
    assert "deadline of 0.01 s" in end.data["error"]["message"]
