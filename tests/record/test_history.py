"""The history of a run: what it keeps, and what only adds up."""

from __future__ import annotations

from typing import Any

import pytest

from aios.record import Event, History, Kind
from aios.scheduler import RoundRobin
from aios.sdk import Agent
from aios_syscalls import CallId


@pytest.mark.anyio
async def test_sums_are_those_of_the_whole_history(opened: Any, counting: Any) -> None:
    async def worker(agent: Agent, task: str) -> str:
        for number in range(3):
            await agent.chat(task, max_tokens=5 + number)
        return task

    async def boss(agent: Agent, task: str) -> str:
        return await agent.run("worker", "a") + await agent.run("worker", "b")

    async with opened(counting(), RoundRobin(2), worker=worker, boss=boss) as bench:
        await Agent(bench.run.port(0), 0).run("boss")
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


def told(*events: tuple[float, Kind, dict[str, Any]]) -> History:
    """A call to which all this happens, accepted at 0."""
    accepted = Event(0.0, Kind.ACCEPTED, 0, 1, {"name": "llm.chat", "call": {}})
    return History.of([accepted, *(Event(at, kind, 0, 1, data) for at, kind, data in events)])


def usage(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written}


def test_a_call_on_two_lanes_at_once_waits_for_neither() -> None:
    history = told(
        (1.0, Kind.STARTED, {"lane": "llm:a"}),
        (2.0, Kind.STARTED, {"lane": "llm:b"}),
        (5.0, Kind.LEFT, {"lane": "llm:a", "why": "the other was faster"}),
        (5.0, Kind.DONE, {"tokens": 3, "model": "b", "usage": usage(5, 3), "usd": 0.5}),
    )
    call = history.calls[CallId(0, 1)]
    assert call.slices == [(1.0, 5.0), (2.0, 5.0)]
    assert (call.run_s(9), call.wait_s(9), call.preemptions) == (7.0, 1.0, 0)
    assert call.busy(9) == [(1.0, 5.0)]


def test_one_of_two_lanes_that_pauses_leaves_the_call_running() -> None:
    history = told(
        (1.0, Kind.STARTED, {"lane": "llm:a"}),
        (2.0, Kind.STARTED, {"lane": "llm:b"}),
        (3.0, Kind.PAUSED, {"lane": "llm:a", "tokens": 4}),
    )
    assert history.calls[CallId(0, 1)].state == "running"
    history.apply(Event(4.0, Kind.STARTED, 0, 1, {"lane": "llm:a"}))
    assert history.calls[CallId(0, 1)].preemptions == 1


def test_going_to_another_lane_is_no_preemption() -> None:
    history = told(
        (1.0, Kind.STARTED, {"lane": "llm:a"}),
        (2.0, Kind.LEFT, {"lane": "llm:a", "why": "it failed"}),
        (2.0, Kind.STARTED, {"lane": "llm:b"}),
        (3.0, Kind.DONE, {"tokens": 1, "model": "b"}),
    )
    assert (len(history.calls[CallId(0, 1)].slices), history.calls[CallId(0, 1)].preemptions) == (2, 0)


def test_each_model_has_its_bill() -> None:
    history = told(
        (1.0, Kind.STARTED, {"lane": "llm:small"}),
        (2.0, Kind.LEFT, {"lane": "llm:small", "why": "no", "model": "small", "usage": usage(10, 5), "usd": 0.1}),
        (2.0, Kind.STARTED, {"lane": "llm:big"}),
        (3.0, Kind.DONE, {"tokens": 7, "model": "big-2026-01", "usage": usage(12, 7), "usd": 0.4}),
    )
    bills = [
        (bill.model, bill.prompt_tokens, bill.completion_tokens, bill.usd) for bill in history.calls[CallId(0, 1)].bills
    ]
    assert bills == [("small", 10, 5, 0.1), ("big", 12, 7, 0.4)]
    assert history.calls[CallId(0, 1)].usd == 0.5


@pytest.mark.parametrize(
    ("money", "usd"), [({"usd": 0.25}, 0.25), ({"usd": 0.0}, 0.0), ({"usd": None}, None), ({}, None)]
)
def test_a_price_that_nobody_told_is_unknown_and_not_zero(money: dict[str, Any], usd: float | None) -> None:
    done = {"tokens": 2, "model": "m", "reply": {"text": "hi", "usage": usage(3, 2)}}
    assert told((1.0, Kind.DONE, {**done, **money})).calls[CallId(0, 1)].usd == usd


def test_what_took_nothing_of_a_model_costs_nothing() -> None:
    assert told((1.0, Kind.FAILED, {"error": {"code": "budget_exceeded"}})).calls[CallId(0, 1)].usd == 0
