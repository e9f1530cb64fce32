"""Recorded workloads, from CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from aios.simulate.program import Call, Program, chain, check
from aios_syscalls import BadRequest

VTC = ("arrival_s", "client", "prompt_tokens", "output_tokens")
AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
SESSIONS = ("session_id", "round_idx", "prefix_len", "input_len", "output_len")


def read(path: Path) -> list[Program]:
    """The programs of a trace in order of arrival: of clients, of a service, or of sessions, by its columns.

    Sessions without arrival times all arrive at 0. Raises BadRequest, with the row, for what cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            for wanted, reader in ((VTC, _clients), (AZURE, _service), (SESSIONS, _sessions)):
                if wanted[0] in columns:
                    if missing := [name for name in wanted if name not in columns]:
                        raise BadRequest(f"{path} has no column {', '.join(missing)}; it needs {', '.join(wanted)}")
                    programs = list(reader(rows, path))
                    return sorted(programs, key=lambda program: program.arrival_us)
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}; give a CSV file") from error
    known = "; ".join(", ".join(wanted) for wanted in (VTC, AZURE, SESSIONS))
    raise BadRequest(f"{path} is no trace that is known, with columns {', '.join(columns)}; these are: {known}")


def _clients(rows: Iterable[dict[str, str]], path: Path) -> Iterator[Program]:
    for line, row in enumerate(rows, 2):
        where = f"{path}:{line}"
        call = Call(_whole(row, "prompt_tokens", where), _whole(row, "output_tokens", where))
        yield check(Program(_us(row, "arrival_s", where), (call,), "client", row["client"]), where)


def _service(rows: Iterable[dict[str, str]], path: Path) -> Iterator[Program]:
    first: datetime | None = None
    for line, row in enumerate(rows, 2):
        where = f"{path}:{line}"
        try:
            # Seven digits are one more than a datetime has.
            at = datetime.fromisoformat(row["TIMESTAMP"][:26])
        except ValueError:
            raise BadRequest(f"{where}: {row['TIMESTAMP']!r} is no time; write 2023-11-16 18:17:03.979") from None
        first = first or at
        call = Call(_whole(row, "ContextTokens", where), max(1, _whole(row, "GeneratedTokens", where)))
        yield check(Program(int((at - first).total_seconds() * 1e6), (call,), "code"), where)


def _sessions(rows: Iterable[dict[str, str]], path: Path) -> Iterator[Program]:
    sessions: dict[str, list[tuple[int, Call]]] = {}
    arrivals: dict[str, int] = {}
    for line, row in enumerate(rows, 2):
        where = f"{path}:{line}"
        session = sessions.setdefault(row["session_id"], [])
        if _whole(row, "round_idx", where) != len(session):
            raise BadRequest(f"{where}: round {row['round_idx']} of session {row['session_id']} is not its next")
        arrivals.setdefault(row["session_id"], _whole(row, "arrival_time", where) if "arrival_time" in row else 0)
        wait = _whole(row, "tool_wait_after_ms", where) * 1000 if "tool_wait_after_ms" in row else 0
        read, written, prefix = (_whole(row, name, where) for name in ("input_len", "output_len", "prefix_len"))
        session.append((wait, Call(read, written, prefix)))
    for number, session in sessions.items():
        waits = [0, *(wait for wait, _ in session)]
        calls = [call._replace(wait_us=wait) for wait, (_, call) in zip(waits, session, strict=False)]
        yield check(Program(arrivals[number] * 1000, chain(calls), path.parent.name), f"{path}, session {number}")


def _whole(row: dict[str, str], name: str, where: str) -> int:
    try:
        value = int(row[name])
    except (TypeError, ValueError):
        raise BadRequest(f"{where}: {name} is {row[name]!r}, which is no whole number; correct the row") from None
    if value < 0:
        raise BadRequest(f"{where}: {name} is {value}; a length is never negative, correct the row")
    return value


def _us(row: dict[str, str], name: str, where: str) -> int:
    try:
        return int(float(row[name]) * 1e6)
    except (TypeError, ValueError, OverflowError):
        raise BadRequest(f"{where}: {name} is {row[name]!r}, which is no time in seconds; correct the row") from None


def arriving(programs: Sequence[Program], times_us: Sequence[int]) -> list[Program]:
    """The programs at other times of arrival, as many as there are of these, from the first again where they end."""
    return [programs[number % len(programs)]._replace(arrival_us=time) for number, time in enumerate(times_us)]
