"""Durable runs: what they cost beside runs that are not, and how soon one goes on that was cut off."""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio

from aios.bench import Report, at_least, at_most
from aios.bench.paired import median_interval
from aios.context import Snapshot
from aios.cores.llm import LlmCore
from aios.hosts.process import ProcessHost
from aios.kernel import Core, Kernel, Lane, Run, RunSettings, Turn, by_family
from aios.models.scripted import ScriptedModel
from aios.record import Event, Kind, RunRecord, SqliteJournal, past, runs
from aios.scheduler import Fifo
from aios_syscalls import Reply, Spawn, Wait

AGENTS, CALLS = 64, 20
"""Of the run whose cost is measured: every agent in a process of its own, every call answered at once."""
LONG = 1_000
"""Completed calls of the agent that is resumed."""
GONE = 2**22 - 1
"""A process number that no kernel has had for long."""

PROGRAM = """
async def main(agent, task):
    for number in range(int(task)):
        await agent.ask(f"{task} {number}")
    return task
"""


def main(quick: bool) -> Report:
    """Runs with and without in turns; an agent of a thousand calls; journals of dead kernels."""
    pairs, sizes = (3, (10_000, 100_000)) if quick else (15, (10_000, 1_000_000))
    with tempfile.TemporaryDirectory(prefix="aios-bench-") as directory:
        place = Path(directory)
        (place / "calls.py").write_text(PROGRAM)
        shares = [anyio.run(_pair, place, number) for number in range(pairs)]
        resumed = statistics.median(anyio.run(_resume, place, f"long-{number}.db") for number in range(3))
        small, large = (anyio.run(_restart, place / f"{size}.db", size) for size in sizes)
    low, high = median_interval(shares)
    figures = {
        "overhead_share": statistics.median(shares),
        "overhead_share_from": low,
        "overhead_share_to": high,
        "agents": float(AGENTS),
        "resume_1000_s": resumed,
        "restart_10k_s": small,
        "restart_1m_s": large,
        "restart_calls": float(sizes[1]),
    }
    full = [] if quick else [at_least("restart_calls", 1_000_000)]
    bounds = [at_most("overhead_share", 0.15), at_most("resume_1000_s", 1.0), at_most("restart_10k_s", 2.0)]
    return Report.of("durable", figures, [*bounds, at_most("restart_1m_s", 10.0), *full])


async def _pair(place: Path, number: int) -> float:
    """By what share a durable run takes longer than one that is not."""
    took = {}
    for durable in (True, False) if number % 2 else (False, True):
        took[durable] = await _crowd(place, f"{number}-{durable}", durable=durable)
    return took[True] / took[False] - 1


async def _crowd(place: Path, name: str, *, durable: bool) -> float:
    host = ProcessHost(place / "logs", [place], hash_seed=1 if durable else None)
    journal = place / f"{name}.db"
    async with host, _opened(journal, host, LlmCore(ScriptedModel("ok", record=0)), durable=durable) as run:
        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(AGENTS):
                tasks.start_soon(_whole, run, CALLS)
        return time.perf_counter() - began


async def _whole(run: Run, calls: int) -> None:
    pid = (await run.submit(Spawn(program="calls", task=str(calls)))).pid
    await run.submit(Wait(pid=pid))


class _Ear:
    """Answers at once, and notes when it was asked first."""

    def __init__(self) -> None:
        self._core = LlmCore(ScriptedModel("ok", record=0))
        self.asked = 0.0

    async def run(self, turn: Turn) -> Reply | Snapshot:
        self.asked = self.asked or time.perf_counter()
        return await self._core.run(turn)


async def _resume(place: Path, name: str) -> float:
    """Seconds from the start of a kernel to the first new call of an agent that had made a thousand."""
    journal = place / name
    async with ProcessHost(place / "logs", [place], hash_seed=1) as host:
        async with _opened(journal, host, _Ear(), durable=True) as run:
            await _whole(run, LONG + 10)
        _cut(journal, LONG)
        (record,) = runs(journal)
        ear, began = _Ear(), time.perf_counter()
        async with _opened(journal, host, ear, durable=True, resume=record) as run:
            await run.submit(Wait(pid=1))
        return ear.asked - began


def _cut(journal: Path, calls: int) -> None:
    """Leave the record of a run as if its kernel had died after so many calls."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        (seq,) = db.execute(
            "SELECT seq FROM event WHERE kind = 'done' AND pid = 1 ORDER BY seq LIMIT 1 OFFSET ?", (calls - 1,)
        ).fetchone()
        db.execute("DELETE FROM event WHERE seq > ?", (seq,))
        db.execute("UPDATE run SET ended = NULL, last = ?", (seq,))
        db.execute("UPDATE boot SET ended = NULL, os_pid = ?", (GONE,))


@asynccontextmanager
async def _opened(
    journal: Path, host: ProcessHost, core: Core, *, durable: bool, resume: RunRecord | None = None
) -> AsyncIterator[Run]:
    async with SqliteJournal(journal) as kept:
        old = past((await kept.reopen(resume)).events()) if resume else None
        settings = RunSettings(
            host,
            id="run",
            durable=durable,
            past=old,
            disk="effects" if durable else "off",
            facts={"run": "run"},
        )
        lane = Lane("llm", core, Fifo(), 64)
        async with Kernel([lane], by_family, kept) as kernel, kernel.open(settings) as run:
            yield run


async def _restart(path: Path, calls: int) -> float:
    """Seconds that a kernel takes to start on the record of one that died with many calls made."""
    async with SqliteJournal(path) as journal:
        for event in _story(calls):
            await journal.room()
            journal.record(event)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE run SET ended = NULL")
        db.execute("UPDATE boot SET ended = NULL, os_pid = ?", (GONE,))
    began = time.perf_counter()
    async with SqliteJournal(path):
        return time.perf_counter() - began


def _story(calls: int) -> Iterator[Event]:
    """A run whose process has made so many calls, the last of which goes on."""
    yield Event(0.0, Kind.RUN, 0, 0, {"run": "r"}, run="r")
    yield Event(0.0, Kind.SPAWNED, 1, 0, {"program": "caller", "task": "", "parent": 0}, run="r")
    for n in range(1, calls + 1):
        data = {"name": "llm.chat", "call": {"messages": [{"role": "user", "content": "hello"}]}}
        yield Event(0.1, Kind.ACCEPTED, 1, n, data, run="r")
        if n < calls:
            yield Event(0.2, Kind.DONE, 1, n, {"tokens": 1, "reply": {"text": "ok"}}, run="r")
