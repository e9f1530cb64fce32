"""What of a call's latency is whose: the same call with one part of the kernel after the other left out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio
import anyio.lowlevel

from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Route, RoutedCall, Turn, by_family, lone_run
from aios.kernel.core import Core
from aios.models.scripted import ScriptedModel
from aios.record import Journal, MemoryJournal, SqliteJournal
from aios.scheduler import Fifo
from aios_syscalls import Chat, ChatReply, Message, Reply

CALL = Chat(messages=(Message(role="user", content="hello"),))
REPLY = ChatReply(text="ok")
TURNS = 7
"""Of each variant, of which the least median counts: what else runs can only add."""


class _NoModel:
    """Has its reply ready."""

    async def run(self, _turn: Turn) -> Reply:
        return REPLY


async def _no_lane(_passage: RoutedCall) -> Reply:
    return REPLY


async def parts(path: Path, calls: int) -> dict[str, float]:
    """Microseconds of each part of a call that does nothing, one call at a time."""
    model = LlmCore(ScriptedModel(lambda _chat: "ok", record=0))
    variants: Mapping[str, Callable[[], Awaitable[float]]] = {
        "full": lambda: _kernel(SqliteJournal(path), model, by_family, calls),
        "no_journal": lambda: _kernel(MemoryJournal(), model, by_family, calls),
        "no_model": lambda: _kernel(MemoryJournal(), _NoModel(), by_family, calls),
        "no_lane": lambda: _kernel(MemoryJournal(), _NoModel(), _no_lane, calls),
        "pass": lambda: _median(anyio.lowlevel.checkpoint, calls),
    }
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(TURNS):
        for name, run in variants.items():
            taken[name].append(await run())
    least = {name: min(each) * 1e6 for name, each in taken.items()}
    return {
        "part_journal_us": least["full"] - least["no_journal"],
        "part_model_us": least["no_journal"] - least["no_model"],
        "part_lane_us": least["no_model"] - least["no_lane"],
        "part_kernel_us": least["no_lane"] - least["pass"],
        "part_pass_us": least["pass"],
    }


async def _kernel(journal: Journal, core: Core, route: Route, calls: int) -> float:
    async with (
        journal,
        lone_run([Lane("llm", core, Fifo(), 8, meter=ChatMeter())], route, TaskHost(), journal) as kernel,
    ):
        return await _median(lambda: kernel.submit(CALL), calls)


async def _median(call: Callable[[], Awaitable[object]], calls: int) -> float:
    latencies = []
    for _ in range(calls):
        began = time.perf_counter()
        await call()
        latencies.append(time.perf_counter() - began)
    return statistics.median(latencies)
