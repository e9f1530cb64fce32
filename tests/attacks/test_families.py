"""An agent knows of those that it started and of those above it, and of nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aios.kernel.process_table import Processes
from aios_syscalls import ListProcesses, ProcessState, Receive, Send
from tests.attacks.hostile import ended, kernel_with, run, start

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

SPY = """
    told = {"seen": [[row.pid, row.program, row.task, row.result] for row in await agent.ps()]}
    for verb in ("wait", "kill", "send"):
        told[verb] = []
        for pid in json.loads(task):
            try:
                await (agent.send(pid, "hello") if verb == "send" else getattr(agent, verb)(pid))
                told[verb].append("done")
            except AiosError as error:
                told[verb].append(f"{error.code}: {error.message}".replace(f"process {pid}:", "process PID:"))
    return json.dumps(told)"""
PROGRAMS = {
    "spy": SPY,
    "secret": "return f'the answer to {task} is 42'",
    "waiter": "return (await agent.receive()).body",
    "parent": """
        child = await agent.spawn("waiter", "a secret of the family")
        told = json.loads(await agent.run("spy", json.dumps([child, agent.pid])))
        table = [[row.pid, row.task] for row in await agent.ps()]
        return json.dumps({"spy": told, "child": child, "table": table, "heard": await agent.wait(child)})""",
    "leaver": """
        return str(await agent.spawn("waiter", "left behind"))""",
    "grandparent": """
        left = int(await agent.run("leaver"))
        seen = left in [row.pid for row in await agent.ps()]
        await agent.send(left, "still here")
        return json.dumps([seen, await agent.wait(left)])""",
}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stranger_is_answered_as_one_that_never_was(tmp_path: Path) -> None:
    async with kernel_with(tmp_path, PROGRAMS) as kernel:
        over = (await run(kernel, "secret", "life")).pid
        living = await start(kernel, "waiter", "a secret")
        spy = await run(kernel, "spy", json.dumps([over, living, 999]))
        await kernel.submit(Send(to=living, body="bye"))
        assert (await ended(kernel, living)).result == "bye"
    told = json.loads(spy.result or "")
    assert [row[0] for row in told["seen"]] == [spy.pid]
    for verb in ("wait", "kill", "send"):
        assert len(set(told[verb])) == 1, told[verb]
        assert told[verb][0].startswith("not_found: process")
    assert "42" not in json.dumps(told)
    assert "a secret" not in json.dumps(told)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_without_the_defence_the_spy_reads_tasks_and_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""

    def everybody(self: Processes, pid: int, by: int, view: Any) -> Any:
        return self._get(pid)

    monkeypatch.setattr(Processes, "_seen", everybody)
    monkeypatch.setattr(Processes, "_table", lambda self, by: [process.info() for process in self])
    async with kernel_with(tmp_path, PROGRAMS) as kernel:
        over = (await run(kernel, "secret", "life")).pid
        living = await start(kernel, "waiter", "a secret")
        spy = await run(kernel, "spy", json.dumps([over]))
        await kernel.submit(Send(to=living, body="bye"))
        await ended(kernel, living)
    told = json.loads(spy.result or "")
    assert "42" in json.dumps(told)
    assert "a secret" in json.dumps(told)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_within_a_family_one_sends_and_sees_those_above_without_their_tasks(tmp_path: Path) -> None:
    async with kernel_with(tmp_path, PROGRAMS) as kernel:
        parent = await run(kernel, "parent", "the task of the parent")
        assert parent.state is ProcessState.DONE, parent.error
        told = json.loads(parent.result or "")
        everything = (await kernel.submit(ListProcesses())).processes
    spy, child = told["spy"], told["child"]
    assert [parent.pid, "", "", None] in spy["seen"]
    assert child not in [row[0] for row in spy["seen"]]
    assert spy["send"][0] == "done"
    assert spy["wait"][0].startswith("not_found")
    assert spy["kill"][0].startswith("denied")
    assert told["heard"] == "hello"
    assert [child, "a secret of the family"] in told["table"]
    assert [row.task for row in everything if row.pid == parent.pid] == ["the task of the parent"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_is_left_behind_stays_in_the_family(tmp_path: Path) -> None:
    async with kernel_with(tmp_path, PROGRAMS) as kernel:
        told = await run(kernel, "grandparent")
    assert json.loads(told.result or "") == [True, "still here"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_user_hears_from_all_and_is_no_stranger(tmp_path: Path) -> None:
    async with kernel_with(tmp_path, {"writer": "await agent.send(0, task)\nreturn ''"}) as kernel:
        await run(kernel, "writer", "hello")
        mail = await kernel.submit(Receive())
    assert mail.body == "hello"
