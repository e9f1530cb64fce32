"""The journal keeps every transition, in order, on a real disk."""

from __future__ import annotations

import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, by_family, lone_run
from aios.models.scripted import ScriptedModel
from aios.record import Event, History, Kind, MemoryJournal, SqliteJournal, read_events, runs
from aios.record.row import checksum
from aios.scheduler import Fifo, RoundRobin
from aios_syscalls import BadRequest, CallId, CallTool, Chat, Message, Overloaded, StorageFailed

pytestmark = pytest.mark.anyio


async def test_the_record_of_a_run_is_read_back_as_it_happened(tmp_path: Path, counting: Any, say: Any) -> None:
    path = tmp_path / "run" / "journal.db"
    seen: list[Event] = []
    async with SqliteJournal(path) as journal:
        opening = lone_run(
            [Lane("llm", counting(), Fifo(), meter=ChatMeter())],
            by_family,
            TaskHost(),
            journal,
            observers=[seen.append],
            facts={"run": "r1"},
        )
        async with opening as kernel:
            for number in range(50):
                await kernel.submit(say(f"prompt {number} \U0001f600", tokens=number + 1))
    events = list(read_events(path))
    assert [event[:4] for event in events] == [event[:4] for event in seen]
    live, kept = History.of(seen), History.of(events)
    assert [call.tokens for call in kept.calls.values()] == list(range(1, 51))
    assert kept.ended_once()
    assert kept.facts == {"run": "r1"}
    assert kept.calls[CallId(0, 50)].call["messages"][0]["content"] == "prompt 49 \U0001f600"
    assert kept.calls[CallId(0, 50)].outcome["text"] == "done"
    assert [call.wait_s(0) for call in kept.calls.values()] == [call.wait_s(0) for call in live.calls.values()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_large_backlog_is_kept_whole(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "j.db") as journal:
        for number in range(30_000):
            journal.record(Event(float(number), Kind.PAUSED, 1, number, {"tokens": number}))
        await journal.room()
    assert [event.n for event in read_events(tmp_path / "j.db")] == list(range(30_000))


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


async def test_a_journal_that_cannot_be_written_refuses_calls_with_an_effect(
    tmp_path: Path, counting: Any, say: Any
) -> None:
    path = tmp_path / "j.db"
    with pytest.raises(StorageFailed, match="cannot be written"):
        async with SqliteJournal(path) as journal:
            with closing(sqlite3.connect(path)) as other:
                other.execute("DROP TABLE event")
            opening = lone_run([Lane("llm", counting(), Fifo(), meter=ChatMeter())], by_family, TaskHost(), journal)
            async with opening as kernel:
                await kernel.submit(say())
                while journal.failure is None:
                    await anyio.lowlevel.checkpoint()
                with pytest.raises(StorageFailed, match="cannot be written"):
                    await kernel.submit(CallTool(tool="pay"))
                await kernel.submit(say())  # what changes nothing goes on


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
        for number, value in enumerate(["\udcff", object(), "x" * 17_000_000, "fine"], 1):
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
    (run,) = runs(tmp_path / "j.db")
    assert list(run.events())[-1].data["reply"] == {"vectors": [[0.25] * 500_000]}
    data = list(run.events(payloads=False))[-1].data
    assert data["reply"] == {"omitted": "2500015 bytes"}
    assert {name: data[name] for name in figures} == figures
    assert History.of(read_events(tmp_path / "j.db")).tokens == 0


async def test_an_event_that_nobody_knows_is_a_storage_error(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal:
        journal.record(Event(0.0, Kind.PAUSED, 1, 1, {"tokens": 1}))
    with closing(sqlite3.connect(path)) as db:
        ((at, data),) = db.execute("SELECT at, data FROM event")
        crc = checksum((1, 0), "", at, "strange", 1, 1, "", data.encode())
        db.execute("UPDATE event SET kind = 'strange', checksum = ?", (crc,))
        db.commit()
    with pytest.raises(StorageFailed, match="'strange' is not a valid Kind"):
        list(read_events(path))


async def test_a_journal_of_another_version_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageFailed, match=r"of version 99, and this aios knows version 3; use the aios"):
        list(read_events(path))
    with pytest.raises(StorageFailed, match="is of version 99"):
        async with SqliteJournal(path):
            pass


def as_version(path: Path, version: int) -> None:
    """Make a journal what an older aios would have made of it."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT seq, id, at, kind, pid, n, node, data FROM event JOIN run ON number = run").fetchall()
        for seq, run, at, kind, pid, n, node, data in rows:
            crc = checksum(None, run, at, kind, pid, n, node, data.encode())
            db.execute("UPDATE event SET checksum = ? WHERE seq = ?", (crc, seq))
        db.execute("ALTER TABLE event DROP COLUMN previous")
        if version == 1:
            db.execute("ALTER TABLE run DROP COLUMN ended")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()


@pytest.mark.parametrize("version", [1, 2])
async def test_a_journal_of_a_version_before_is_made_into_one_of_today(tmp_path: Path, version: int) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal:
        journal.record(Event(0.0, Kind.RUN, 0, 0, {"run": "old"}, run="old"))
    as_version(path, version)
    assert [(run.id, run.ended) for run in runs(path)] == [("old", None)]
    async with SqliteJournal(path) as journal:
        for kind in (Kind.RUN, Kind.CLOSED):
            journal.record(Event(1.0, kind, 0, 0, {}, run="new"))
    assert [(run.id, run.ended is None) for run in runs(path)] == [("old", True), ("new", False)]
    assert [(event.run, event.kind) for event in read_events(path)] == [
        ("old", Kind.RUN),
        ("new", Kind.RUN),
        ("new", Kind.CLOSED),
    ]


LOSSES = {
    "the first": "DELETE FROM event WHERE seq = 1",
    "one within": "DELETE FROM event WHERE seq = 4",
    "the last": "DELETE FROM event WHERE seq = 6",
    "one that is now of no run": "UPDATE event SET run = 9 WHERE seq = 4",
    "one that is now of another": "UPDATE event SET run = 2 WHERE seq = 4",
    "two that have changed places": "UPDATE event SET seq = -seq WHERE seq IN (4, 5);"
    "UPDATE event SET seq = 9 + seq WHERE seq < 0",
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
async def test_an_event_that_is_lost_or_out_of_its_place_is_missed(tmp_path: Path, loss: str) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal:
        for number, run in enumerate("aabaaab", 1):
            journal.record(Event(float(number), Kind.PAUSED, 1, number, {}, run=run))
    whole, _ = runs(path)
    assert [event.n for event in whole.events()] == [1, 2, 4, 5, 6]
    with closing(sqlite3.connect(path)) as db:
        db.executescript(loss)
    with pytest.raises(StorageFailed, match=r"is lost|is not as it was written"):
        list(whole.events())


async def test_without_their_places_in_it_an_events_loss_is_not_missed(tmp_path: Path) -> None:
    """The control: as rows of the version before."""
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal:
        for number in range(1, 5):
            journal.record(Event(float(number), Kind.PAUSED, 1, number, {}, run="a"))
    as_version(path, 2)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM event WHERE seq = 2")
        db.commit()
    assert [event.n for event in read_events(path)] == [1, 3, 4]


@pytest.mark.parametrize("change", ["at = at + 1", "n = 2", "pid = 2", "node = 'a'", "data = '{}'", "kind = 'done'"])
async def test_a_row_that_somebody_changed_is_noticed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal:
        journal.record(Event(0.0, Kind.PAUSED, 1, 1, {"tokens": 1, "text": "\u00e9 \U0001f600 \x00 \u2028"}))
    assert len(list(read_events(path))) == 1
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE event SET {change}")
        db.commit()
    with pytest.raises(StorageFailed, match="event 1 of run  is not as it was written"):
        list(read_events(path))


async def test_a_large_payload_is_a_blob_that_equal_ones_share(tmp_path: Path) -> None:
    path, text = tmp_path / "j.db", "x" * 100_000
    async with SqliteJournal(path) as journal:
        for n in range(1, 4):
            journal.record(Event(0.0, Kind.DONE, 1, n, {"tokens": n, "reply": {"text": text}, "model": "m"}))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT users, length(data) FROM blob").fetchall() == [(3, 100_011)]
        db.execute("UPDATE blob SET data = CAST('lies' AS BLOB)")
        assert [event.data["reply"] for event in read_events(path)] == [{"text": text}] * 3
        db.commit()
    with pytest.raises(StorageFailed, match="payload 'reply' of event 1 is not as it was written"):
        list(read_events(path))


async def test_a_payload_that_is_lost_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal:
        journal.record(Event(0.0, Kind.DONE, 1, 1, {"reply": "x" * 100_000, "model": "m"}))
    assert [event.data for event in read_events(path)] == [{"reply": "x" * 100_000, "model": "m"}]
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM payload")
        db.commit()
    with pytest.raises(StorageFailed, match="a payload of event 1 of run  is not on record any more"):
        list(read_events(path))


async def test_what_a_caller_has_heard_is_recorded_with_the_slices(tmp_path: Path) -> None:
    model, heard = ScriptedModel("one two three four five six"), list[str]()
    chat = Chat(messages=(Message(role="user", content="count"),))
    lane = Lane("llm", LlmCore(model), RoundRobin(2), 1, meter=ChatMeter())
    journal = MemoryJournal()
    async with lone_run([lane], by_family, TaskHost(), journal) as kernel:
        await kernel.submit(chat, heard.append)
        await kernel.submit(chat)
    told = [event.data.get("text", "") for event in journal.events if event.kind is Kind.PAUSED]
    assert told == ["".join(heard[:2]), "".join(heard[2:4]), "", ""]


# -- several kernels on one home


def test_what_is_typed_is_what_is_read() -> None:
    for id in (CallId(7, 3), CallId(0, 1, "node"), CallId(12, 4, "a:b.c")):
        assert CallId.parse(str(id)) == id
    for text in ("7", "7.", ".3", "7.3:", "a.b", "7.3.1", "-7.3", "7.-3", "", "\u0667.3"):
        with pytest.raises(BadRequest):
            CallId.parse(text)


async def test_pids_are_never_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as first, SqliteJournal(path) as second:
        found = [await journal.new_pid() for _ in range(100) for journal in (first, second)]
    assert len(set(found)) == len(found)
    async with SqliteJournal(path) as third:
        assert await third.new_pid() > max(found)


async def test_pids_that_a_kernel_did_not_use_are_the_next_ones(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for expected in (1, 3, 5):
        async with SqliteJournal(path) as journal:
            assert [await journal.new_pid(), await journal.new_pid()] == [expected, expected + 1]


async def test_kernels_that_write_at_once_neither_lose_nor_mix_events(tmp_path: Path) -> None:
    path, count = tmp_path / "j.db", 5_000

    async def write(name: str) -> None:
        async with SqliteJournal(path) as journal:
            for n in range(count):
                journal.record(Event(n / 1e6, Kind.PAUSED, 1, n, {"tokens": n, "of": name}, run=name))
                if n % 100 == 0:
                    await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(write, name)
    found = runs(path)
    assert {run.id for run in found} == set("abc")
    for run in found:
        events = list(run.events())
        assert [event.n for event in events] == list(range(count))
        assert {event.data["of"] for event in events} == {run.id}


KILLED = """
import sys, anyio
from pathlib import Path
from aios.record import Event, Kind, SqliteJournal

async def main():
    async with SqliteJournal(Path(sys.argv[1])) as journal:
        n = 0
        while True:
            n += 1
            journal.record(Event(n / 1e6, Kind.PAUSED, 1, n, {"tokens": n}, run="killed"))
            await journal.room()
            if n == 20_000:
                print("w", end="", flush=True)
            await anyio.sleep(0 if n % 50 else 0.0001)

anyio.run(main)
"""


@pytest.mark.whole
async def test_a_kernel_that_is_killed_leaves_the_others_whole(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal:
        async with await anyio.open_process([sys.executable, "-c", KILLED, str(path)], stderr=None) as child:
            assert child.stdout
            for n in range(2_000):
                journal.record(Event(n / 1e6, Kind.PAUSED, 1, n, {"tokens": n}, run="mine"))
            assert await child.stdout.receive() == b"w"
            child.kill()
        for n in range(2_000, 4_000):
            journal.record(Event(n / 1e6, Kind.PAUSED, 1, n, {"tokens": n}, run="mine"))
    mine, killed = sorted(runs(path), key=lambda run: run.id, reverse=True)
    assert [event.n for event in mine.events()] == list(range(4_000))
    kept = [event.n for event in killed.events()]
    assert kept == list(range(1, len(kept) + 1))


# -- how much it may be


async def write_run(path: Path, name: str, bytes: int, max_bytes: int | None = None) -> None:
    async with SqliteJournal(path, max_bytes) as journal:
        for n in range(bytes // 50_000):
            journal.record(Event(0.0, Kind.DONE, 1, n, {"reply": {"text": f"{name}{n}" + "x" * 50_000}}, run=name))


async def test_the_oldest_runs_that_have_ended_make_room(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for name in "abcd":
        await write_run(path, name, 1_000_000)
    async with SqliteJournal(path, 2_500_000):
        assert [run.id for run in runs(path)] == ["c", "d"]
    for run in runs(path):
        assert len(list(run.events())) == 20
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*), min(users), max(users) FROM blob").fetchone() == (40, 1, 1)
    assert path.stat().st_size < 4_000_000


async def test_a_blob_stays_while_a_run_needs_it(tmp_path: Path) -> None:
    path, same = tmp_path / "j.db", {"reply": {"text": "x" * 1_000_000}}
    for name in "ab":
        async with SqliteJournal(path) as journal:
            journal.record(Event(0.0, Kind.DONE, 1, 1, same, run=name))
            journal.record(Event(0.0, Kind.DONE, 1, 2, {"reply": {"text": name * 1_000_000}}, run=name))
    async with SqliteJournal(path, 2_500_000):
        (left,) = runs(path)
    assert left.id == "b"
    assert [event.data["reply"]["text"][0] for event in left.events()] == ["x", "b"]


async def test_a_living_run_is_never_forgotten_and_a_new_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as living:
        for n in range(40):
            living.record(Event(0.0, Kind.DONE, 1, n, {"reply": {"text": f"{n}" + "x" * 50_000}}, run="living"))
        while not (found := runs(path)) or found[0].last < 40:
            await anyio.sleep(0.01)
        with pytest.raises(StorageFailed, match=r"wait for one to end, or raise \[journal\] max_mb, now 1"):
            await write_run(path, "new", 50_000, 1_048_576)
        living.record(Event(0.0, Kind.DONE, 1, 41, {"tokens": 1}, run="living"))
        await living.room()
    (run,) = runs(path)
    assert len(list(run.events())) == 41
    async with SqliteJournal(path, 1_048_576):
        assert runs(path) == []  # now it has ended


async def test_errors_are_kept_in_wire_form(tmp_path: Path, say: Any) -> None:
    class Full:
        async def run(self, turn: Any) -> Any:
            raise Overloaded("full", retry_after_s=3)

    async with SqliteJournal(tmp_path / "j.db") as journal:
        async with lone_run([Lane("llm", Full(), Fifo(), meter=ChatMeter())], by_family, TaskHost(), journal) as kernel:
            with pytest.raises(Overloaded):
                await kernel.submit(say())
    history = History.of(read_events(tmp_path / "j.db"))
    assert history.calls[CallId(0, 1)].outcome == {"code": "overloaded", "message": "full", "retry_after_s": 3.0}
