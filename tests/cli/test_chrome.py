"""The trace for Perfetto."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aios.cli.record.chrome import threads, trace
from aios.record import CallRecord, History
from aios_syscalls import CallId


def spans(document: Any, pid: int) -> list[dict[str, Any]]:
    return [event for event in document["traceEvents"] if event["ph"] == "X" and event["pid"] == pid]


def test_processes_have_names(busy: Any) -> None:
    names = {
        event["pid"]: event["args"]["name"]
        for event in trace(busy.history)["traceEvents"]
        if event["name"] == "process_name"
    }
    assert names == {0: "user", 1: "1 summarise", 2: "2 planner", 3: "3 worker"}


def test_a_call_holds_its_waits_and_slices(busy: Any) -> None:
    found = [(span["name"], span["tid"], span["ts"], span["dur"]) for span in spans(trace(busy.history), 1)]
    assert found == [
        ("summarise", 0, 0, 3_500_000),
        ("llm.chat", 1, 0, 3_000_000),
        ("queued", 1, 1_000_000, 1_000_000),
        ("slice 1", 1, 0, 1_000_000),
        ("slice 2", 1, 2_000_000, 1_000_000),
    ]


def test_calls_that_overlap_have_threads_of_their_own(busy: Any) -> None:
    calls = [(span["args"]["call"], span["tid"]) for span in spans(trace(busy.history), 3) if "." in span["name"]]
    assert calls == [("3.3", 1), ("3.4", 2)]


def test_it_is_json(busy: Any) -> None:
    document = json.loads(json.dumps(trace(busy.history)))
    assert document["displayTimeUnit"] == "ms"
    assert document["otherData"]["scheduler"] == "round_robin"


times = st.floats(0, 100, allow_nan=False)


@given(st.lists(st.tuples(times, times), max_size=12))
def test_calls_on_one_thread_never_overlap(intervals: list[tuple[float, float]]) -> None:
    calls = [
        CallRecord(CallId(1, number), "llm.chat", min(pair), ended=max(pair))
        for number, pair in enumerate(intervals, 1)
    ]
    by_thread: defaultdict[int, list[CallRecord]] = defaultdict(list)
    for thread, call in threads(calls, 100.0):
        by_thread[thread].append(call)
    assert sum(map(len, by_thread.values())) == len(calls)
    for row in by_thread.values():
        for before, after in itertools.pairwise(row):
            assert before.ended is not None
            assert before.ended <= after.accepted


@given(st.lists(times, min_size=3, max_size=9))
def test_slices_and_waits_lie_within_their_call(points: list[float]) -> None:
    accepted, *rest = sorted(points)
    turns = list(zip(rest[::2], rest[1::2], strict=False))
    call = CallRecord(CallId(1, 1), "llm.chat", accepted, slices=[(start, end) for start, end in turns], ended=rest[-1])
    history = History()
    history.calls[call.id] = call
    outer, *inner = spans(trace(history), 1)
    for span in inner:
        assert outer["ts"] <= span["ts"]
        assert span["ts"] + span["dur"] <= outer["ts"] + outer["dur"]
    assert sum(span["dur"] for span in inner) == outer["dur"]


def test_a_call_that_goes_on_reaches_to_now(story: Callable[..., Any]) -> None:
    run = story()
    run.spawn(0.0, 1)
    run.call(1, 1, 0.0, [(1.0, 2.0)], end=None)
    run.spawn(4.0, 2)
    call = next(span for span in spans(trace(run.history), 1) if span["name"] == "llm.chat")
    assert call["dur"] == 4_000_000
    assert call["args"]["state"] == "paused"
