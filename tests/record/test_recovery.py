"""A kernel that is killed leaves processes and calls open; the next one records how they ended."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from aios.record import Event, History, Kind, RunRecord, SqliteJournal, living_runs, runs, unknown_calls
from aios_syscalls import CallId

pytestmark = pytest.mark.anyio

OPEN = [
    Event(0.0, Kind.RUN, 0, 0, {"run": "open"}, run="open"),
    Event(0.1, Kind.SPAWNED, 1, 0, {"parent": 0, "program": "a", "task": ""}, run="open"),
    Event(0.2, Kind.SPAWNED, 2, 0, {"parent": 1, "program": "b", "task": ""}, run="open"),
    Event(0.3, Kind.ACCEPTED, 1, 1, {"name": "llm.chat", "call": {}}, run="open"),
    Event(0.4, Kind.STARTED, 1, 1, {"lane": "llm:m"}, run="open"),
    Event(0.5, Kind.ACCEPTED, 2, 1, {"name": "llm.chat", "call": {}}, run="open"),
    Event(0.6, Kind.DONE, 1, 1, {"tokens": 1, "model": "m", "reply": None}, run="open"),
    Event(0.7, Kind.ACCEPTED, 0, 1, {"name": "process.graph", "call": {}}, run="open"),
    Event(0.8, Kind.ACCEPTED, 0, 1, {"name": "llm.chat", "call": {}}, "x", run="open"),
]
WHOLE = [
    Event(0.0, Kind.RUN, 0, 0, {"run": "whole"}, run="whole"),
    Event(0.1, Kind.SPAWNED, 3, 0, {"parent": 0, "program": "c", "task": ""}, run="whole"),
    Event(0.2, Kind.EXITED, 3, 0, {"state": "done", "result": "fine", "error": None}, run="whole"),
    Event(0.3, Kind.CLOSED, 0, 0, {}, run="whole"),
]


async def written(path: Path, events: list[Event]) -> None:
    async with SqliteJournal(path) as journal:
        for event in events:
            journal.record(event)


def kill_kernels(path: Path) -> None:
    """Make those on record ones that were killed: they have not ended, and nobody has their number."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE boot SET ended = NULL, os_pid = ?", (2**22 + 1,))


def history(path: Path, run: str) -> History:
    return History.of(record(path, run).events())


def record(path: Path, run: str) -> RunRecord:
    return next(each for each in runs(path) if each.id == run)


@pytest.fixture
async def killed(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    await written(path, [*WHOLE, *OPEN])
    kill_kernels(path)
    return path


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child


async def test_what_a_dead_kernel_left_open_has_ended_once_the_next_one_starts(killed: Path) -> None:
    before = history(killed, "open")
    assert before.open_calls == 3
    assert not before.closed
    await written(killed, [])
    after = history(killed, "open")
    assert after.ended_once()
    assert after.died
    assert not after.closed
    assert {process.state for process in after.processes.values()} == {"failed"}
    assert all("kernel died" in (process.error or {})["message"] for process in after.processes.values())
    states = {id: call.state for id, call in after.calls.items()}
    assert states == {
        CallId(1, 1): "done",
        CallId(2, 1): "cancelled",
        CallId(0, 1): "cancelled",
        CallId(0, 1, "x"): "cancelled",
    }
    assert after.calls[CallId(2, 1)].outcome["code"] == "no_kernel"
    # It is told when the kernel gave its last sign of life, not when somebody came to look.
    assert after.now == before.now
    assert record(killed, "open").ended is not None


@pytest.mark.parametrize(
    ("name", "started", "state"),
    [
        ("tool.call", True, "unknown"),
        ("tool.call", False, "cancelled"),
        ("llm.chat", True, "cancelled"),
        ("file.write", True, "cancelled"),
        ("gone.call", True, "unknown"),
    ],
)
async def test_only_what_must_not_run_twice_and_had_begun_is_unknown(
    tmp_path: Path, name: str, started: bool, state: str
) -> None:
    path = tmp_path / "journal.db"
    call = Event(0.3, Kind.ACCEPTED, 1, 1, {"name": name, "call": {}}, run="open")
    begun = [Event(0.4, Kind.STARTED, 1, 1, {"lane": "x"}, run="open")] if started else []
    await written(path, [*OPEN[:3], call, *begun])
    kill_kernels(path)
    await written(path, [])
    assert history(path, "open").calls[CallId(1, 1)].state == state
    assert [str(each.id) for each in unknown_calls(path)] == (["1.1"] if state == "unknown" else [])


async def test_a_run_that_ended_well_stays_as_it_is(killed: Path) -> None:
    before = [*record(killed, "whole").events()], record(killed, "whole")
    await written(killed, [])
    assert ([*record(killed, "whole").events()], record(killed, "whole")) == before


async def test_of_kernels_that_start_at_once_one_records_it(killed: Path) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(written, killed, [])
    assert history(killed, "open").ended_once()
    assert [event.kind for event in record(killed, "open").events()].count(Kind.CLOSED) == 1


async def test_the_runs_of_a_kernel_that_lives_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with SqliteJournal(path) as first:
        for event in OPEN:
            first.record(event)
        await first.flush()
        await written(path, WHOLE)
        assert [event.kind for event in record(path, "open").events()] == [event.kind for event in OPEN]
        (living,) = living_runs(path)
        assert (living.record.id, living.os_pid) == ("open", os.getpid())
    assert living_runs(path) == []


async def test_a_process_that_took_over_the_number_is_not_the_kernel(killed: Path) -> None:
    with closing(sqlite3.connect(killed)) as db, db:
        db.execute("UPDATE boot SET os_pid = ?, began = 1000000", (os.getpid(),))
    await written(killed, [])
    assert history(killed, "open").ended_once()


@pytest.mark.whole
async def test_a_killed_process_that_nobody_has_taken_notice_of_is_dead(
    killed: Path, child: subprocess.Popen[bytes]
) -> None:
    with closing(sqlite3.connect(killed)) as db, db:
        db.execute("UPDATE boot SET os_pid = ?, began = began + 3600000000", (child.pid,))
    await written(killed, [])
    assert not history(killed, "open").ended_once()
    child.kill()
    await anyio.to_thread.run_sync(os.waitid, os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    await written(killed, [])
    assert history(killed, "open").ended_once()


async def test_what_is_open_is_read_without_what_has_ended(killed: Path) -> None:
    found = History.of(record(killed, "open").open_events())
    assert [*found.calls] == [CallId(2, 1), CallId(0, 1), CallId(0, 1, "x")]
    assert [process.doing() for process in found.processes.values()] == ["running", "queued"]
