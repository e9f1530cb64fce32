"""Calls and sessions in CSV files: the VTC artifact's, Azure's, and closed-loop sessions."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from aios.simulate.program import Call, SimulatedProgram, chain, check
from aios.simulate.traces.fields import expect, moment, seconds, whole
from aios_syscalls import BadRequest

VTC = ("arrival_s", "client", "prompt_tokens", "output_tokens")
AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
SESSIONS = ("session_id", "round_idx", "prefix_len", "input_len", "output_len")


def programs(lines: Iterable[str], path: Path) -> Iterator[SimulatedProgram]:
    """Of clients, of a service, or of sessions, by the columns; sessions without arrival times all arrive at 0."""
    rows = csv.DictReader(lines)
    columns = rows.fieldnames or []
    for wanted, reader in ((VTC, _clients), (AZURE, _service), (SESSIONS, _sessions)):
        if wanted[0] in columns:
            if missing := [name for name in wanted if name not in columns]:
                raise BadRequest(f"{path} has no column {', '.join(missing)}; it needs {', '.join(wanted)}")
            return reader(rows, path)
    known = "; ".join(", ".join(wanted) for wanted in (VTC, AZURE, SESSIONS))
    raise BadRequest(f"{path} is no trace that is known, with columns {', '.join(columns)}; these are: {known}")


def _clients(rows: Iterable[dict[str, str]], path: Path) -> Iterator[SimulatedProgram]:
    for line, row in enumerate(rows, 2):
        where = f"{path}:{line}"
        call = Call(whole(row, "prompt_tokens", where), whole(row, "output_tokens", where))
        yield check(SimulatedProgram(seconds(row, "arrival_s", where), (call,), "client", row["client"]), where)


def _service(rows: Iterable[dict[str, str]], path: Path) -> Iterator[SimulatedProgram]:
    first: datetime | None = None
    for line, row in enumerate(rows, 2):
        where = f"{path}:{line}"
        at = moment(row["TIMESTAMP"][:26], where)  # seven digits are one more than a datetime has
        first = first or at
        call = Call(whole(row, "ContextTokens", where), max(1, whole(row, "GeneratedTokens", where)))
        yield check(SimulatedProgram(int((at - first).total_seconds() * 1e6), (call,), "code"), where)


def _sessions(rows: Iterable[dict[str, str]], path: Path) -> Iterator[SimulatedProgram]:
    sessions: dict[str, list[tuple[int, Call]]] = {}
    arrivals: dict[str, int] = {}
    for line, row in enumerate(rows, 2):
        where = f"{path}:{line}"
        session = sessions.setdefault(row["session_id"], [])
        expect(session, row, "round_idx", where)
        arrivals.setdefault(row["session_id"], whole(row, "arrival_time", where) if "arrival_time" in row else 0)
        wait = whole(row, "tool_wait_after_ms", where) * 1000 if "tool_wait_after_ms" in row else 0
        read, written, prefix = (whole(row, name, where) for name in ("input_len", "output_len", "prefix_len"))
        session.append((wait, Call(read, written, prefix)))
    for number, session in sessions.items():
        waits = [0, *(wait for wait, _ in session)]
        calls = [call._replace(wait_us=wait) for wait, (_, call) in zip(waits, session, strict=False)]
        yield check(
            SimulatedProgram(arrivals[number] * 1000, chain(calls), path.parent.name), f"{path}, session {number}"
        )
