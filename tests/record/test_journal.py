"""The journal keeps every transition, in order, on a real disk."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios.hosts.task import TaskHost
from aios.kernel import Kernel, Lane, by_family
from aios.record import Event, History, Kind, SqliteJournal, read_events
from aios.scheduler import Fifo
from aios_syscalls import Overloaded, StorageFailed

pytestmark = pytest.mark.anyio


async def test_the_record_of_a_run_is_read_back_as_it_happened(tmp_path: Path, counting: Any, say: Any) -> None:
    path = tmp_path / "run" / "journal.db"
    seen: list[Event] = []
    async with SqliteJournal(path) as journal:
        kernel = Kernel(
            [Lane("llm", counting(), Fifo())],
            by_family,
            TaskHost(),
            journal,
            observers=[seen.append],
            facts={"run": "r1"},
        )
        async with kernel:
            for number in range(50):
                await kernel.submit(say(f"prompt {number} \U0001f600", tokens=number + 1))
    events = list(read_events(path))
    assert [event[:4] for event in events] == [event[:4] for event in seen]
    live, kept = History.of(seen), History.of(events)
    assert [call.tokens for call in kept.calls.values()] == list(range(1, 51))
    assert kept.ended_once()
    assert kept.facts == {"run": "r1"}
    assert kept.calls[50].call["messages"][0]["content"] == "prompt 49 \U0001f600"
    assert kept.calls[50].outcome["text"] == "done"
    assert [call.wait_s(0) for call in kept.calls.values()] == [call.wait_s(0) for call in live.calls.values()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_large_backlog_is_kept_whole(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "j.db") as journal:
        for number in range(30_000):
            journal.record(Event(float(number), Kind.PAUSED, 1, number, {"tokens": number}))
        await journal.room()
    assert [event.call for event in read_events(tmp_path / "j.db")] == list(range(30_000))


async def test_what_happens_while_the_kernel_is_cancelled_is_kept(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with SqliteJournal(tmp_path / "j.db") as journal:
            journal.record(Event(0.0, Kind.PAUSED, 1, 1, {"tokens": 1}))
            scope.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                journal.record(Event(1.0, Kind.CANCELLED, 1, 1, {}))
    assert [event.kind for event in read_events(tmp_path / "j.db")] == [Kind.PAUSED, Kind.CANCELLED]


async def test_a_journal_that_cannot_be_written_refuses_new_calls(tmp_path: Path, counting: Any, say: Any) -> None:
    path = tmp_path / "j.db"
    with pytest.raises(StorageFailed, match="cannot be written"):
        async with SqliteJournal(path) as journal:
            with closing(sqlite3.connect(path)) as other:
                other.execute("DROP TABLE event")
            kernel = Kernel([Lane("llm", counting(), Fifo())], by_family, TaskHost(), journal)
            async with kernel:
                with pytest.raises(StorageFailed, match="cannot be written"):
                    while True:
                        await kernel.submit(say())


async def test_a_directory_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="cannot be written"):
        async with SqliteJournal(tmp_path / "file" / "j.db"):
            pass


def test_a_file_that_is_no_journal_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageFailed, match="cannot be read"):
        list(read_events(tmp_path / "j.db"))


async def test_what_json_cannot_hold_or_is_too_large_is_described(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "j.db") as journal:
        for number, value in enumerate(["\udcff", object(), "x" * 2_000_000, "fine"], 1):
            journal.record(Event(0.0, Kind.DONE, 1, number, {"tokens": 3, "reply": {"text": value}}))
    kept = [event.data for event in read_events(tmp_path / "j.db")]
    assert [data["tokens"] for data in kept] == [3] * 4
    assert ["omitted" in data["reply"] for data in kept] == [True, True, True, False]


async def test_of_what_is_too_large_the_figures_are_kept(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 0}
    figures = {"tokens": 0, "model": "", "usage": usage, "usd": None}
    async with SqliteJournal(tmp_path / "j.db") as journal:
        journal.record(Event(0.0, Kind.ACCEPTED, 0, 1, {"name": "llm.embed", "call": {}}))
        journal.record(Event(0.0, Kind.DONE, 0, 1, {**figures, "reply": {"vectors": [[0.25] * 500_000]}}))
    data = list(read_events(tmp_path / "j.db"))[-1].data
    assert "omitted" in data["reply"]
    assert {name: data[name] for name in figures} == figures
    assert History.of(read_events(tmp_path / "j.db")).tokens == 0


def test_an_event_that_nobody_knows_is_a_storage_error(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "j.db")) as db:
        db.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, at, kind, pid, call, data)")
        db.execute("INSERT INTO event VALUES (1, 0.0, 'run', 0, 0, '{\"run\": ')")
        db.commit()
    with pytest.raises(StorageFailed, match="cannot be read"):
        list(read_events(tmp_path / "j.db"))


async def test_errors_are_kept_in_wire_form(tmp_path: Path, say: Any) -> None:
    class Full:
        async def run(self, turn: Any) -> Any:
            raise Overloaded("full", retry_after_s=3)

    async with SqliteJournal(tmp_path / "j.db") as journal:
        async with Kernel([Lane("llm", Full(), Fifo())], by_family, TaskHost(), journal) as kernel:
            with pytest.raises(Overloaded):
                await kernel.submit(say())
    history = History.of(read_events(tmp_path / "j.db"))
    assert history.calls[1].outcome == {"code": "overloaded", "message": "full", "retry_after_s": 3.0}
