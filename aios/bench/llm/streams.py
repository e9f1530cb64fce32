"""Streams that write together, against a bare loop that steps as many sequences: what the engine itself costs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from aios.bench.chart import Chart
from aios.bench.llm.ours import kernel_over, loaded, say, streams
from aios.bench.llm.peers import Peer, cores
from aios.bench.llm.workload import chats, steady
from aios.kernel import Kernel
from aios.models.local.process import THREADS
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
    settings = {"model": str(model), "slots": SLOTS, "context": CONTEXT, "threads": cores()}
    async with loaded(model, SLOTS, CONTEXT) as local, kernel_over(local) as kernel:
        # The same threads as the worker's, so that what differs is the engine's own work.
        async with Peer.started("bare", settings, environment=THREADS) as bare:
            number = 0
            for round in range(rounds):
                for count in counts:
                    asked, number = chats(number, count, tokens, SYSTEM), number + count
                    say(f"{count} streams, ours and a bare loop, round {round + 1}")
                    mine, depths = await _ours(kernel, asked)
                    theirs = await _bare(bare, asked, tokens, depths)
                    rates[OURS, count].append(mine)
                    rates[BARE, count].append(theirs)
    share = [mine / theirs for mine, theirs in zip(rates[OURS, SLOTS], rates[BARE, SLOTS], strict=True)]
    found = {f"streams{count}_{name}_tokens_per_s": statistics.median(each) for (name, count), each in rates.items()}
    return {f"bare_loop_share_{SLOTS}": statistics.median(share), **found}


async def _ours(kernel: Kernel, asked: Sequence[Chat]) -> tuple[float, tuple[float, float]]:
    """Tokens a second while all write, and how deep in their texts they were then, on average: from and to."""
    found, _ = await streams(kernel, asked)
    emitted, written = [each.emitted for each in found], [each.written for each in found]
    begin, end, rate = steady(emitted, written)

    def depth(at: float) -> float:
        prompts = sum(each.reply.usage.prompt_tokens for each in found if each.reply)
        seen = sum(
            total * sum(time <= at for time in times) / len(times)
            for times, total in zip(emitted, written, strict=True)
        )
        return (prompts + seen) / len(found)

    return rate, (depth(begin), depth(end))


async def _bare(bare: Peer, asked: Sequence[Chat], tokens: int, depths: tuple[float, float]) -> float:
    """The bare loop's tokens a second at these depths."""
    answer = await bare.ask({"chats": [chat.model_dump(mode="json") for chat in asked], "steps": tokens})
    begin, end = (round(depth - answer["depth"]) for depth in depths)
    steps = answer["steps"][max(0, begin - 1) : end] or answer["steps"]
    return float(len(asked) * len(steps) / sum(steps))
