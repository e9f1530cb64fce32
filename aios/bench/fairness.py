"""How long a short call waits behind more long ones than there are slots: round robin against FIFO."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import anyio
import anyio.lowlevel

from aios.bench import Report, at_most
from aios.boot import make_models
from aios.config import Config
from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, by_family, lone_run
from aios.models import Backend
from aios.record import Event, History, Kind, SqliteJournal
from aios.scheduler import Fifo, RoundRobin, SchedulingPolicy
from aios_syscalls import Chat, Message

SLICE = 16


def main(quick: bool) -> Report:
    """First token of a short call queued last, behind twice as many long ones as slots."""
    figures = anyio.run(_measure, 64 if quick else 192)
    return Report.of("fairness", figures, [at_most("round_robin_slices_before", figures["jobs_per_slot"])])


async def _measure(tokens: int) -> dict[str, float]:
    (model,) = make_models(Config())
    async with model:
        fifo, _ = await _first_token(model, Fifo(), tokens)
        robin, slices = await _first_token(model, RoundRobin(SLICE), tokens)
    return {
        "fifo_first_token_s": fifo,
        "round_robin_first_token_s": robin,
        "fifo_vs_round_robin": fifo / robin,
        "jobs_per_slot": 2.0,
        "round_robin_slices_before": slices,
    }


async def _first_token(model: Backend, scheduler: SchedulingPolicy, tokens: int) -> tuple[float, float]:
    """Seconds until the short call's first token, and how many slices each slot ran before it got its turn."""
    events: list[Event] = []
    with tempfile.TemporaryDirectory() as directory:
        async with SqliteJournal(Path(directory) / "journal.db") as journal:
            lane = Lane("llm", LlmCore(model), scheduler, model.slots, meter=ChatMeter())
            opening = lone_run([lane], by_family, TaskHost(), journal, observers=[events.append])
            async with opening as kernel, anyio.create_task_group() as tasks:
                for number in range(2 * model.slots):
                    tasks.start_soon(kernel.submit, _chat(f"Tell a very long story, number {number}.", tokens))
                while lane.waiting + lane.running < 2 * model.slots:
                    await anyio.lowlevel.checkpoint()
                began = time.perf_counter()
                waits: list[float] = []
                await kernel.submit(_chat("Say hello.", 4), lambda _text: waits.append(time.perf_counter() - began))
                tasks.cancel_scope.cancel()
    short = max(History.of(events).calls)
    turn = next(at for at, event in enumerate(events) if event.id == short and event.kind is Kind.STARTED)
    arrival = next(at for at, event in enumerate(events) if event.id == short)
    before = sum(event.kind is Kind.STARTED for event in events[arrival:turn])
    return waits[0], before / model.slots


def _chat(prompt: str, tokens: int) -> Chat:
    return Chat(messages=(Message(role="user", content=prompt),), max_tokens=tokens)
