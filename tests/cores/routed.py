"""A kernel with a router over the models of a test, which checks at its end what holds for every call."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from aios.context import Snapshot
from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.program import Main
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Run, lone_run
from aios.models.base import NOBODY, Backend, Caller, Emit
from aios.models.scripted import ScriptedModel
from aios.record import CallRecord, Event, History, Kind, MemoryJournal
from aios.routing.dispatch import Dispatch
from aios.routing.forecast import QueueLoad
from aios.routing.retries import Retries
from aios.routing.router import Profile, Router
from aios.routing.strategies import Weights
from aios.scheduler import Fifo, SchedulingPolicy
from aios_syscalls import AiosError, Budget, BudgetExceeded, CallId, Chat, ChatReply, Message


def chat(text: str = "hi", **fields: Any) -> Chat:
    return Chat(messages=(Message(role="user", content=text),), **fields)


class Breaking(ScriptedModel):
    """Says so many words of each answer, then raises the error, unless that is None."""

    def __init__(self, *script: Any, words: int = 1, error: AiosError | None = None, **more: Any) -> None:
        super().__init__(*script, **more)
        self.words, self.error = words, error

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit, caller: Caller = NOBODY
    ) -> ChatReply | Snapshot:
        if self.error is None:
            return await super().generate(chat, snapshot, budget, emit, caller)
        if self.words:
            outcome = await super().generate(chat, snapshot, self.words, emit, caller)
            if isinstance(outcome, Snapshot):
                outcome.drop()
        raise self.error.with_traceback(None)


@dataclass
class Routed:
    """The run of a kernel, its router, and what happened."""

    run: Run
    router: Router
    events: list[Event] = field(default_factory=list)

    async def ask(self, call: Chat, pid: int = 0) -> tuple[str, str]:
        """A chat's answer, and what was emitted."""
        heard: list[str] = []
        reply = await self.run.submit(call, heard.append, pid=pid)
        return reply.text, "".join(heard)

    def kinds(self, call: int = 1) -> list[Kind]:
        return [event.kind for event in self.events if event.n == call]

    def left(self, call: int = 1) -> list[tuple[str, str]]:
        """The models that a call left, and why."""
        found = [event.data for event in self.events if event.kind is Kind.LEFT and event.n == call]
        return [(each["model"], each["why"]) for each in found]

    def record(self, call: int = 1) -> CallRecord:
        return History.of(self.events).calls[CallId(0, call)]

    async def spare(self, resource: str) -> float:
        """What is left of a budget, as a call that asks for too much is told."""
        with pytest.raises(BudgetExceeded) as refused:
            await self.run.submit(chat(max_tokens=10**9))
        assert refused.value.data["resource"] == resource
        return float(refused.value.data["left"])


@asynccontextmanager
async def routed(
    *models: Backend,
    strategy: str = "explicit",
    profiles: Mapping[str, Profile] | None = None,
    weights: Weights | None = None,
    hedge: bool = False,
    budget: Budget | None = None,
    policy: Callable[[], SchedulingPolicy] = Fifo,
    mains: Mapping[str, Main] | None = None,
) -> AsyncIterator[Routed]:
    """As in `aios.boot`, over given models. At the end every call has ended once and every slot is free."""
    async with AsyncExitStack() as stack:
        served = {model.name: await stack.enter_async_context(model) for model in models}
        lanes: dict[str, Lane] = {}

        def load(name: str) -> QueueLoad:
            return QueueLoad(lanes[name].running, lanes[name].waiting, lanes[name].width)

        router = Router(served, strategy, profiles=profiles, weights=weights or Weights(), load=load)
        for name, model in served.items():
            core = LlmCore(model, router.forecast.speeds[name])
            lanes[name] = Lane(f"llm:{name}", core, policy(), model.slots, meter=ChatMeter())
        journal = MemoryJournal()
        dispatch = Dispatch(router, Retries(random.Random(7)), hedge=hedge)
        opening = lone_run(lanes.values(), dispatch, TaskHost(mains=mains), journal, budget=budget or Budget())
        async with opening as run:
            yield Routed(run, router, journal.events)
            for lane in lanes.values():
                assert (lane.running, lane.waiting) == (0, 0)
        assert History.of(journal.events).ended_once()
        for model in models:
            assert not isinstance(model, ScriptedModel) or model.held == 0
