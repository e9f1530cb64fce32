"""What it costs to take turns: one switch between long generations, and a whole run under round robin."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from aios.bench.llm.ours import kernel_over, loaded, rate, say, streams
from aios.bench.llm.workload import chats, long_chat
from aios.config import SchedulerConfig
from aios.context import Snapshot
from aios.models.local.supervisor.client import LocalModel
from aios.scheduler import Fifo, RoundRobin
from aios_syscalls import Chat, KernelBug

CONTEXT, SENTENCES = 2048, 116
"""So many sentences are about 1880 tokens; the slices add 100."""
SLICE = 4
SYSTEM = "You write stories."
SLOTS = 8


async def switch(model: Path, switches: int, sentences: int = SENTENCES) -> dict[str, float | None]:
    """What a pause of one generation and the resumption of another from memory add to a slice of a few tokens."""
    async with loaded(model, 1, CONTEXT) as local:
        say("switching between two long generations, reading them")
        one, other = [await _begin(local, long_chat(4000 + number, sentences, 1000)) for number in range(2)]
        before = await local.stats()
        plain: list[float] = []
        switched: list[float] = []
        say(f"switching between two long generations, {switches} times")
        for _ in range(switches // 2):
            # The first slice of each has its state brought back, the second finds it there.
            for times in (switched, plain):
                one = await _slice(local, one, times)
            for times in (switched, plain):
                other = await _slice(local, other, times)
        after = await local.stats()
    if after["memory_hits"] - before["memory_hits"] < len(switched):
        raise KernelBug("not every state came from memory: what was measured was no switch; please report this")
    return {
        "switch_2k_ms": (statistics.median(switched) - statistics.median(plain)) * 1e3,
        "slice_without_switch_ms": statistics.median(plain) * 1e3,
    }


Paused = tuple[Chat, Snapshot]


async def _begin(model: LocalModel, chat: Chat) -> Paused:
    outcome = await model.generate(chat, None, SLICE, lambda _text: None)
    return chat, _paused(outcome)


async def _slice(model: LocalModel, paused: Paused, times: list[float]) -> Paused:
    chat, snapshot = paused
    began = time.perf_counter()
    outcome = await model.generate(chat, snapshot, SLICE, lambda _text: None)
    times.append(time.perf_counter() - began)
    return chat, _paused(outcome)


def _paused(outcome: object) -> Snapshot:
    if not isinstance(outcome, Snapshot):
        raise KernelBug("a long generation ended before it was paused; please report this")
    return outcome


async def round_robin(model: Path, tokens: int, rounds: int) -> dict[str, float | None]:
    """Throughput of twice as many long generations as slots, FIFO and round robin at the default slice."""
    slice = int(SchedulerConfig().slice)
    fifo: list[float] = []
    robin: list[float] = []
    async with loaded(model, SLOTS, 512) as local:
        for round in range(rounds):
            for scheduler, rates in ((Fifo(), fifo), (RoundRobin(slice), robin)):
                say(f"{2 * SLOTS} long generations on {SLOTS} slots, {type(scheduler).__name__}, round {round + 1}")
                async with kernel_over(local, scheduler) as kernel:
                    # Other words for each, so that neither has its prompts read by the other.
                    first = (2 * round + (rates is robin)) * 2 * SLOTS
                    rates.append(rate(*await streams(kernel, chats(first, 2 * SLOTS, tokens, SYSTEM))))
    return {
        "round_robin_cost": 1 - statistics.median(robin) / statistics.median(fifo),
        "fifo_tokens_per_s": statistics.median(fifo),
        "round_robin_tokens_per_s": statistics.median(robin),
    }
