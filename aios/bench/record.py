"""The record of runs: what listing takes that reads no payload, beside a gigabyte of payloads and over many events."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio

from aios.bench import Report, at_least, at_most
from aios.bench.paired import median_interval
from aios.config import journal_path
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, by_family, lone_run
from aios.models.scripted import ScriptedModel
from aios.python import module_command
from aios.record import Event, History, Kind, SqliteJournal, runs
from aios.scheduler import Fifo
from aios.sdk import Agent
from aios_syscalls import Spawn, Wait

PROMPT = 512 * 1024
"""Bytes of a prompt, which is a payload of its call's first event."""
SHORT = 64
"""Bytes of one that is none."""
CALLS = 127
"""Of each process: 63.5 MiB of payloads, and a process may have 64 on record."""
PROCESSES = 16
"""Whose payloads come to 0.99 GiB."""
RUNS, EVENTS = 100, 10_000
"""Runs in a journal, and events of each."""
LEAST_EVENTS = 5
"""The run's own, and of each of its two processes that it begins and ends."""


def main(quick: bool) -> Report:
    """`aios ps` of a run with payloads and of the same run without, in turns; `aios runs` over a million events."""
    processes, pairs, events = (1, 5, 100) if quick else (PROCESSES, 40, EVENTS)
    with tempfile.TemporaryDirectory(prefix="aios-bench-") as directory:
        large, small, many = (Path(directory, name) for name in ("large", "small", "many"))
        anyio.run(_run, large, processes, PROMPT)
        anyio.run(_run, small, processes, SHORT)
        took = [_pair(partial(_seconds, "ps"), large, small, number) for number in range(pairs)]
        reads = [_pair(_reading, large, small, number) for number in range(pairs)]
        anyio.run(_many, many, events)
        listed = statistics.median(_seconds("runs --limit 0", many) for _ in range(5))
        figures = {
            **_ratios("ps", took),
            **_ratios("read", reads),
            "payload_gib": (_bytes(large) - _bytes(small)) / 2**30,
            "runs_s": listed,
            "runs_events": float(RUNS * events),
        }
    full = [] if quick else [at_least("payload_gib", 0.98), at_least("runs_events", 1_000_000)]
    return Report.of(
        "record", figures, [at_most("ps_ratio", 1.05), at_most("read_ratio", 1.1), at_most("runs_s", 2.0), *full]
    )


def _pair(measure: Callable[[Path], float], large: Path, small: Path, number: int) -> tuple[float, float]:
    """What is measured with payloads and without, in turns first: the second may find more in the machine's caches."""
    if number % 2:
        without = measure(small)
        return measure(large), without
    return measure(large), measure(small)


def _ratios(name: str, took: list[tuple[float, float]]) -> Mapping[str, float]:
    ratios = [with_payloads / without for with_payloads, without in took]
    low, high = median_interval(ratios)
    return {
        f"{name}_ratio": statistics.median(ratios),
        f"{name}_ratio_from": low,
        f"{name}_ratio_to": high,
        f"{name}_payloads_s": statistics.median(with_payloads for with_payloads, _ in took),
        f"{name}_s": statistics.median(without for _, without in took),
    }


def _journal(home: Path) -> Path:
    return home / "state" / journal_path().name


def _bytes(home: Path) -> int:
    return sum(path.stat().st_size for path in _journal(home).parent.iterdir())


def _seconds(words: str, home: Path) -> float:
    """What a command over the record of a home takes, from its start to its end."""
    command = [*module_command("aios"), *words.split(), "--json"]
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, "AIOS_HOME": str(home)}, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _reading(home: Path) -> float:
    """What `aios ps` takes of that to read its run, when all else that it does at its start is left out."""
    began = time.perf_counter()
    (run,) = runs(_journal(home))
    History.of(run.events(payloads=False), calls=False)
    return time.perf_counter() - began


async def _run(home: Path, processes: int, size: int) -> None:
    """Put a run on record whose processes chat with prompts of this size, no two of which are the same."""
    dice = random.Random(size)

    async def caller(agent: Agent, _task: str) -> str:
        for _ in range(CALLS):
            await agent.chat(dice.randbytes(size // 2).hex())
        return ""

    lane = Lane("llm", LlmCore(ScriptedModel("ok", record=0)), Fifo(), 8)
    async with SqliteJournal(_journal(home)) as journal:
        host = TaskHost(mains={"caller": caller})
        async with lone_run([lane], by_family, host, journal, facts=_facts("run")) as kernel:
            for _ in range(processes):
                pid = (await kernel.submit(Spawn(program="caller"))).pid
                await kernel.submit(Wait(pid=pid))


async def _many(home: Path, events: int) -> None:
    """Put runs of this many events each on record."""
    async with SqliteJournal(_journal(home)) as journal:
        for number in range(RUNS):
            for event in _events(f"run-{number:03}", 2 * number + 1, events):
                await journal.room()
                journal.record(event)


def _events(run: str, pid: int, count: int) -> Iterator[Event]:
    """What a run of two processes has on record, which call in turns."""
    yield Event(0.0, Kind.RUN, 0, 0, _facts(run), run=run)
    for each in (pid, pid + 1):
        yield Event(0.0, Kind.SPAWNED, each, 0, {"program": "caller", "task": "", "parent": 0}, run=run)
    for n in range((count - LEAST_EVENTS) // 2 + 1):
        data = {"name": "llm.chat", "call": {"messages": [{"role": "user", "content": "hello"}]}}
        yield Event(0.1, Kind.ACCEPTED, pid + n % 2, n, data, run=run)
        yield Event(0.2, Kind.DONE, pid + n % 2, n, {"tokens": 1, "reply": {"text": "ok"}}, run=run)
    for each in (pid, pid + 1):
        yield Event(1.0, Kind.EXITED, each, 0, {"state": "done", "result": "", "error": None}, run=run)


def _facts(run: str) -> Mapping[str, object]:
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"run": run, "began": began, "os_pid": os.getpid(), "scheduler": "fifo", "slice": None, "models": {}}
