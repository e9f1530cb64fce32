"""Memory as a resource, in the kernel: the same Room as in the simulator, told by a lane, under a virtual clock."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from aios.scheduler import POLICIES, AdmissionControl, Fifo, RoundRobin
from aios.sdk import Agent
from aios_syscalls import Kill, Spawn, Wait

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
CHARACTERS, FRAMES = 4, 15
"""Of a token, and tokens of the frames of a message alone, as a lane believes at first."""


def words(name: str, tokens: int) -> str:
    return name * ((tokens - FRAMES) * CHARACTERS)


def twice(pause_s: float, tokens: int) -> Any:
    """A program of two calls, with a tool of so many seconds between; the first of b takes four seconds."""

    async def main(agent: Agent, task: str) -> str:
        await agent.ask(words(task, tokens), max_tokens=4 if task == "b" else 1)
        await anyio.sleep(pause_s)
        return await agent.ask(words(task, tokens + 5), max_tokens=1)

    return main


async def order(opened: Any, core: Any, scheduler: AdmissionControl, pause_s: float, tokens: int = 40) -> str:
    """Whose slices a core of two slots ran, of three programs that begin one after the other."""
    async with opened(core, scheduler, width=2, agent=twice(pause_s, tokens)) as bench:
        spawned = []
        for name in "abc":
            spawned.append(await bench.run.submit(Spawn(program="agent", task=name)))
            await anyio.sleep(0.01)
        for each in spawned:
            await bench.run.submit(Wait(pid=each.pid))
    assert bench.history.ended_once()
    assert (bench.lane.running, bench.lane.waiting, scheduler.places.used, core.held) == (0, 0, 0, 0)
    assert not scheduler.places
    return "".join(text[0] for text, _, _ in core.slices)


@VIRTUAL
async def test_a_program_stays_while_its_tool_runs_and_another_waits_outside(opened: Any, counting: Any) -> None:
    # Worth ten seconds. With room for all c has the slot that a leaves for its tool, with room for two it waits.
    assert await order(opened, counting(tick_s=1), AdmissionControl(Fifo(), 1_000, 10_000), pause_s=0.5) == "acacbb"
    assert await order(opened, counting(tick_s=1), AdmissionControl(Fifo(), 100, 100_000), pause_s=0.5) == "aacbcb"


@VIRTUAL
async def test_a_program_whose_tool_takes_too_long_gives_its_place_up(opened: Any, counting: Any) -> None:
    # Worth a tenth of a second, which is over when b has had its second slice; or ten, and c waits for b's last.
    brief = await order(opened, counting(tick_s=1), AdmissionControl(RoundRobin(1), 100, 1_000), pause_s=60)
    assert brief.startswith("abb")
    assert "c" in brief[3:5]  # at the same time as b's third
    assert (await order(opened, counting(tick_s=1), AdmissionControl(RoundRobin(1), 100, 100_000), pause_s=60))[
        :6
    ] == "abbbbc"


@pytest.mark.parametrize(
    ("anyio_backend", "second"),
    [(("trio", {"clock": MockClock(autojump_threshold=0)}), 1.0), (("asyncio", {}), 0.05)],
)
async def test_a_place_kept_for_long_enough_is_given_up_though_nothing_else_happens(
    opened: Any, counting: Any, say: Any, second: float
) -> None:
    # One long call without slices, a run whose tool hangs, and a call outside, for which one of two slots is free.
    async def main(agent: Agent, task: str) -> str:
        await agent.ask(words(task, 40), max_tokens=1)
        await anyio.sleep(60 * second)
        return ""

    # Worth five seconds, when the first of the others has fifteen to go.
    core = counting(tick_s=second)
    async with opened(core, AdmissionControl(Fifo(), 100, 50_000 * second), width=2, agent=main) as bench:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.run.submit, say(words("a", 30), tokens=20))
            hangs = await bench.run.submit(Spawn(program="agent", task="b"))
            await anyio.sleep(2 * second)
            await bench.run.submit(say(words("c", 40), tokens=1))
            await bench.run.submit(Kill(pid=hangs.pid))
    assert [text[0] for text, _, _ in core.slices] == ["b", "c", "a"]
    assert (bench.lane.running, bench.lane.waiting) == (0, 0)


@VIRTUAL
async def test_what_is_larger_than_the_memory_still_runs(opened: Any, counting: Any) -> None:
    core = counting(tick_s=1)
    assert await order(opened, core, AdmissionControl(Fifo(), 10, 100_000), pause_s=0.5) == "abcabc"
    assert core.most == 1


@VIRTUAL
async def test_a_caller_that_gives_up_outside_leaves_the_next_its_turn(opened: Any, counting: Any, say: Any) -> None:
    core, scheduler = counting(tick_s=1), AdmissionControl(Fifo(), 100)
    async with opened(core, scheduler, width=3) as bench, anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run.submit, say(words("a", 60), tokens=10))
        await anyio.sleep(0.1)
        with anyio.move_on_after(2):
            async with anyio.create_task_group() as others:
                others.start_soon(bench.run.submit, say(words("b", 50), tokens=1))
                await anyio.sleep(0.1)
                tasks.start_soon(bench.run.submit, say(words("c", 30), tokens=1))
        await anyio.sleep(0.1)
        assert core.running == 2
    assert [text[0] for text, _, _ in core.slices] == ["c", "a"]
    assert (len(scheduler), scheduler.places.used) == (0, 0)


@VIRTUAL
@pytest.mark.parametrize("policy", sorted(POLICIES))
async def test_every_policy_answers_all_where_memory_is_short(
    opened: Any, counting: Any, say: Any, policy: str
) -> None:
    async def main(agent: Agent, task: str) -> str:
        async with anyio.create_task_group() as tasks:
            for tokens in (1, 5, 9):
                tasks.start_soon(partial(agent.ask, words("x", 20), max_tokens=tokens))
        return await agent.ask(words("y", 40), max_tokens=3)

    core, scheduler = counting(tick_s=1), AdmissionControl(POLICIES[policy](2, slots=3), 50)
    async with opened(core, scheduler, width=3, agent=main) as bench:
        spawned = [await bench.run.submit(Spawn(program="agent", task="")) for _ in range(5)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.run.submit, say(words("z", 90), tokens=7))
            for each in spawned:
                tasks.start_soon(bench.run.submit, Wait(pid=each.pid))
        with anyio.move_on_after(3):
            await bench.run.submit(say(tokens=100))
    assert bench.history.ended_once()
    assert (bench.lane.running, bench.lane.waiting, core.held, scheduler.places.used) == (0, 0, 0, 0)
    assert not scheduler.places
    assert not scheduler.places._written
