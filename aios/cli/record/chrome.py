"""A run as Chrome trace JSON, which https://ui.perfetto.dev shows.

The format is Google's "Trace Event Format". A process is a process; its calls lie on threads, one call at a time on
each; within a call lie its waits and its slices, those aside that it has on a second lane at the same time. Times are
whole microseconds, rounded in one way, so that what lay within something still does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from aios.cli.record.gantt import gaps
from aios.record import CallRecord, History, ProcessRecord
from aios.terminal.output import plain
from aios.terminal.table import label

T = TypeVar("T")

AGENT = 0
"""The thread of a process's own lifetime."""


def trace(history: History) -> dict[str, Any]:
    """The whole document."""
    events = [
        *(event for process in history.processes.values() for event in _process(process, history.now)),
        *_metadata("process_name", 0, AGENT, {"name": "user"}),
    ]
    by_pid: dict[int, list[CallRecord]] = {}
    for call in history.calls.values():
        by_pid.setdefault(call.pid, []).append(call)
    for calls in by_pid.values():
        placed = list(threads(calls, history.now))
        for thread, call in placed:
            events += _call(call, thread, history.now)
        first = max(thread for thread, _ in placed) + 1
        for thread, (call, number) in _aside(calls, history.now):
            events.append(_turn(call, number, first + thread, history.now))
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": history.facts}


def threads(calls: Sequence[CallRecord], now: float) -> Iterator[tuple[int, CallRecord]]:
    """Each call with the lowest thread, from 1 on, that no earlier call still holds."""
    for thread, call in _stacked(
        (call.accepted, _until(call.ended, now), call)
        for call in sorted(calls, key=lambda call: (call.accepted, call.id))
    ):
        yield thread + 1, call


def _stacked(spans: Iterable[tuple[float, float, T]]) -> Iterator[tuple[int, T]]:
    """Each of some spans, which come by their starts, with the lowest thread that no earlier one still holds."""
    free_at: list[float] = []
    for start, end, what in spans:
        thread = next((index for index, free in enumerate(free_at) if free <= start), len(free_at))
        free_at[thread : thread + 1] = [end]
        yield thread, what


def _aside(calls: Sequence[CallRecord], now: float) -> Iterator[tuple[int, tuple[CallRecord, int]]]:
    """The turns that have no room on the thread of their call, for it had one on another lane at the time."""
    turns = [
        (call.slices[number][0], _until(call.slices[number][1], now), (call, number))
        for call in calls
        for number in sorted(set(range(len(call.slices))) - _alone(call, now))
    ]
    return _stacked(sorted(turns, key=lambda turn: turn[0]))


def _alone(call: CallRecord, now: float) -> set[int]:
    """The turns that begin when those before them are over."""
    found, free = set(), -math.inf
    for number, (start, stop) in enumerate(call.slices):
        if start >= free:
            found.add(number)
            free = _until(stop, now)
    return found


def _process(process: ProcessRecord, now: float) -> Iterator[dict[str, Any]]:
    name = f"{process.pid} {label(process.program)}"
    yield from _metadata("process_name", process.pid, AGENT, {"name": name})
    yield from _metadata("process_sort_index", process.pid, AGENT, {"sort_index": process.pid})
    yield from _metadata("thread_name", process.pid, AGENT, {"name": "agent"})
    arguments = {"task": process.task, "parent": process.parent, "state": process.state, "result": process.result}
    yield _span(process.program, process.pid, AGENT, process.began, _until(process.ended, now), arguments)


def _call(call: CallRecord, thread: int, now: float) -> Iterator[dict[str, Any]]:
    arguments = {"call": str(call.id), "state": call.state, "tokens": call.tokens, "model": call.model}
    request = {"request": plain(call.call), "outcome": plain(call.outcome)}
    yield _span(call.name, call.pid, thread, call.accepted, _until(call.ended, now), arguments | request)
    for start, end in gaps(call, now):
        yield _span("queued", call.pid, thread, start, end, {"call": str(call.id)})
    for number in sorted(_alone(call, now)):
        yield _turn(call, number, thread, now)


def _turn(call: CallRecord, number: int, thread: int, now: float) -> dict[str, Any]:
    start, stop = call.slices[number]
    lane = {"lane": call.lanes[number]} if number < len(call.lanes) else {}
    return _span(f"slice {number + 1}", call.pid, thread, start, _until(stop, now), {"call": str(call.id), **lane})


def _span(name: str, pid: int, tid: int, start: float, end: float, arguments: dict[str, Any]) -> dict[str, Any]:
    """A complete event, coloured and filtered by its category."""
    category = name.partition(" ")[0]
    ts = round(start * 1e6)
    dur = round(end * 1e6) - ts
    return {"ph": "X", "name": name, "cat": category, "pid": pid, "tid": tid, "ts": ts, "dur": dur, "args": arguments}


def _metadata(name: str, pid: int, tid: int, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": name, "pid": pid, "tid": tid, "args": arguments}


def _until(end: float | None, now: float) -> float:
    return now if end is None else end
