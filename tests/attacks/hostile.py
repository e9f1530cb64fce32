"""Hostile agents on a real kernel: processes of their own, and a record on the disk."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.process import ProcessHost
from aios.kernel import Lane, Limits, Run, by_family, lone_run
from aios.models.scripted import ScriptedModel
from aios.record import SqliteJournal
from aios.scheduler import Fifo
from aios_syscalls import ProcessInfo, Spawn, Wait

HEAD = """
import json, os, sys
from anyio import sleep
from aios.sdk import Agent, gather
from aios_syscalls import *

async def main(agent: Agent, task: str) -> str:
"""


@asynccontextmanager
async def kernel_with(place: Path, programs: Mapping[str, str], limits: Limits = Limits()) -> AsyncIterator[Run]:  # noqa: B008 - frozen
    """A kernel whose agents are these bodies of `main`, and whose record is `place`/journal.db."""
    directory = place / "agents"
    directory.mkdir()
    for name, body in programs.items():
        (directory / f"{name}.py").write_text(HEAD + textwrap.indent(textwrap.dedent(body), "    "))
    model = ScriptedModel(lambda _chat: "ok")
    async with SqliteJournal(place / "journal.db") as journal, ProcessHost(place / "logs", [directory]) as host:
        async with lone_run(
            [Lane("llm", LlmCore(model), Fifo(), 4, meter=ChatMeter())], by_family, host, journal, limits=limits
        ) as kernel:
            yield kernel


async def run(kernel: Run, program: str, task: str = "") -> ProcessInfo:
    """How a program ended that the user started."""
    return await ended(kernel, await start(kernel, program, task))


async def start(kernel: Run, program: str, task: str = "") -> int:
    """Start a program as the user; its pid."""
    return (await kernel.submit(Spawn(program=program, task=task))).pid


async def ended(kernel: Run, pid: int) -> ProcessInfo:
    """How a process ended."""
    return (await kernel.submit(Wait(pid=pid))).process
