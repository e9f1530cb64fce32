"""A kernel whose cores a test opens and closes by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from aios.context import Snapshot
from aios.cores.chat_meter import ChatMeter
from aios.hosts.program import Main
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Limits, Route, Run, Turn, by_family, lone_run
from aios.kernel.account import UNLIMITED
from aios.record import History, MemoryJournal
from aios.scheduler import Fifo, Quantum, SchedulingPolicy
from aios_syscalls import Budget, Chat, ChatReply, Message, Reply, Usage


class Position(Snapshot):
    """Where a counted generation stands."""

    def __init__(self, core: CountingCore, tokens: int) -> None:
        self.tokens = tokens
        self._core = core
        core.held += 1

    def take(self) -> int:
        self._core.held -= 1
        return self.tokens

    def drop(self) -> None:
        self._core.held -= 1
        self._core.dropped += 1


class CountingCore:
    """Generates max_tokens tokens, one a tick of `tick_s`; notes each slice as (prompt, first, last)."""

    def __init__(self, tick_s: float = 0.0) -> None:
        self.tick_s = tick_s
        self.slices: list[tuple[str, int, int]] = []
        self.running = 0
        self.most = 0
        self.held = 0
        self.dropped = 0

    async def run(self, turn: Turn) -> Reply | Snapshot:
        call = turn.call
        assert isinstance(call, Chat)
        first = turn.snapshot.take() if isinstance(turn.snapshot, Position) else 0
        last = call.max_tokens if turn.budget is None else min(call.max_tokens, first + turn.budget)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await anyio.sleep(self.tick_s * (last - first))
        finally:
            self.running -= 1
        self.slices.append((call.messages[0].content, first, last))
        if last < call.max_tokens:
            return Position(self, last)
        return ChatReply(text="done", usage=Usage(completion_tokens=last))


class Bench:
    """The run of a kernel with one model lane, and what happened in it."""

    def __init__(self, run: Run, lane: Lane, journal: MemoryJournal) -> None:
        self.run = run
        self.lane = lane
        self.events = journal.events

    @property
    def history(self) -> History:
        return History.of(self.events)


Open = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def opened() -> Open:
    @asynccontextmanager
    async def open_kernel(
        core: Any,
        scheduler: SchedulingPolicy | None = None,
        width: int = 1,
        limits: Limits | None = None,
        route: Route = by_family,
        budget: Budget = UNLIMITED,
        budgets: Mapping[str, Budget] | None = None,
        quantum: Quantum | None = None,
        **mains: Main,
    ) -> AsyncIterator[Bench]:
        lane = Lane("llm", core, Fifo() if scheduler is None else scheduler, width, quantum, meter=ChatMeter())
        journal = MemoryJournal()
        opening = lone_run(
            [lane],
            route,
            TaskHost(mains=mains),
            journal,
            limits=limits or Limits(),
            budget=budget,
            budgets=budgets or {},
        )
        async with opening as run:
            yield Bench(run, lane, journal)

    return open_kernel


@pytest.fixture
def counting() -> type[CountingCore]:
    return CountingCore


Say = Callable[..., Chat]


@pytest.fixture
def say() -> Say:
    def make(text: str = "hi", tokens: int = 1, **fields: Any) -> Chat:
        return Chat(messages=(Message(role="user", content=text),), max_tokens=tokens, **fields)

    return make
