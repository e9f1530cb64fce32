"""Budgets through syscalls: who is refused what, and that everybody else goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from aios.kernel import RoutedCall, by_family
from aios.record import Kind
from aios.scheduler import RoundRobin
from aios.sdk import Agent, gather
from aios_syscalls import Budget, BudgetExceeded, CallId, Chat, ChatReply, Expired, ListProcesses, Reply, Spawn, Wait

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])

Leads = Callable[[RoutedCall], Awaitable[Reply]]


def priced(usd: float | None, share: float = 1.0) -> Leads:
    """A route that holds max_tokens, at a price for each, and charges a share of them."""

    async def route(passage: RoutedCall) -> Reply:
        call = passage.call
        if not isinstance(call, Chat):
            return await by_family(passage)
        with passage.account.holding(call.max_tokens, None if usd is None else usd * call.max_tokens):
            reply = await passage.run("llm")
            assert isinstance(reply, ChatReply)
            tokens = int(reply.usage.completion_tokens * share)
            passage.charge(tokens, None if usd is None else usd * tokens)
            return reply

    return route


def used(bench: Any) -> int:
    """Tokens that answers took, by the record."""
    return sum(event.data["tokens"] for event in bench.events if event.kind is Kind.DONE and "tokens" in event.data)


def refusals(bench: Any) -> list[dict[str, Any]]:
    """The errors of the calls that were refused for their budget."""
    errors = [event.data["error"] for event in bench.events if event.kind is Kind.FAILED]
    return [error for error in errors if error["code"] == "budget_exceeded"]


@VIRTUAL
async def test_calls_at_once_never_take_more_than_there_is_together(opened: Any, counting: Any, say: Any) -> None:
    replies: list[object] = []

    async def ask(kernel: Any) -> None:
        try:
            replies.append(await kernel.submit(say(tokens=30)))
        except BudgetExceeded as refused:
            replies.append(refused)

    async with opened(counting(tick_s=1), width=8, route=priced(0.001), budget=Budget(tokens=100)) as bench:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask, bench.run)
        assert used(bench) == 90
        assert (await bench.run.submit(say(tokens=10))).text == "done"
        with pytest.raises(BudgetExceeded, match="may use 100 tokens; this call may take 1 more"):
            await bench.run.submit(say(tokens=1))
    assert sum(isinstance(reply, ChatReply) for reply in replies) == 3
    assert used(bench) == 100
    assert len(refusals(bench)) == 8
    assert bench.history.ended_once()


async def test_a_refused_call_ends_once_without_a_slot_and_is_on_record(opened: Any, counting: Any, say: Any) -> None:
    core = counting()
    async with opened(core, route=priced(0.0), budget=Budget(tokens=5)) as bench:
        with pytest.raises(BudgetExceeded):
            await bench.run.submit(say(tokens=6))
    assert [event.kind for event in bench.events if event.n == 1] == [Kind.ACCEPTED, Kind.FAILED]
    assert refusals(bench) == [
        {
            "code": "budget_exceeded",
            "message": "all processes together may use 5 tokens; this call may take 6 more, and 5 are left; "
            "ask for fewer with max_tokens, shorten the messages, or let whoever started it raise the budget",
            "resource": "tokens",
            "left": 5,
            "needed": 6,
        }
    ]
    assert core.slices == []
    assert bench.history.ended_once()


async def test_what_was_not_taken_is_there_for_the_next(opened: Any, counting: Any, say: Any) -> None:
    async with opened(counting(), route=priced(0.0, share=0.5), budget=Budget(tokens=40)) as bench:
        for _ in range(2):
            await bench.run.submit(say(tokens=20))
        with pytest.raises(BudgetExceeded):
            await bench.run.submit(say(tokens=21))
        await bench.run.submit(say(tokens=20))


async def test_a_grandchild_spends_what_all_above_it_have(opened: Any, counting: Any) -> None:
    left = {}

    async def parent(agent: Agent, task: str) -> str:
        await agent.run("child", budget=Budget(tokens=1_000))
        left["parent"] = await agent.left()
        return ""

    async def child(agent: Agent, task: str) -> str:
        left["before"] = await agent.left()
        await agent.run("grandchild", budget=Budget(tokens=50))
        left["child"] = await agent.left()
        return ""

    async def grandchild(agent: Agent, task: str) -> str:
        await agent.chat("a", max_tokens=30)
        left["grandchild"] = await agent.left()
        with pytest.raises(BudgetExceeded, match="process 3 and its children"):
            await agent.chat("b", max_tokens=21)
        await agent.chat("b", max_tokens=20)
        return ""

    mains = {"parent": parent, "child": child, "grandchild": grandchild}
    async with opened(counting(), route=priced(0.0), budget=Budget(calls=10), **mains) as bench:
        user = Agent(bench.run.port(0), 0)
        await user.run("parent", budget=Budget(tokens=100, usd=1.0))
    assert left == {
        "before": Budget(tokens=100, usd=1.0, calls=10),
        "grandchild": Budget(tokens=20, usd=1.0, calls=9),
        "child": Budget(tokens=50, usd=1.0, calls=7),
        "parent": Budget(tokens=50, usd=1.0, calls=7),
    }


async def test_a_child_that_outlives_its_parent_still_spends_its_budget(opened: Any, counting: Any) -> None:
    go = anyio.Event()

    async def parent(agent: Agent, task: str) -> str:
        return str(await agent.spawn("child"))

    async def child(agent: Agent, task: str) -> str:
        await go.wait()
        await agent.chat("a", max_tokens=8)
        await agent.chat("b", max_tokens=8)
        return ""

    async with opened(counting(), route=priced(0.0), parent=parent, child=child) as bench:
        user = Agent(bench.run.port(0), 0)
        pid = int(await user.run("parent", budget=Budget(tokens=10)))
        go.set()
        ended = await bench.run.submit(Wait(pid=pid))
    assert ended.process.error["code"] == "budget_exceeded"
    assert ended.process.left == Budget(tokens=2)


async def test_the_budget_of_a_program_is_of_each_of_its_processes(opened: Any, counting: Any) -> None:
    async def greedy(agent: Agent, task: str) -> str:
        for _ in range(10):
            await agent.chat("more", max_tokens=1)
        return "never"

    async with opened(counting(), route=priced(0.0), budgets={"greedy": Budget(calls=3)}, greedy=greedy) as bench:
        for budget, calls in [(Budget(), 3), (Budget(), 3), (Budget(calls=2), 2), (Budget(calls=9), 3)]:
            pid = (await bench.run.submit(Spawn(program="greedy", budget=budget))).pid
            ended = (await bench.run.submit(Wait(pid=pid))).process
            assert (ended.state, ended.error["resource"], ended.left) == ("failed", "calls", Budget(calls=0))
            done = [event for event in bench.events if event.kind is Kind.DONE and event.pid == pid]
            assert len(done) == calls


async def test_calls_to_other_processes_are_free(opened: Any, counting: Any) -> None:
    async def child(agent: Agent, task: str) -> str:
        return task

    async def boss(agent: Agent, task: str) -> str:
        return await agent.run("child", "a") + await agent.run("child", "b") + str(len(await agent.ps()))

    async with opened(counting(), budget=Budget(calls=0, seconds=0), child=child, boss=boss) as bench:
        assert await Agent(bench.run.port(0), 0).run("boss") == "ab3"


async def test_an_agent_that_handles_the_refusal_goes_on_with_less(opened: Any, counting: Any) -> None:
    async def thrifty(agent: Agent, task: str) -> str:
        wanted, answers = 64, 0
        while wanted:
            try:
                await agent.chat("a", max_tokens=wanted)
                answers += wanted
            except BudgetExceeded as refused:
                wanted = min(wanted // 2, int(refused.data["left"]))
        return str(answers)

    async with opened(counting(), route=priced(0.0), thrifty=thrifty) as bench:
        assert await Agent(bench.run.port(0), 0).run("thrifty", budget=Budget(tokens=100)) == "100"
    assert bench.history.ended_once()


async def test_a_model_without_a_price_is_not_used_on_limited_money(opened: Any, counting: Any, say: Any) -> None:
    core = counting()
    async with opened(core, route=priced(None), budget=Budget(usd=1_000)) as bench:
        with pytest.raises(BudgetExceeded, match="no price, so nobody knows"):
            await bench.run.submit(say())
    assert core.slices == []
    async with opened(core, route=priced(None), budget=Budget(tokens=1_000)) as bench:
        await bench.run.submit(say())
    assert bench.history.calls[CallId(0, 1)].usd is None


async def test_what_a_call_cost_is_in_its_end(opened: Any, counting: Any, say: Any) -> None:
    async with opened(counting(), route=priced(0.25)) as bench:
        await bench.run.submit(say(tokens=3))
    assert [event.data["usd"] for event in bench.events if event.kind is Kind.DONE] == [0.75]
    assert bench.history.calls[CallId(0, 1)].usd == 0.75


@VIRTUAL
async def test_seconds_are_over_for_all_who_run_at_once(opened: Any, counting: Any, say: Any) -> None:
    ends: list[float] = []

    async def ask(kernel: Any) -> None:
        with pytest.raises(BudgetExceeded, match="10 seconds of running"):
            await kernel.submit(say(tokens=100))
        ends.append(anyio.current_time() - began)

    core = counting(tick_s=1)
    async with opened(core, width=4, budget=Budget(seconds=10)) as bench:
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask, bench.run)
        assert ends == [2.5] * 4
        with pytest.raises(BudgetExceeded):
            await bench.run.submit(say())
    work = bench.history.past
    assert 10 <= work.run_s <= 11
    assert (core.running, bench.lane.running, len(refusals(bench))) == (0, 0, 5)
    assert bench.history.ended_once()


async def test_the_last_second_is_the_last_by_the_real_clock(opened: Any, counting: Any, say: Any) -> None:
    async with opened(counting(tick_s=60), width=2, budget=Budget(seconds=0.05)) as bench:
        for _ in range(2):
            with pytest.raises(BudgetExceeded):
                await bench.run.submit(say())
    assert 0.05 <= bench.history.past.run_s < 1


@VIRTUAL
async def test_waiting_for_a_slot_takes_no_seconds(opened: Any, counting: Any) -> None:
    async def patient(agent: Agent, task: str) -> str:
        await gather(*(agent.chat("a", max_tokens=3) for _ in range(3)))
        return f"{(await agent.left()).seconds:g}"

    async with opened(counting(tick_s=1), RoundRobin(1), patient=patient) as bench:
        assert await Agent(bench.run.port(0), 0).run("patient", budget=Budget(seconds=10)) == "1"
    assert bench.history.kinds[Kind.PAUSED] == 6


@VIRTUAL
async def test_who_waits_when_the_seconds_end_does_not_run(opened: Any, counting: Any, say: Any) -> None:
    async def ask(kernel: Any) -> None:
        with pytest.raises(BudgetExceeded):
            await kernel.submit(say(tokens=9))

    core = counting(tick_s=1)
    async with opened(core, RoundRobin(2), budget=Budget(seconds=5)) as bench, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask, bench.run)
    assert core.held == 0
    assert bench.history.past.run_s == 5
    assert bench.history.ended_once()


@VIRTUAL
async def test_a_deadline_is_a_deadline_before_the_seconds_end(opened: Any, counting: Any, say: Any) -> None:
    async with opened(counting(tick_s=1), budget=Budget(seconds=5)) as bench:
        with pytest.raises(Expired):
            await bench.run.submit(say(tokens=9, deadline_s=4))
        with pytest.raises(BudgetExceeded):
            await bench.run.submit(say(tokens=9, deadline_s=4))
    assert bench.history.past.run_s == 5


async def test_the_process_table_tells_what_is_left(opened: Any, counting: Any, say: Any) -> None:
    async def idle(agent: Agent, task: str) -> str:
        return (await agent.receive()).body

    async with opened(counting(), route=priced(0.0), budget=Budget(tokens=50), idle=idle) as bench:
        for budget in (Budget(), Budget(tokens=20, usd=2)):
            await bench.run.submit(Spawn(program="idle", budget=budget))
        await bench.run.submit(say(tokens=40))
        table = await bench.run.submit(ListProcesses())
    assert [row.left for row in table.processes] == [Budget(tokens=10), Budget(tokens=10, usd=2)]
