"""Traces: read as they are, refused with the row where they are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aios.simulate import Call, SimulatedProgram, check
from aios.simulate.traces import read
from aios_syscalls import BadRequest

CLIENTS = "arrival_s,client,prompt_tokens,output_tokens\n0.5,3,10,20\n0.25,1,5,6\n"
SERVICE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,40,1\n2023-11-16 18:17:05.9799600,4,2\n"
SESSIONS = (
    "session_id,arrival_time,round_idx,prefix_len,input_len,output_len,tool_wait_after_ms\n"
    "0,117,0,0,2318,200,300\n0,117,1,2518,348,131,0\n"
)


def round_of(number: int, *events: tuple[str, str], session: str = "a", **more: Any) -> str:
    """A line as TraceLab writes it; events are kinds and the seconds of one minute at which they were."""
    row = {
        "provider": "claude",
        "session_id": session,
        "round_index": number,
        "prefix_tokens": 100 * number,
        "newly_append_tokens": 30,
        "output_tokens": 7,
        "timing_events": [{"event_type": kind, "timestamp": f"2026-06-01T05:40:{at}Z"} for kind, at in events],
    }
    return json.dumps(row | more) + "\n"


ROUNDS = (
    round_of(0, ("user_message", "10.000"), ("text", "12.000"), ("tool_call", "12.500"), ("usage_report", "13.000"))
    # The first result came while the model still wrote; the second is what it had to wait for.
    + round_of(1, ("tool_result", "11.000"), ("tool_result", "14.750"), ("reasoning", "20.000"))
    + round_of(0, ("user_message", "12.000"), ("text", "13.000"), session="b", provider="codex")
    + round_of(2, ("tool_result", "19.000"), ("text", "22.000"))
    + round_of(3, ("text", "23.000"))
)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.csv"


def test_clients_a_service_and_sessions_are_told_by_their_columns(trace: Path) -> None:
    trace.write_text(CLIENTS)
    assert [(each.arrival_us, each.tenant, each.calls) for each in read(trace)] == [
        (250_000, "1", (Call(5, 6),)),
        (500_000, "3", (Call(10, 20),)),
    ]
    trace.write_text(SERVICE)
    assert [(each.arrival_us, each.calls[0].prompt) for each in read(trace)] == [(0, 40), (2_000_000, 4)]
    trace.write_text(SESSIONS)
    (session,) = read(trace)
    assert session.arrival_us == 117_000
    assert session.calls == (Call(2318, 200), Call(348, 131, 2518, 300_000, after=(0,)))


def test_rounds_of_agents_wait_for_their_tools_and_not_for_the_model(trace: Path) -> None:
    trace.write_text(ROUNDS)
    first, second = read(trace)
    assert (first.name, first.arrival_us, second.name, second.arrival_us) == ("claude", 0, "codex", 2_000_000)
    assert first.calls == (
        Call(30, 7),
        Call(30, 7, 100, 2_250_000, after=(0,)),
        Call(30, 7, 200, after=(1,)),
        Call(30, 7, 300, after=(2,)),
    )
    assert second.calls == (Call(30, 7),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arrival_s,client,prompt_tokens\n0,1,2\n", "no column output_tokens"),
        ("when,what\n1,2\n", "no trace that is known"),
        ("", "no trace that is known"),
        (CLIENTS + "1,1,-5,3\n", r"trace.csv:4: prompt_tokens is -5"),
        (CLIENTS + "1,1,five,3\n", r"trace.csv:4: prompt_tokens is 'five'"),
        (CLIENTS + "inf,1,5,3\n", "no time in seconds"),
        (CLIENTS + "1,1,5,0\n", "writes nothing"),
        (CLIENTS + "1,1\n", "prompt_tokens is None"),
        (SERVICE + "yesterday,1,2\n", "'yesterday' is no time"),
        (SESSIONS + "1,5,1,0,1,1,0\n", "not its next"),
        (ROUNDS + "{'round_index': 1}\n", r"trace.csv:6 is no JSON: .*property name"),
        (ROUNDS + "\n[1]\n", r"trace.csv:7: a round is list; write an object with session_id"),
        (ROUNDS + '{"session_id": 1, "round_index": 0}\n', r"trace.csv:6 has no field prefix_tokens, newly_append"),
        (ROUNDS + round_of(5, ("text", "50.000")), r"trace.csv:6: round 5 of session a is not its next, which is 4"),
        (round_of(0, ("text", "50.000"), prefix_tokens=-1), r"trace.csv:1: prefix_tokens is -1; a length is never"),
        (round_of(0, ("text", "50.000"), output_tokens=7.5), r"output_tokens is 7.5, which is no whole number"),
        (round_of(0, ("text", "50.000"), output_tokens=0), "session a .*writes nothing"),
        (round_of(0, ("text", "50.000"), newly_append_tokens=None), "newly_append_tokens is None"),
        (round_of(0, ("text", "later")), "'2026-06-01T05:40:laterZ' is no time"),
        (round_of(0, ("usage_report", "50.000")), r"trace.csv:1: nothing was given and nothing written"),
        (round_of(0, timing_events=5), "timing_events is 5; write a list"),
        (round_of(0, timing_events=[{"event_type": "text"}]), "has no field timestamp; an event needs"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(trace: Path, text: str, said: str) -> None:
    trace.write_text(text)
    with pytest.raises(BadRequest, match=said):
        read(trace)


def test_a_trace_that_is_not_there_or_no_text_is_told(trace: Path) -> None:
    with pytest.raises(BadRequest, match="cannot be read"):
        read(trace)
    trace.write_bytes(b"\xff\xfe")
    with pytest.raises(BadRequest, match="no text in UTF-8"):
        read(trace)


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ((), "no call"),
        ((Call(-1, 5),), "negative"),
        ((Call(1, 5, after=(3,)),), r"of 0\.\.0"),
        ((Call(1, 1, after=(1,)), Call(1, 1, after=(0,))), r"calls \[0, 1\] of .* cycle"),
        ((Call(1, 1), Call(1, 1, after=(1,))), "cycle"),
    ],
)
def test_a_graph_that_cannot_run_is_refused(calls: tuple[Call, ...], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        check(SimulatedProgram(0, calls))
