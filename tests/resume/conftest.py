"""A durable run whose record can be cut anywhere and gone on with: real processes, a real journal, a real store."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios.cores.file import FileCore
from aios.cores.tool import ToolCore
from aios.hosts.process import ProcessHost
from aios.kernel import Kernel, Lane, Limits, Run, RunSettings, Turn, by_family
from aios.record import RunRecord, SqliteJournal, past, runs
from aios.scheduler import Fifo
from aios.tools.registry import ToolBox
from aios.tools.tool import tool
from aios.wall.agent import Walls
from aios_storage import Library
from aios_syscalls import Chat, ChatReply, Reply, Spawn, Usage, Wait

GONE = 2**22 - 1
"""A process number that no kernel has had for long."""


class EchoCore:
    """Answers with a hash of the prompt after a while that the prompt decides; one that says `slow` never."""

    def __init__(self, scale_s: float = 0.004) -> None:
        self.scale_s = scale_s
        self.asked: list[str] = []

    async def run(self, turn: Turn) -> Reply:
        call = turn.call
        assert isinstance(call, Chat)
        prompt = call.messages[-1].content
        assert isinstance(prompt, str)
        self.asked.append(prompt)
        digest = hashlib.sha256(prompt.encode()).hexdigest()
        await anyio.sleep(1_000 if "slow" in prompt else int(digest[0], 16) * self.scale_s / 16)
        pieces = [digest[at : at + 4] for at in range(8, 24, 4)]
        for piece in pieces:
            turn.emit(piece)
            await anyio.sleep(self.scale_s / 16)
        return ChatReply(text="".join(pieces), usage=Usage(prompt_tokens=3, completion_tokens=4))


@dataclass
class Bench:
    """Runs one program durably, cuts its record, and goes on from there."""

    place: Path
    walls: Walls = field(default_factory=lambda: Walls(level="off"))
    hash_seed: int = 1
    core: EchoCore = field(default_factory=EchoCore)
    files: Path = field(init=False)

    def __post_init__(self) -> None:
        self.files = self.place / "files"
        self.files.mkdir(exist_ok=True)

    def program(self, name: str, source: str) -> None:
        (self.place / f"{name}.py").write_text(source)

    @property
    def host(self) -> ProcessHost:
        return ProcessHost(self.place / "logs", [self.place], self.walls, self.hash_seed)

    @asynccontextmanager
    async def opened(
        self, journal: Path, host: ProcessHost, resume: RunRecord | None = None, **more: Any
    ) -> AsyncIterator[Run]:
        """A durable run on a kernel of its own, new or resumed."""

        @tool
        def count(name: str) -> int:
            """Adds a line to a file outside of the store, and says how many it has."""
            with (self.place / name).open("a") as file:
                file.write("x\n")
            return len((self.place / name).read_text().split())

        files = FileCore(lambda: Library(self.files), "run")
        lanes = [
            Lane("llm", self.core, Fifo(), 4),
            Lane("tool", ToolCore(ToolBox([count], self.walls)), Fifo()),
            Lane("file", files, Fifo()),
        ]
        async with SqliteJournal(journal) as kept:
            old = None
            if resume is not None:
                old = past((await kept.reopen(resume)).events())
            settings = RunSettings(
                host,
                id="run",
                durable=True,
                disk="effects",
                past=old,
                age_s=time.time() - resume.began if resume else 0.0,
                limits=Limits(**more),
                facts={"run": "run"},
            )
            try:
                async with Kernel(lanes, by_family, kept) as kernel, kernel.open(settings) as run:
                    yield run
            finally:
                files.close()

    async def whole(self, journal: Path, host: ProcessHost, program: str, task: str = "") -> str:
        """The result of a program that nothing disturbs."""
        async with self.opened(journal, host) as run:
            pid = (await run.submit(Spawn(program=program, task=task))).pid
            return await result(run, pid)

    async def resumed(self, journal: Path, host: ProcessHost, pid: int) -> str:
        """The result of a process of the run in a journal, which goes on."""
        (record,) = runs(journal)
        async with self.opened(journal, host, record) as run:
            return await result(run, pid)


async def result(run: Run, pid: int) -> str:
    """How a process ended: its result, or its error."""
    process = (await run.submit(Wait(pid=pid))).process
    return process.result if process.result is not None else f"{process.error}"


def cut(journal: Path, into: Path, seq: int) -> Path:
    """A copy of a journal as it was when its kernel died after event `seq`."""
    shutil.copy(journal, into)
    with closing(sqlite3.connect(into, isolation_level=None)) as db:
        db.execute("DELETE FROM event WHERE seq > ?", (seq,))
        db.execute("DELETE FROM payload WHERE seq > ?", (seq,))
        db.execute("UPDATE run SET ended = NULL, last = ?", (seq,))
        db.execute("UPDATE boot SET ended = NULL, os_pid = ?", (GONE,))
    return into


def places(journal: Path, kinds: str, where: str = "true") -> list[int]:
    """The places of all events of these kinds, and of which this holds, both given as SQL."""
    with closing(sqlite3.connect(journal)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return [seq for (seq,) in db.execute(f"SELECT seq FROM event WHERE kind IN ({kinds}) AND {where} ORDER BY seq")]


def first_pid(journal: Path) -> int:
    with closing(sqlite3.connect(journal)) as db:
        return int(db.execute("SELECT min(pid) FROM event WHERE kind = 'spawned'").fetchone()[0])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
