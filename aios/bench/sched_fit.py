"""The simulator's core, fitted to a local model by a few short measured calls."""

from __future__ import annotations

import time
from collections.abc import Mapping

import anyio

from aios.bench.llm.ours import kernel_over
from aios.estimate.measure import WORDS, fit
from aios.kernel import Run
from aios.models.local.supervisor.client import LocalModel
from aios.simulate import SimulatedCore
from aios_syscalls import Chat, ChatReply, Message

ENDLESS = r"root ::= [^\x00-\x08] root"
"""A grammar that no text completes: answers are as long as max_tokens says, to the token."""
SIZES = ((8, 8), (8, 32), (120, 8))
"""Words read and tokens written by each of a batch."""
TIMES = 3
ENOUGH_S = 20.0
"""After which nothing is measured once more."""

Batch = tuple[int, int, int]
"""Steps, tokens read and tokens written, of all calls that run together."""


def chat(words: int, tokens: int, name: str) -> Chat:
    """A prompt of so many words, each a token, of which nothing was read before, and an answer of so many tokens."""
    text = " ".join(WORDS[number % len(WORDS)] for number in range(words))
    message = Message(role="user", content=text)
    return Chat(messages=(message,), max_tokens=tokens, grammar=ENDLESS, cache_salt=name)


async def measured(model: LocalModel) -> tuple[SimulatedCore, int]:
    """The core that a running model is, and how many tokens a prompt has beside its words."""
    seconds: dict[Batch, float] = {}
    async with kernel_over(model) as kernel:
        beside = (await _together(kernel, 1, 1, 1, "cold"))[0][1] - 1
        began = time.perf_counter()
        for turn in range(TIMES):
            if turn and time.perf_counter() - began > ENOUGH_S:
                break
            for width in sorted({1, max(1, model.slots // 2), model.slots}):
                for words, tokens in SIZES:
                    batch, took = await _together(kernel, width, words, tokens, f"{turn} {width} {words} {tokens}")
                    # What is above the least was somebody else's doing.
                    seconds[batch] = min(took, seconds.get(batch, took))
    return core(seconds), beside


def core(seconds: Mapping[Batch, float]) -> SimulatedCore:
    """What batches took: seconds = step * steps + prefill * read + decode * written, with the least relative errors."""
    step, prefill, decode = fit([(float(a), float(b), float(c)) for a, b, c in seconds], list(seconds.values()))
    return SimulatedCore(step * 1e6, prefill * 1e6, decode * 1e6)


async def _together(kernel: Run, width: int, words: int, tokens: int, name: str) -> tuple[Batch, float]:
    replies: list[ChatReply] = []

    async def one(number: int) -> None:
        replies.append(await kernel.submit(chat(words, tokens, f"{name} {number}")))

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for number in range(width):
            tasks.start_soon(one, number)
    took = time.perf_counter() - began
    read = sum(reply.usage.prompt_tokens for reply in replies)
    return (tokens, read, sum(reply.usage.completion_tokens for reply in replies)), took
