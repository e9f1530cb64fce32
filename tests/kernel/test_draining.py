"""A lane whose kernel ends: who waits for a turn is sent off at once, who holds a slot goes on."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from aios.record import Kind
from aios.scheduler import Fifo, RoundRobin, SchedulingPolicy
from aios_syscalls import Cancelled, Chat

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])


@VIRTUAL
@pytest.mark.parametrize("scheduler", [Fifo(), RoundRobin(2)])
async def test_what_waits_for_a_slot_is_refused_and_what_holds_one_goes_on(
    opened: Any, counting: Any, say: Any, scheduler: SchedulingPolicy
) -> None:
    ended: dict[str, tuple[float, str]] = {}
    core = counting(tick_s=1)

    async def ask(bench: Any, call: Chat) -> None:
        try:
            how = (await bench.run.submit(call)).text
        except Cancelled as error:
            how = error.message
        ended[call.messages[0].content] = anyio.current_time() - began, how

    async with opened(core, scheduler) as bench, anyio.create_task_group() as tasks:
        began = anyio.current_time()
        tasks.start_soon(ask, bench, say("runs", 5))
        await anyio.sleep(0.5)
        tasks.start_soon(ask, bench, say("waits", 1))
        tasks.start_soon(ask, bench, say("waits too", 1))
        await anyio.sleep(1)
        bench.lane.refuse_waiting(Cancelled("the kernel ends"))
    assert ended == {"waits": (1.5, "the kernel ends"), "waits too": (1.5, "the kernel ends"), "runs": (5, "done")}
    assert (bench.lane.running, bench.lane.waiting) == (0, 0)
    assert [event.kind for event in bench.events].count(Kind.DONE) == 1
    assert bench.history.ended_once()


@VIRTUAL
async def test_what_waits_halfway_through_gives_up_what_it_had(opened: Any, counting: Any, say: Any) -> None:
    core = counting(tick_s=1)
    refused: list[Cancelled] = []

    async def ask(bench: Any) -> None:
        try:
            await bench.run.submit(say("first", 4))
        except Cancelled as error:
            refused.append(error)

    async with opened(core, RoundRobin(2)) as bench, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, bench)
        await anyio.sleep(0.5)
        tasks.start_soon(bench.run.submit, say("second", 2))
        await anyio.sleep(2)  # the second has the slot
        assert core.held == 1
        bench.lane.refuse_waiting(Cancelled("the kernel ends"))
    assert core.held == 0
    assert len(refused) == 1
