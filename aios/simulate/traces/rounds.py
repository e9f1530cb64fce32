"""Rounds of coding agents in JSON Lines, as TraceLab publishes them: lengths, and when what came and went."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aios.simulate.program import Call, SimulatedProgram, chain, check
from aios.simulate.traces.fields import expect, moment, whole
from aios_syscalls import BadRequest

ROUND = ("session_id", "round_index", "prefix_tokens", "newly_append_tokens", "output_tokens", "timing_events")
EVENT = ("event_type", "timestamp")
INPUT = ("user_message", "tool_result")
OUTPUT = ("reasoning", "text", "tool_call")
"""What a model was given and what it wrote; other events are the recorder's own."""


@dataclass(slots=True)
class TraceSession:
    """The rounds of one session so far, and when its model was last done."""

    name: str
    began: datetime
    done: datetime
    calls: list[Call] = field(default_factory=list)


def programs(lines: Iterable[str], path: Path) -> Iterator[SimulatedProgram]:
    """A program a session, the first at 0: its prompts are what its server read anew, by that server's cache.

    A round waits from the last that the model wrote until the last that it was given, a tool's result or a person's
    message: what the model took itself is not in it, what tools did while it still wrote is no wait, and a round that
    was given nothing waits for nothing.
    """
    sessions: dict[str, TraceSession] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            _add(sessions, line, f"{path}:{number}", path.parent.name)
    first = min(session.began for session in sessions.values())
    for id, session in sessions.items():
        arrival = (session.began - first) // timedelta(microseconds=1)
        yield check(SimulatedProgram(arrival, chain(session.calls), session.name), f"{path}, session {id}")


def _add(sessions: dict[str, TraceSession], line: str, where: str, name: str) -> None:
    row = _round(line, where)
    given, wrote = _times(row, INPUT, where), _times(row, OUTPUT, where)
    if not given and not wrote:
        raise BadRequest(f"{where}: nothing was given and nothing written by its timing_events; leave the round out")
    came, done = max(given or wrote), max(wrote or given)
    session = sessions.get(id := str(row["session_id"]))
    if session is None:
        session = sessions[id] = TraceSession(str(row.get("provider", name)), came, came)
    expect(session.calls, row, "round_index", where)
    wait = (came - session.done) // timedelta(microseconds=1) if given else 0
    read, written = whole(row, "newly_append_tokens", where), whole(row, "output_tokens", where)
    session.calls.append(Call(read, written, whole(row, "prefix_tokens", where), max(0, wait)))
    session.done = done


def _round(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{where} is no JSON: {error}; a line is one object") from error
    return _object(row, ROUND, where, "a round")


def _object(value: object, wanted: tuple[str, ...], where: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(f"{where}: {what} is {type(value).__name__}; write an object with {', '.join(wanted)}")
    if missing := [name for name in wanted if name not in value]:
        raise BadRequest(f"{where} has no field {', '.join(missing)}; {what} needs {', '.join(wanted)}")
    return value


def _times(row: dict[str, Any], kinds: tuple[str, ...], where: str) -> list[datetime]:
    events = row["timing_events"]
    if not isinstance(events, list):
        raise BadRequest(f"{where}: timing_events is {events!r}; write a list of events")
    events = [_object(event, EVENT, where, "an event") for event in events]
    return [moment(event["timestamp"], where) for event in events if event["event_type"] in kinds]
