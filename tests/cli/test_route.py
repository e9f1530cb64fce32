"""Why a call went where it went, of runs of a real kernel with scripted models."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app
from aios.cli.record import gantt
from aios.cli.record.chrome import trace
from aios.cli.record.runs import read
from aios.config import journal_path
from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, RoutedCall, lone_run
from aios.models.scripted import ScriptedModel
from aios.record import RunRecord, SqliteJournal, runs
from aios.scheduler import Fifo
from aios_syscalls import Budget, BudgetExceeded, Chat, ChatReply, Message, ModelFailed, Reply, Usage

FACTS = {"run": "20260102-030405-abcd", "began": "2026-01-02T03:04:05.678+00:00", "scheduler": "fifo", "slice": None}
PRICES = {"small": 0.001, "big": 0.01}
CHAT = Chat(messages=(Message(role="user", content="who are you?"),))

SMALL = {"name": "small", "quality": 0.41, "usd": 0.000012, "wait_s": 0.0, "service_s": 0.25, "score": 0.9, "why": ""}
BIG = {"name": "big", "quality": 0.93, "usd": None, "wait_s": 1.5, "service_s": 2.5, "score": 0.5, "why": ""}
TINY = {"name": "tiny", "why": "its context is 512 tokens"}
CHOICE = {"strategy": "cascade", "chosen": "small", "reason": "it is the cheapest", "candidates": [SMALL, BIG, TINY]}


def charge(passage: RoutedCall, model: str, reply: Reply) -> dict[str, Any]:
    assert isinstance(reply, ChatReply)
    tokens = reply.usage.prompt_tokens + reply.usage.completion_tokens
    passage.charge(tokens, PRICES[model] * tokens)
    return {"model": model, "usage": reply.usage.model_dump()}


async def cascade(passage: RoutedCall) -> Reply:
    """Ask the small model, and the big one when that says too little or fails."""
    if passage.call.model:  # type: ignore[attr-defined]
        return await passage.run(f"llm:{passage.call.model}")  # type: ignore[attr-defined]
    passage.routed(CHOICE)
    try:
        took = charge(passage, "small", await passage.run("llm:small"))
        passage.left("llm:small", {"why": "2 of 5 wanted points", **took})
    except ModelFailed as error:
        passage.left("llm:small", {"why": error.message})
    passage.routed({**CHOICE, "chosen": "big", "reason": "small did not do", "candidates": [BIG]})
    reply = await passage.run("llm:big")
    charge(passage, "big", reply)
    return reply


async def hedged(passage: RoutedCall) -> Reply:
    """Ask the big model too while the small one takes its time, and take the first answer."""
    found: list[tuple[str, Reply]] = []

    async def ask(model: str) -> None:
        found.append((model, await passage.run(f"llm:{model}")))
        tasks.cancel_scope.cancel()

    passage.routed({**CHOICE, "strategy": "hedged"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "small")
        await anyio.sleep(0.02)
        tasks.start_soon(ask, "big")
    passage.charge(9, 0.5)
    passage.left("llm:small", {"why": "big was faster", "model": "small", "usage": Usage().model_dump()})
    charge(passage, "big", found[0][1])
    return found[0][1]


def record(route: Any, *calls: Chat, small: Any = "I am", delay_s: float = 0.0, budget: Budget = Budget()) -> RunRecord:  # noqa: B008
    """What is on record of a run in which the user makes these calls, one after the other."""
    models = [ScriptedModel(small, "small", delay_s=delay_s), ScriptedModel("I am big", "big", delay_s=0.01)]
    path = journal_path()

    async def run() -> None:
        lanes = [Lane(f"llm:{model.name}", LlmCore(model), Fifo(), model.slots, meter=ChatMeter()) for model in models]
        async with SqliteJournal(path) as journal:
            async with lone_run(lanes, route, TaskHost(), journal, budget=budget, facts=FACTS) as kernel:
                for call in calls:
                    try:
                        await kernel.submit(call)
                    except BudgetExceeded:
                        continue

    anyio.run(run)
    return runs(path)[-1]


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def explained(*words: str) -> str:
    result = aios("route", "explain", *words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_the_candidates_and_the_reason_are_told() -> None:
    record(cascade, CHAT)
    lines = explained("0.1").splitlines()
    assert lines[0] == "call 0.1  llm.chat  done"
    assert lines[1] == "cascade chose small: it is the cheapest"
    table = [line.split() for line in lines[3:7]]
    assert table == [
        ["CANDIDATE", "QUALITY", "USD", "WAIT", "SERVICE", "SCORE"],
        ["small", "0.41", "0.000012", "0ms", "0.2s", "0.9", "chosen"],
        ["big", "0.93", "unknown", "1.5s", "2.5s", "0.5"],
        ["tiny", "-", "-", "-", "-", "-", "excluded:", "its", "context", "is", "512", "tokens"],
    ]


def test_what_happened_is_told_in_order() -> None:
    record(cascade, CHAT)
    text = explained("0.1")
    assert "cascade chose big: small did not do (there was one candidate)" in text
    steps = [line.split() for line in text.splitlines() if line.startswith("  ")]
    assert [step[0] for step in steps] == ["routed", "slice", "left", "routed", "slice", "done"]
    assert steps[1][-2:] == ["on", "llm:small"]
    told = " ".join(steps[2])
    assert told.endswith("llm:small: 2 of 5 wanted points (3 tokens read, 2 written, 0.0050 USD)")
    assert "0.0050 USD by small; 3 tokens read, 3 written, 0.060 USD by big; 0.065 USD in all" in " ".join(steps[-1])


def test_what_failed_says_why_it_left() -> None:
    record(cascade, CHAT, small=ModelFailed("the server is down"))
    assert "left" in explained("0.1")
    assert "llm:small: the server is down\n" in explained("0.1")


def test_a_call_without_a_choice_had_one_candidate() -> None:
    record(cascade, CHAT.model_copy(update={"model": "big"}))
    assert "there was one candidate: big\n" in explained("0.1")


def test_a_refused_call_came_to_no_lane_and_says_why() -> None:
    record(cascade, CHAT, CHAT, budget=Budget(calls=1))
    text = explained("0.2", "last")
    assert "it came to no lane" in text
    assert "failed" in text
    assert "may use 1 syscalls" in text


def test_a_call_that_there_is_not_is_not_found() -> None:
    record(cascade, CHAT)
    result = aios("route", "explain", "0.7")
    assert result.exit_code == 3
    assert "no call 0.7 in this run, which has 1" in result.stderr
    assert aios("route", "explain", "0.1", "2031").exit_code == 3
    assert aios("route", "explain", "one").exit_code == 2


def test_as_json_it_is_all_there() -> None:
    record(cascade, CHAT)
    found = json.loads(explained("0.1", "--json"))
    assert [each["chosen"] for each in found["routed"]] == ["small", "big"]
    assert found["routed"][0]["candidates"] == [SMALL, BIG, TINY]
    assert [each["lane"] for each in found["turns"]] == ["llm:small", "llm:big"]
    assert [(each["lane"], each["why"]) for each in found["left"]] == [("llm:small", "2 of 5 wanted points")]
    assert found["usage"] == [
        {"model": "small", "prompt_tokens": 3, "completion_tokens": 2, "usd": 0.005},
        {"model": "big", "prompt_tokens": 3, "completion_tokens": 3, "usd": 0.06},
    ]
    assert found["usd"] == pytest.approx(0.065)


def test_the_trace_of_a_call_has_lanes_choices_and_costs() -> None:
    record(cascade, CHAT)
    text = aios("trace", "--call", "0.1").stdout
    assert "on llm:small" in text
    assert "on llm:big" in text
    assert "cascade chose small: it is the cheapest" in text
    assert "llm:small: 2 of 5 wanted points" in text
    assert "0.065 USD in all" in text
    assert json.loads(aios("trace", "--call", "0.1", "--json").stdout)["usd"] == pytest.approx(0.065)


def test_two_turns_at_once_are_told_drawn_and_traced() -> None:
    history = read(record(hedged, CHAT, small="a b c d e f g h", delay_s=0.05))
    (call,) = history.calls.values()
    (first, second) = call.slices
    assert first[0] < second[0]
    assert first[1] == pytest.approx(second[1], abs=0.05)
    assert call.wait_s(history.now) < 0.02
    assert call.run_s(history.now) > call.busy(history.now)[0][1] - call.busy(history.now)[0][0]
    text = explained("0.1")
    assert text.count("  slice ") == 2
    assert "llm:small: big was faster" in text
    turns = [event for event in trace(history)["traceEvents"] if event["name"].startswith("slice")]
    assert [turn["args"]["lane"] for turn in turns] == ["llm:small", "llm:big"]
    assert turns[0]["tid"] != turns[1]["tid"]
    assert next(gantt.gaps(call, history.now)) == (call.accepted, first[0])
    assert sum(end - start for start, end in gantt.gaps(call, history.now)) == pytest.approx(call.wait_s(history.now))
    assert aios("trace", "--gantt").exit_code == 0
    assert json.loads(aios("trace", "--chrome", "-").stdout)["displayTimeUnit"] == "ms"


def test_usage_of_a_hedged_call_is_at_both_models() -> None:
    record(hedged, CHAT, small="a b c d e f g h", delay_s=0.05)
    found = json.loads(aios("usage", "--by", "model", "--json").stdout)
    assert [(each["model"], each["calls"], each["usd"]) for each in found["rows"]] == [
        ("small", 1, 0.5),
        ("big", 1, 0.06),
    ]
    assert (found["total"]["calls"], found["total"]["usd"]) == (1, 0.56)
