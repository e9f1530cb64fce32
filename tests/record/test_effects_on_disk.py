"""A call with an effect is on the disk as started before it begins, and as ended before it is answered."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aios.cores.chat_meter import ChatMeter
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Run, Turn, by_family, lone_run
from aios.record import Event, Kind, SqliteJournal, read_events
from aios.scheduler import Fifo
from aios_syscalls import CallTool, CallToolReply, Chat, ChatReply, Reply, StorageFailed, Usage

pytestmark = pytest.mark.anyio
PAY = CallTool(tool="pay")
LARGE = "x" * 500_000
KILLED = """
import os, signal, sys
from pathlib import Path
import anyio
from tests.record.test_effects_on_disk import PAY, NotingCore, opened

def act(_turn):
    os.kill(os.getpid(), signal.SIGKILL)

async def main(path, disk):
    async with opened(Path(path), NotingCore(act), disk) as (_, run):
        await run.submit(PAY)

anyio.run(main, *sys.argv[1:])
"""


class NotingCore:
    """Does what a test wants at the moment in which a call takes effect."""

    def __init__(self, act: Callable[[Turn], object], value: str = "") -> None:
        self._act, self._value = act, value
        self.ran = 0

    async def run(self, turn: Turn) -> Reply:
        self.ran += 1
        self._act(turn)
        if isinstance(turn.call, Chat):
            return ChatReply(text="", model="m", usage=Usage(prompt_tokens=1, completion_tokens=0), finish="stop")
        return CallToolReply(value=self._value)


class CountingJournal(SqliteJournal):
    """Counts its transactions."""

    commits = 0

    def _insert(self, batch: list[Event]) -> None:
        self.commits += 1
        super()._insert(batch)


@asynccontextmanager
async def opened(path: Path, core: Any, disk: str) -> AsyncIterator[tuple[CountingJournal, Run]]:
    lanes = [Lane("tool", core, Fifo()), Lane("llm", core, Fifo(), meter=ChatMeter())]
    async with (
        CountingJournal(path) as journal,
        lone_run(lanes, by_family, TaskHost(), journal, disk=disk, id="r", facts={"run": "r"}) as run,
    ):
        yield journal, run


def kinds(path: Path) -> list[Kind]:
    return [event.kind for event in read_events(path) if event.n]


@pytest.mark.parametrize(
    ("disk", "pure", "waits"),
    [("effects", False, True), ("all", True, True), ("effects", True, False), ("off", False, False)],
)
async def test_what_is_on_the_disk_as_a_call_takes_effect_and_as_it_is_answered(
    tmp_path: Path, say: Any, disk: str, pure: bool, waits: bool
) -> None:
    path, seen = tmp_path / "j.db", []
    async with opened(path, NotingCore(lambda _: seen.append(kinds(path))), disk) as (_, run):
        await run.submit(say() if pure else PAY)
        answered = kinds(path)
    assert (Kind.STARTED in seen[0]) == waits
    assert (Kind.DONE in answered) == waits


async def test_a_failure_is_on_the_disk_before_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "j.db"

    def fail(_turn: Turn) -> None:
        raise StorageFailed("the tool's own disk")

    async with opened(path, NotingCore(fail), "effects") as (_, run):
        with pytest.raises(StorageFailed, match="own disk"):
            await run.submit(PAY)
        assert kinds(path)[-1] is Kind.FAILED


async def test_calls_that_begin_at_once_share_their_commits(tmp_path: Path) -> None:
    async with opened(tmp_path / "j.db", NotingCore(lambda _: None), "effects") as (journal, run):
        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(run.submit, PAY)
        assert journal.commits < 100


@pytest.mark.whole
@pytest.mark.parametrize(("disk", "known"), [("effects", True), ("off", False)])
def test_a_kernel_killed_in_the_midst_of_an_effect_leaves_it_started(tmp_path: Path, disk: str, known: bool) -> None:
    path = tmp_path / "j.db"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), disk], check=False)
    assert ended.returncode == -9
    assert (Kind.STARTED in kinds(path)) == known


def fill(journal: SqliteJournal) -> None:
    """Leave the file no page more: SQLite's own word for a full disk."""
    journal._db.execute("PRAGMA max_page_count = 1")


async def free(journal: SqliteJournal) -> None:
    journal._db.execute("PRAGMA max_page_count = 1000000")
    while journal.failure is not None:
        await anyio.lowlevel.checkpoint()


async def test_a_full_disk_refuses_effects_until_there_is_room_and_nothing_is_missing(
    tmp_path: Path, say: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.db"
    seen: list[Event] = []
    core = NotingCore(lambda _: None)
    async with opened(path, core, "effects") as (journal, run):
        run._observers.append(seen.append)
        await run.submit(PAY)
        fill(journal)
        with caplog.at_level(logging.ERROR):
            for call in (CallTool(tool="pay", arguments={"note": LARGE}), PAY):  # while it begins; before that
                with pytest.raises(StorageFailed, match="until there is room") as refused:
                    await run.submit(call)
        assert core.ran == 1  # what could not be put on record as started did not begin
        assert refused.value.data["retry_after_s"] > 0
        assert len([each for each in caplog.records if each.name == "aios.record"]) == 1
        await run.submit(say())
        await free(journal)
        await run.submit(PAY)
    assert [(event.kind, event.n) for event in read_events(path)][1:-1] == [(event.kind, event.n) for event in seen][
        :-1
    ]


async def test_the_answer_to_what_was_done_as_the_disk_got_full_waits_for_room(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    answered = anyio.Event()
    async with opened(path, NotingCore(lambda _: fill(journal), LARGE), "effects") as (journal, run):

        async def submit() -> None:
            await run.submit(PAY)
            answered.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(submit)
            while journal.failure is None:
                await anyio.lowlevel.checkpoint()
            assert not answered.is_set()
            assert Kind.DONE not in kinds(path)
            await free(journal)
    assert Kind.DONE in kinds(path)


async def test_a_disk_that_stays_full_is_told_when_the_kernel_ends(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot be written"):
        async with CountingJournal(tmp_path / "j.db") as journal:
            fill(journal)
            for number in range(50):
                journal.record(Event(0.0, Kind.PAUSED, 1, number, {"text": "x" * 3000}))
