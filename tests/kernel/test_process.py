"""Processes: parents and children, messages, kill, and agents that misbehave in the kernel's own event loop."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from trio.testing import MockClock

from aios.kernel import Limits
from aios.record import Kind
from aios.sdk import Agent, gather
from aios_syscalls import (
    AgentFailed,
    BadRequest,
    Cancelled,
    Denied,
    Expired,
    Kill,
    ListProcesses,
    NotFound,
    Overloaded,
    ProcessState,
    Receive,
    Send,
    Spawn,
    Wait,
)

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])


async def echo(agent: Agent, task: str) -> str:
    mail = await agent.receive()
    await agent.send(mail.sender, f"{task}:{mail.body}")
    return mail.body


async def sleeper(agent: Agent, task: str) -> str:
    await anyio.sleep_forever()
    return task


async def nest(agent: Agent, task: str) -> str:
    """Spawn a chain as deep as the task says, and wait for it."""
    if int(task) > 0:
        return await agent.run("nest", str(int(task) - 1)) + "."
    await anyio.sleep_forever()
    return ""


async def test_a_program_runs_to_its_result(opened: Any, counting: Any) -> None:
    async def main(agent: Agent, task: str) -> str:
        return f"{task} {(await agent.chat('x')).text}"

    async with opened(counting(), main=main) as bench:
        pid = (await bench.run.submit(Spawn(program="main", task="all"))).pid
        process = (await bench.run.submit(Wait(pid=pid))).process
    assert (process.state, process.result) == (ProcessState.DONE, "all done")
    assert bench.history.ended_once()
    assert bench.history.processes[pid].figures(0)["tokens"] == 256


async def test_messages_reach_the_mailbox_in_order(opened: Any, counting: Any) -> None:
    async with opened(counting(), echo=echo) as bench:
        pid = (await bench.run.submit(Spawn(program="echo", task="you said"))).pid
        await bench.run.submit(Send(to=pid, body="hi"))
        assert (await bench.run.submit(Receive())).body == "you said:hi"
        await bench.run.submit(Wait(pid=pid))
        with pytest.raises(NotFound, match="has ended"):
            await bench.run.submit(Send(to=pid, body="again"))


async def test_a_full_mailbox_refuses(opened: Any, counting: Any) -> None:
    async with opened(counting(), limits=Limits(mailbox=2), sleeper=sleeper) as bench:
        pid = (await bench.run.submit(Spawn(program="sleeper"))).pid
        for _ in range(2):
            await bench.run.submit(Send(to=pid, body="hi"))
        with pytest.raises(Overloaded, match="mailbox"):
            await bench.run.submit(Send(to=pid, body="hi"))


@VIRTUAL
async def test_receiving_ends_at_its_deadline_and_keeps_later_mail(opened: Any, counting: Any) -> None:
    async with opened(counting()) as bench:
        with pytest.raises(Expired):
            await bench.run.submit(Receive(deadline_s=5))
        await bench.run.submit(Send(to=0, body="late"))
        assert (await bench.run.submit(Receive())).body == "late"


@VIRTUAL
async def test_kill_ends_a_process_and_everything_below_it(opened: Any, counting: Any) -> None:
    async with opened(counting(), nest=nest) as bench:
        top = (await bench.run.submit(Spawn(program="nest", task="3"))).pid
        await anyio.sleep(1)
        alive = (await bench.run.submit(ListProcesses())).processes
        assert [process.parent for process in alive] == [0, 1, 2, 3]
        killed = (await bench.run.submit(Kill(pid=top))).pids
        assert killed == (4, 3, 2, 1)
        states = {process.state for process in (await bench.run.submit(ListProcesses())).processes}
        assert states == {ProcessState.KILLED}
        assert (await bench.run.submit(Kill(pid=top))).pids == ()
    assert bench.history.ended_once()


@VIRTUAL
async def test_kill_frees_the_slots_of_the_model(opened: Any, counting: Any, say: Any) -> None:
    core = counting(tick_s=1)

    async def busy(agent: Agent, task: str) -> str:
        return await agent.ask("x", max_tokens=1000)

    async with opened(core, busy=busy) as bench:
        pid = (await bench.run.submit(Spawn(program="busy"))).pid
        await anyio.sleep(1)
        assert core.running == 1
        await bench.run.submit(Kill(pid=pid))
        assert (core.running, bench.lane.running, bench.lane.waiting) == (0, 0, 0)


@VIRTUAL
async def test_only_an_ancestor_may_kill(opened: Any, counting: Any) -> None:
    async def murderer(agent: Agent, task: str) -> str:
        await agent.kill(int(task))
        return "free"

    async with opened(counting(), sleeper=sleeper, murderer=murderer) as bench:
        victim = (await bench.run.submit(Spawn(program="sleeper"))).pid
        for target, code in ((victim, "not_found"), (victim + 2, "denied")):  # a stranger, itself
            pid = (await bench.run.submit(Spawn(program="murderer", task=str(target)))).pid
            process = (await bench.run.submit(Wait(pid=pid))).process
            assert process.error is not None
            assert process.error["code"] == code
    assert Denied.code == "denied"


async def test_an_agent_that_raises_fails_alone(opened: Any, counting: Any, say: Any) -> None:
    async def bad(agent: Agent, task: str) -> str:
        raise RuntimeError("boom")

    async def parent(agent: Agent, task: str) -> str:
        with pytest.raises(AgentFailed, match=r"bad.*failed.*RuntimeError: boom"):
            await agent.run("bad")
        return "survived"

    async with opened(counting(), bad=bad, parent=parent) as bench:
        pid = (await bench.run.submit(Spawn(program="parent"))).pid
        assert (await bench.run.submit(Wait(pid=pid))).process.result == "survived"


@VIRTUAL
async def test_an_agent_that_never_returns_is_ended_at_its_limit(opened: Any, counting: Any) -> None:
    async with opened(counting(), limits=Limits(agent_time_limit_s=60), sleeper=sleeper) as bench:
        began = anyio.current_time()
        pid = (await bench.run.submit(Spawn(program="sleeper"))).pid
        process = (await bench.run.submit(Wait(pid=pid))).process
        assert anyio.current_time() - began == pytest.approx(60, abs=0.1)
    assert process.state is ProcessState.FAILED
    assert "limit of 60 s" in str(process.error)


async def test_the_queue_of_one_process_is_bounded(opened: Any, counting: Any) -> None:
    async def flood(agent: Agent, task: str) -> str:
        refused = 0

        async def one() -> None:
            nonlocal refused
            try:
                await agent.chat("x")
            except Overloaded:
                refused += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(one)
        return str(refused)

    async with opened(counting(), limits=Limits(calls_per_process=10), flood=flood) as bench:
        pid = (await bench.run.submit(Spawn(program="flood"))).pid
        assert (await bench.run.submit(Wait(pid=pid))).process.result == "90"


async def test_leaving_the_kernel_ends_what_runs(opened: Any, counting: Any) -> None:
    async with opened(counting(), sleeper=sleeper) as bench:
        pids = [(await bench.run.submit(Spawn(program="sleeper"))).pid for _ in range(3)]
    assert [bench.history.processes[pid].state for pid in pids] == ["killed"] * 3
    assert bench.history.kinds[Kind.EXITED] == 3


@VIRTUAL
async def test_an_orphan_goes_on_under_the_user(opened: Any, counting: Any) -> None:
    async def parent(agent: Agent, task: str) -> str:
        return str(await agent.spawn("sleeper"))

    async with opened(counting(), parent=parent, sleeper=sleeper) as bench:
        pid = (await bench.run.submit(Spawn(program="parent"))).pid
        orphan = int((await bench.run.submit(Wait(pid=pid))).process.result or 0)
        process = (await bench.run.submit(ListProcesses())).processes[orphan - 1]
        assert (process.pid, process.parent, process.state.alive) == (orphan, 0, True)


async def test_a_dead_process_makes_no_syscalls(opened: Any, counting: Any, say: Any) -> None:
    async def quick(agent: Agent, task: str) -> str:
        return ""

    async with opened(counting(), quick=quick) as bench:
        pid = (await bench.run.submit(Spawn(program="quick"))).pid
        await bench.run.submit(Wait(pid=pid))
        with pytest.raises(Cancelled, match="has ended"):
            await bench.run.port(pid).submit(say())


async def test_waiting_for_oneself_or_an_ancestor_is_refused(opened: Any, counting: Any) -> None:
    async def loop(agent: Agent, task: str) -> str:
        for pid in (agent.pid, 0):
            with pytest.raises(BadRequest, match="would wait for itself"):
                await agent.wait(pid)
        return "refused"

    async with opened(counting(), loop=loop) as bench:
        pid = (await bench.run.submit(Spawn(program="loop"))).pid
        assert (await bench.run.submit(Wait(pid=pid))).process.result == "refused"


async def test_a_program_that_exits_fails_alone(opened: Any, counting: Any) -> None:
    async def leave(agent: Agent, task: str) -> str:
        raise SystemExit(3)

    async with opened(counting(), leave=leave) as bench:
        pid = (await bench.run.submit(Spawn(program="leave"))).pid
        assert (await bench.run.submit(Wait(pid=pid))).process.state is ProcessState.FAILED


async def test_unknown_processes_and_programs_are_not_found(opened: Any, counting: Any) -> None:
    async with opened(counting(), echo=echo) as bench:
        for call in (Wait(pid=99), Kill(pid=99), Send(to=99, body=""), Spawn(program="nothing-like-it")):
            with pytest.raises(NotFound):
                await bench.run.submit(call)


async def test_of_ended_processes_the_first_that_was_waited_for_goes_first(opened: Any, counting: Any) -> None:
    async def quick(agent: Agent, task: str) -> str:
        return task

    async with opened(counting(), limits=Limits(ended=3), quick=quick) as bench:
        submit, table = bench.run.submit, bench.run.processes

        async def run(wait: bool) -> None:
            pid = (await submit(Spawn(program="quick", task="x"))).pid
            if wait:
                await submit(Wait(pid=pid))
            while any(process.state.alive for process in table):
                await anyio.lowlevel.checkpoint()

        for wait in (False, True, False):
            await run(wait)
        assert [process.pid for process in table] == [1, 2, 3]
        await run(False)
        assert [process.pid for process in table] == [1, 3, 4]
        await run(False)
        assert [process.pid for process in table] == [3, 4, 5]
        with pytest.raises(NotFound, match=r"process 1 ended a while ago.* limits.ended.* aios ps"):
            await submit(Wait(pid=1))
        assert (await submit(Wait(pid=3))).process.result == "x"
        with pytest.raises(NotFound, match="no process 6"):
            await submit(Wait(pid=6))


async def test_who_waits_gets_the_end_though_the_row_is_gone_by_then(opened: Any, counting: Any) -> None:
    async with opened(counting(), limits=Limits(ended=1), echo=echo) as bench:
        agent = Agent(bench.run.port(0), 0)
        pids = [await agent.spawn("echo") for _ in range(5)]

        async def release() -> str:
            await anyio.wait_all_tasks_blocked()
            for pid in pids:
                await agent.send(pid, f"end of {pid}")
            return ""

        ends = await gather(*map(agent.wait, pids), release())
        assert ends == [f"end of {pid}" for pid in pids] + [""]
        assert len(list(bench.run.processes)) == 1


async def test_the_child_of_a_forgotten_process_is_found_and_nobodys(opened: Any, counting: Any) -> None:
    async def quick(agent: Agent, task: str) -> str:
        return task

    async def parent(agent: Agent, task: str) -> str:
        return str(await agent.spawn("quick", "x"))

    async with opened(counting(), limits=Limits(ended=1), quick=quick, parent=parent) as bench:
        agent = Agent(bench.run.port(0), 0)
        child = int(await agent.run("parent"))
        assert await agent.wait(child) == "x"
        assert await agent.kill(child) == ()
