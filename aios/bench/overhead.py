"""What the kernel adds to a syscall: a model that answers at once, so that all the time is ours."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.lowlevel
import psutil
from pydantic_core import to_json

from aios.bench import Report, at_least, at_most
from aios.bench.against import Better
from aios.bench.against import against as versus
from aios.bench.overhead_parts import parts
from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Limits, Turn, by_family, lone_run
from aios.models.scripted import ScriptedModel
from aios.record import History, Kind, SqliteJournal, read_events
from aios.scheduler import Fifo
from aios.sdk import Agent
from aios_syscalls import Chat, ChatReply, Message, Reply, Spawn, Wait
from aios_syscalls.port import Port

CALL = Chat(messages=(Message(role="user", content="hello"),))
QUEUED = 10_000
AGENTS = 64
BETTER: Mapping[str, Better] = {
    "noop_latency_p50_ms": "<=",
    "noop_throughput_per_s": ">=",
    "accept_10000_s": "<=",
    "bytes_per_queued": "<=",
}
VERSUS = (
    "q1, q2 and q3 are quartiles over the rounds, the bound is the old checkout's farther one, and a ratio is "
    "the median of the rounds' ratios, new over old"
)


def main(quick: bool, against: Path | None = None) -> Report:
    """Latency of one agent, throughput of 64, and 10,000 calls queued at once; journal on, beside a bare loop.

    Or all that of the checkout in `against` and of this one, in turns.
    """
    if against is not None:
        return Report.of("overhead", *versus("overhead", against, quick, BETTER), notes=[VERSUS])
    calls = 2_000 if quick else 10_000
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        figures = anyio.run(_queue, place / "queue.db")
        figures |= anyio.run(_load, place / "load.db", calls)
        figures |= anyio.run(_bare, place / "bare.db", calls)
        figures |= anyio.run(parts, place / "parts.db", calls // 4)
    return Report.of(
        "overhead",
        figures,
        [
            at_most("noop_latency_p50_ms", 0.15),
            at_least("noop_throughput_per_s", 10_000),
            at_most("accept_10000_s", 2.0),
            at_most("bytes_per_queued", 10_000),
            at_most("lost", 0),
        ],
    )


class _Gate:
    """A core that holds every call until it is opened."""

    def __init__(self) -> None:
        self.open = anyio.Event()

    async def run(self, _turn: Turn) -> Reply:
        await self.open.wait()
        return ChatReply(text="ok")


async def _queue(path: Path) -> dict[str, float]:
    gate = _Gate()
    async with SqliteJournal(path) as journal:
        lane = Lane("llm", gate, Fifo(), 8, meter=ChatMeter())
        async with lone_run([lane], by_family, TaskHost(), journal) as kernel:
            gc.collect()
            before, began = psutil.Process().memory_info().rss, time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for _ in range(QUEUED):
                    tasks.start_soon(kernel.submit, CALL)
                while lane.waiting + lane.running < QUEUED:
                    await anyio.lowlevel.checkpoint()
                accepted = time.perf_counter() - began
                grown = psutil.Process().memory_info().rss - before
                gate.open.set()
    ended = History.of(read_events(path)).kinds[Kind.DONE]
    return {"accept_10000_s": accepted, "bytes_per_queued": grown / QUEUED, "lost": QUEUED - ended}


async def _load(path: Path, calls: int) -> dict[str, float]:
    latencies: list[float] = []

    async def caller(agent: Agent, task: str) -> str:
        for _ in range(int(task)):
            began = time.perf_counter()
            await agent.port.submit(CALL)
            latencies.append(time.perf_counter() - began)
        return ""

    async def agents(port: Port, number: int, each: int) -> float:
        latencies.clear()
        began = time.perf_counter()
        pids = [(await port.submit(Spawn(program="caller", task=str(each)))).pid for _ in range(number)]
        for pid in pids:
            await port.submit(Wait(pid=pid))
        return time.perf_counter() - began

    model = ScriptedModel(lambda _chat: "ok", record=0)
    async with SqliteJournal(path) as journal:
        lane = Lane("llm", LlmCore(model), Fifo(), 8, meter=ChatMeter())
        host = TaskHost(mains={"caller": caller})
        async with lone_run([lane], by_family, host, journal, limits=Limits()) as kernel:
            await agents(kernel.port(0), 1, calls // 10)  # warm
            await agents(kernel.port(0), 1, calls)
            latency = statistics.median(latencies)
            elapsed = await agents(kernel.port(0), AGENTS, calls * 4 // AGENTS)
            throughput = len(latencies) / elapsed
    return {"noop_latency_p50_ms": latency * 1e3, "noop_throughput_per_s": throughput}


async def noop_throughput(path: Path, calls: int) -> float:
    """Calls a second of 64 agents on a model that answers at once."""
    return (await _load(path, calls))["noop_throughput_per_s"]


async def _bare(path: Path, calls: int) -> dict[str, float]:
    """The least that could be called a kernel: frozen call, deque, event, one row a call in batches."""
    queue: deque[tuple[Chat, anyio.Event]] = deque()
    rows: list[tuple[str, str]] = []
    arrived = asyncio.Event()
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE call (request TEXT, reply TEXT)")

    def write(batch: list[tuple[str, str]]) -> None:
        db.execute("BEGIN")
        db.executemany("INSERT INTO call VALUES (?, ?)", batch)
        db.execute("COMMIT")

    async def serve() -> None:
        while True:
            while queue:
                call, done = queue.popleft()
                rows.append((to_json(call).decode(), '{"text":"ok"}'))
                done.set()
            if len(rows) > 1000:
                write(rows)
                rows.clear()
            arrived.clear()
            await arrived.wait()

    latencies: list[float] = []

    async def caller(number: int) -> None:
        for _ in range(number):
            began = time.perf_counter()
            done = anyio.Event()
            queue.append((Chat(messages=CALL.messages), done))
            arrived.set()
            await done.wait()
            latencies.append(time.perf_counter() - began)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await caller(calls)
        latency = statistics.median(latencies)
        began = time.perf_counter()
        async with anyio.create_task_group() as callers:
            for _ in range(AGENTS):
                callers.start_soon(caller, calls * 4 // AGENTS)
        throughput = calls * 4 / (time.perf_counter() - began)
        tasks.cancel_scope.cancel()
    db.close()
    return {"bare_latency_p50_ms": latency * 1e3, "bare_throughput_per_s": throughput}
