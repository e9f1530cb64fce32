"""Policies in the kernel: what lanes tell them, and that calls end in their order."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from aios.scheduler import POLICIES, Fifo, Gittins, Job, Resuming, Vtc
from aios.sdk import Agent
from aios_syscalls import Spawn, Wait

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])


class Told(Fifo):
    """Notes what it is told, with the time in seconds."""

    slice = 2

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[Any, ...]] = []

    def add(self, job: Job, now: int = 0) -> None:
        self.notes.append(("add", job.pid, job.program, job.tenant, now))
        super().add(job, now)

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        self.notes.append(("served", job.pid, prefill, decode, now))

    def done(self, job: Job, now: int = 0) -> None:
        self.notes.append(("done", job.pid, now))

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        self.notes.append(("began", pid, program, tenant, now))

    def ended(self, pid: int, now: int = 0) -> None:
        self.notes.append(("ended", pid, now))


@VIRTUAL
async def test_a_policy_is_told_of_runs_and_of_what_each_slice_got(opened: Any, counting: Any, say: Any) -> None:
    async def parent(agent: Agent, task: str) -> str:
        return await agent.run("child")

    async def child(agent: Agent, task: str) -> str:
        return await agent.ask("x" * 40, max_tokens=3)

    policy = Told()
    async with opened(counting(tick_s=1), policy, parent=parent, child=child) as bench:
        spawned = await bench.run.submit(Spawn(program="parent", task=""))
        await bench.run.submit(Wait(pid=spawned.pid))
    start = policy.notes[0][-1]
    assert [(*note[:-1], (note[-1] - start) // 1_000_000) for note in policy.notes] == [
        ("began", 1, "parent", "parent", 0),
        ("began", 2, "child", "parent", 0),
        ("add", 2, "child", "parent", 0),
        ("served", 2, 10 + 15, 2, 2),  # by length: 40 characters, and the frames of a message
        ("served", 2, 0, 1, 3),
        ("done", 2, 3),
        ("ended", 2, 3),
        ("ended", 1, 3),
    ]


@VIRTUAL
@pytest.mark.parametrize("policy", sorted(POLICIES))
async def test_every_policy_answers_all_and_leaves_nothing(opened: Any, counting: Any, say: Any, policy: str) -> None:
    async def main(agent: Agent, task: str) -> str:
        async with anyio.create_task_group() as tasks:
            for tokens in (1, 5, 9):
                tasks.start_soon(partial(agent.ask, "hi", max_tokens=tokens))
        return ""

    core = counting(tick_s=1)
    async with opened(core, POLICIES[policy](2, slots=2), width=2, agent=main) as bench:
        spawned = [await bench.run.submit(Spawn(program="agent", task="")) for _ in range(5)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.run.submit, say(tokens=7))
            for each in spawned:
                tasks.start_soon(bench.run.submit, Wait(pid=each.pid))
        with anyio.move_on_after(3):
            await bench.run.submit(say(tokens=100))
    assert bench.history.ended_once()
    assert (bench.lane.running, bench.lane.waiting, core.held) == (0, 0, 0)
    scheduler = bench.lane.scheduler
    if isinstance(scheduler, Gittins):
        assert not scheduler._programs
        assert not scheduler._taken
        assert scheduler.learnt.pooled.count >= 5


@VIRTUAL
async def test_priorities_hold_under_gittins(opened: Any, counting: Any, say: Any) -> None:
    core = counting(tick_s=1)
    async with opened(core, Gittins(8)) as bench, anyio.create_task_group() as tasks:
        for text, priority in [("first", 0), ("low", -1), ("high", 9), ("middle", 0)]:
            tasks.start_soon(bench.run.submit, say(text, priority=priority))
            await anyio.sleep(0.1)
    assert [text for text, _, _ in core.slices] == ["first", "high", "middle", "low"]


@VIRTUAL
async def test_a_tenant_that_floods_leaves_the_others_their_share(opened: Any, counting: Any, say: Any) -> None:
    def agent(count: int) -> Any:
        async def main(agent: Agent, task: str) -> str:
            async with anyio.create_task_group() as tasks:
                for _ in range(count):
                    tasks.start_soon(partial(agent.ask, task, max_tokens=4))
            return ""

        return main

    core = counting(tick_s=1)
    vtc = Vtc(4, inner=Resuming)
    async with opened(core, vtc, greedy=agent(40), modest=agent(5)) as bench:
        await bench.run.submit(Spawn(program="greedy", task="greedy"))
        modest = await bench.run.submit(Spawn(program="modest", task="modest"))
        await bench.run.submit(Wait(pid=modest.pid))
    assert sum(text == "greedy" for text, _, _ in core.slices) <= 7
