"""Traces: read as they are, refused with the row where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios.simulate import Call, Program, check
from aios.simulate.traces import arriving, read
from aios_syscalls import BadRequest

CLIENTS = "arrival_s,client,prompt_tokens,output_tokens\n0.5,3,10,20\n0.25,1,5,6\n"
SERVICE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,40,1\n2023-11-16 18:17:05.9799600,4,2\n"
SESSIONS = (
    "session_id,arrival_time,round_idx,prefix_len,input_len,output_len,tool_wait_after_ms\n"
    "0,117,0,0,2318,200,300\n0,117,1,2518,348,131,0\n"
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


def test_sessions_are_given_times_of_arrival(trace: Path) -> None:
    trace.write_text(SESSIONS)
    assert [each.arrival_us for each in arriving(read(trace), [5, 9])] == [5, 9]


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
    ],
)
def test_what_is_wrong_is_told_with_its_place(trace: Path, text: str, said: str) -> None:
    trace.write_text(text)
    with pytest.raises(BadRequest, match=said):
        read(trace)


def test_a_trace_that_is_not_there_is_told(trace: Path) -> None:
    with pytest.raises(BadRequest, match="cannot be read"):
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
        check(Program(0, calls))
