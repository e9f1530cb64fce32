"""Our side: the local model behind a kernel, as in a run, and what is done with it."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from aios.bench.llm.workload import Script
from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts import Main
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Run, by_family, lone_run
from aios.models.local.supervisor.client import LocalModel
from aios.record import SqliteJournal
from aios.scheduler import Fifo, SchedulingPolicy
from aios_syscalls import Chat, ChatReply

DEADLINE_S = 3600.0


def say(text: str) -> None:
    """Tell on stderr what is being done."""
    print(f"aios bench llm: {text}", file=sys.stderr, flush=True)


def loaded(path: Path, slots: int, context: int, **settings: Any) -> LocalModel:
    """The model of a file as it is, not started yet."""
    return LocalModel(path, name="bench", slots=slots, context=context, requantize=False, **settings)


@asynccontextmanager
async def kernel_over(
    model: LocalModel, scheduler: SchedulingPolicy | None = None, mains: Mapping[str, Main] | None = None
) -> AsyncIterator[Run]:
    """A kernel with a lane for a running model and a journal, as `aios run` has them; FIFO by default."""
    with tempfile.TemporaryDirectory() as directory:
        async with SqliteJournal(Path(directory) / "journal.db") as journal:
            lane = Lane(
                "llm", LlmCore(model), Fifo() if scheduler is None else scheduler, model.slots, meter=ChatMeter()
            )
            async with lone_run([lane], by_family, TaskHost(mains=mains), journal) as kernel:
                yield kernel


@dataclass(slots=True)
class TimedStream:
    """One call: when pieces of its text came, and its reply."""

    emitted: list[float] = field(default_factory=list)
    reply: ChatReply | None = None

    @property
    def written(self) -> int:
        """Tokens."""
        return self.reply.usage.completion_tokens if self.reply else 0


async def submit(kernel: Run, chat: Chat, stream: TimedStream) -> ChatReply:
    """Run a call and note when its text comes."""
    call = chat.model_copy(update={"deadline_s": DEADLINE_S})
    stream.reply = await kernel.submit(call, lambda _text: stream.emitted.append(time.perf_counter()))
    return stream.reply


async def streams(kernel: Run, chats: Sequence[Chat]) -> tuple[list[TimedStream], float]:
    """Run calls together; each one's stream, and seconds for all."""
    found = [TimedStream() for _ in chats]
    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for chat, stream in zip(chats, found, strict=True):
            tasks.start_soon(submit, kernel, chat, stream)
    return found, time.perf_counter() - began


async def converse(kernel: Run, scripts: Sequence[Script]) -> tuple[list[list[ChatReply]], float]:
    """Run agents together, each with its turns one after the other; their replies, and seconds for all."""
    replies: list[list[ChatReply]] = [[] for _ in scripts]

    async def agent(script: Script, said: list[ChatReply]) -> None:
        for _ in script.says:
            call = script.chat([reply.text for reply in said])
            said.append(await kernel.submit(call.model_copy(update={"deadline_s": DEADLINE_S})))

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for script, said in zip(scripts, replies, strict=True):
            tasks.start_soon(agent, script, said)
    return replies, time.perf_counter() - began


def rate(streams: Sequence[TimedStream], seconds: float) -> float:
    """Tokens written a second."""
    return sum(stream.written for stream in streams) / seconds
