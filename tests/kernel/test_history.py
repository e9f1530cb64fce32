"""The history of a run: what it keeps, and what only adds up."""

from __future__ import annotations

from typing import Any

import pytest

from aios.kernel.history import History
from aios.kernel.instrument import Event, Kind
from aios.scheduler import RoundRobin
from aios.sdk import Agent


@pytest.mark.anyio
async def test_sums_are_those_of_the_whole_history(opened: Any, counting: Any) -> None:
    async def worker(agent: Agent, task: str) -> str:
        for number in range(3):
            await agent.chat(task, max_tokens=5 + number)
        return task

    async def boss(agent: Agent, task: str) -> str:
        return await agent.run("worker", "a") + await agent.run("worker", "b")

    async with opened(counting(), RoundRobin(2), worker=worker, boss=boss) as bench:
        await Agent(bench.kernel.port(0), 0).run("boss")
    for length in range(1, len(bench.events) + 1):
        events = bench.events[:length]
        whole, sums = History.of(events), History.of(events, calls=False)
        rows = [[each.figures(9.0) for each in history.processes.values()] for history in (whole, sums)]
        assert rows[0] == rows[1]
        assert (whole.tokens, whole.open_calls) == (sums.tokens, sums.open_calls)
        assert whole.ended_once() == sums.ended_once()
        assert len(sums.calls) == sums.open_calls == sum(call.ended is None for call in whole.calls.values())
    assert (len(whole.calls), len(sums.calls), sums.tokens) == (12, 0, 36)
    assert sums.ended_once()
    assert not any(each.calls for each in sums.processes.values())


@pytest.mark.parametrize("calls", [True, False])
def test_a_call_that_ends_twice_is_noticed_and_counted_once(calls: bool) -> None:
    accepted = Event(0.0, Kind.ACCEPTED, 0, 1, {"name": "llm.chat", "call": {}})
    end = Event(1.0, Kind.DONE, 0, 1, {"tokens": 5, "model": "m", "reply": {}})
    history = History.of([accepted, end], calls=calls)
    assert history.ended_once()
    history.apply(end)
    assert not history.ended_once()
    assert (history.tokens, history.open_calls) == (5, 0)


def test_of_ended_processes_the_last_are_kept() -> None:
    history = History(calls=False, ended=2)
    for pid in range(1, 6):
        history.apply(Event(0.0, Kind.SPAWNED, pid, 0, {"parent": 0, "program": "p", "task": ""}))
        history.apply(Event(0.0, Kind.ACCEPTED, pid, pid, {"name": "llm.chat", "call": {}}))
    for pid in (3, 1, 2):
        history.apply(Event(1.0, Kind.EXITED, pid, 0, {"state": "done", "result": "", "error": None}))
        history.apply(Event(1.0, Kind.CANCELLED, pid, pid, {}))
    assert list(history.processes) == [1, 2, 4, 5]
    assert (history.forgotten, history.open_calls) == (1, 2)
