"""A long prompt arrives while others write: how long their next tokens wait for it."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import anyio

from aios.bench.llm.ours import TimedStream, kernel_over, loaded, say, submit
from aios.bench.llm.peers import PeerProcess, cores
from aios.bench.llm.workload import chats, gaps, long_chat, quantile
from aios.kernel import Run
from aios.models.local.supervisor.process import THREADS
from aios_syscalls import Chat

WRITERS, CONTEXT, CHUNK = 7, 2048, 64
SETTLED = 8
"""Tokens of each writer before the prompt comes."""
SYSTEM = "You write stories."
SENTENCES = 92
"""About 1500 tokens."""


async def measure(model: Path, rounds: int, sentences: int = SENTENCES) -> dict[str, float | None]:
    """Figures; medians over the rounds.

    A chunk step is what a bare loop takes for a token of each writer and 64 tokens of the prompt, in the same round:
    not what the engine takes, for an engine that read the whole prompt in one step would be its own excuse.
    """
    highest, middle, quiet, chunks, first = [], [], [], [], []
    settings = {"model": str(model), "slots": WRITERS + 1, "context": CONTEXT, "threads": cores()}
    async with loaded(model, WRITERS + 1, CONTEXT) as local, kernel_over(local) as kernel:
        async with PeerProcess.started("bare", settings, environment=THREADS) as bare:
            for round in range(rounds):
                writers = chats(round * WRITERS, WRITERS, 1000, SYSTEM)
                long = long_chat(3000 + round, sentences, 4)
                say(f"a long prompt arrives, ours, round {round + 1}")
                alone, during, waited = await _arrive(kernel, writers, long)
                say(f"a long prompt arrives, a bare loop's chunk step, round {round + 1}")
                job = {"chats": [chat.model_dump(mode="json") for chat in writers], "chunk": CHUNK}
                steps = (await bare.ask({**job, "long": long.model_dump(mode="json")}))["steps"]
                chunks.append(statistics.median(steps))
                highest.append(quantile(during, 0.99))
                middle.append(statistics.median(during))
                quiet.append(statistics.median(alone))
                first.append(waited)
    ratios = [gap / chunk for gap, chunk in zip(highest, chunks, strict=True)]
    return {
        "long_prompt_gap_ratio": statistics.median(ratios),
        "long_prompt_gap_p99_ms": statistics.median(highest) * 1e3,
        "long_prompt_gap_p50_ms": statistics.median(middle) * 1e3,
        "long_prompt_gap_before_ms": statistics.median(quiet) * 1e3,
        "long_prompt_first_token_s": statistics.median(first),
        "chunk_step_ms": statistics.median(chunks) * 1e3,
    }


async def _arrive(kernel: Run, writers: list[Chat], long: Chat) -> tuple[list[float], list[float], float]:
    """The writers' pauses before the long prompt came and while it was read, and seconds until its first token."""
    streams, reader = [TimedStream() for _ in writers], TimedStream()
    under_way = anyio.Event()

    async def write(chat: Chat, stream: TimedStream) -> None:
        def hear(_text: str) -> None:
            stream.emitted.append(time.perf_counter())
            if all(len(each.emitted) > SETTLED for each in streams):
                under_way.set()

        await kernel.submit(chat, hear)

    async with anyio.create_task_group() as tasks:
        for chat, stream in zip(writers, streams, strict=True):
            tasks.start_soon(write, chat, stream)
        await under_way.wait()
        arrived = time.perf_counter()
        await submit(kernel, long, reader)
        tasks.cancel_scope.cancel()
    emitted, first = [stream.emitted for stream in streams], reader.emitted[0]
    settled = max(times[0] for times in emitted)
    return gaps(emitted, settled, arrived), gaps(emitted, arrived, first), first - arrived
