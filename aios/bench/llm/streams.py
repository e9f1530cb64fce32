"""Streams that write together, against a bare loop that steps as many sequences: what the engine itself costs."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from operator import ge
from pathlib import Path

import anyio

from aios.bench.chart import Chart
from aios.bench.llm.ours import kernel_over, loaded, say
from aios.bench.llm.peers import PeerProcess, cores
from aios.bench.llm.workload import chats
from aios.kernel import Run
from aios.models.local.supervisor.client import LocalModel
from aios.models.local.supervisor.process import THREADS
from aios_syscalls import Chat

SLOTS, CONTEXT = 32, 256
COUNTS = (1, 2, 4, 8, 16, 32)
SYSTEM = "You write stories."
OURS, BARE = "ours", "bare_loop"
CHART = Chart(
    "streams that write together",
    "tokens/s of all",
    {name: {str(count): f"streams{count}_{name}_tokens_per_s" for count in COUNTS} for name in (OURS, BARE)},
    "line",
)


async def measure(model: Path, tokens: int, rounds: int, counts: Sequence[int] = COUNTS) -> dict[str, float | None]:
    """Figures; medians over the rounds, in which both have the same prompts and are compared at the same depths."""
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    async with loaded(model, SLOTS, CONTEXT) as local, kernel_over(local) as kernel:
        lone = local.info.get("threads", {}).get("one", cores())
        settings = {"model": str(model), "slots": SLOTS, "context": CONTEXT, "threads": cores(), "lone": lone}
        # The same threads as the worker's, so that what differs is the engine's own work.
        async with PeerProcess.started("bare", settings, environment=THREADS) as bare:
            number = 0
            for round in range(rounds):
                for count in counts:
                    asked, number = chats(number, count, CONTEXT, SYSTEM), number + count
                    say(f"{count} streams, ours and a bare loop, round {round + 1}")
                    mine, window = await _ours(local, kernel, asked, tokens)
                    theirs = await _bare(bare, asked, window)
                    rates[OURS, count].append(mine)
                    rates[BARE, count].append(theirs)
    share = [mine / theirs for mine, theirs in zip(rates[OURS, SLOTS], rates[BARE, SLOTS], strict=True)]
    found = {f"streams{count}_{name}_tokens_per_s": statistics.median(each) for (name, count), each in rates.items()}
    return {f"bare_loop_share_{SLOTS}": statistics.median(share), **found}


async def _ours(model: LocalModel, kernel: Run, asked: Sequence[Chat], tokens: int) -> tuple[float, range]:
    """Tokens a second of all, from when all write until each has written `tokens` more; and which tokens those were."""
    emitted, goals, reached = [0] * len(asked), [1] * len(asked), anyio.Event()

    async def write(number: int, chat: Chat) -> None:
        def hear(_text: str) -> None:
            emitted[number] += 1
            if all(map(ge, emitted, goals)):
                reached.set()

        await kernel.submit(chat, hear)
        reached.set()  # one that ends early must not be waited for

    before = await model.stats()
    async with anyio.create_task_group() as tasks:
        for number, chat in enumerate(asked):
            tasks.start_soon(write, number, chat)
        await reached.wait()
        first, began = await model.stats(), time.perf_counter()
        goals, reached = [each + tokens for each in emitted], anyio.Event()
        await reached.wait()
        last, ended = await model.stats(), time.perf_counter()
        tasks.cancel_scope.cancel()
    begin, end = ((stats["written_tokens"] - before["written_tokens"]) / len(asked) for stats in (first, last))
    return (end - begin) * len(asked) / (ended - began), range(round(begin), max(round(end), round(begin) + 1))


async def _bare(bare: PeerProcess, asked: Sequence[Chat], window: range) -> float:
    """The bare loop's tokens a second for the same tokens of each."""
    answer = await bare.ask({"chats": [chat.model_dump(mode="json") for chat in asked], "steps": window.stop})
    steps = answer["steps"][window.start :]
    return float(len(asked) * len(steps) / sum(steps))
