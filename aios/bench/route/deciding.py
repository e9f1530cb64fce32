"""What the choice among three models takes, once the router has learnt something."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence

import anyio

from aios.models.remote.model import RemoteModel
from aios.routing.prices import Price
from aios.routing.router import Profile, Router
from aios_syscalls import CallId, Chat, ChatReply, Message, Usage

MODELS = {"small": (0.15, 0.5), "middle": (1.0, 0.6), "large": (10.0, 0.8)}
"""Dollars for a million tokens, and usual quality."""
LONG, EVERY = 100_000, 50
"""Characters of a long prompt, and which are long."""
WORDS = (
    "the",
    "of",
    "is",
    "which",
    "why",
    "how",
    "many",
    "sum",
    "force",
    "cell",
    "law",
    "price",
    "king",
    "river",
    "proof",
)


def measure(prompts: Sequence[str], learnt: int, asked: int) -> dict[str, float]:
    """Milliseconds of a decision of `learned`, for prompts that it has not seen; those left out are made up."""
    dice = random.Random(0)
    texts = list(prompts)
    dice.shuffle(texts)
    texts = texts[: learnt + asked]
    texts += [" ".join(dice.choices(WORDS, k=dice.randint(10, 150))) for _ in range(learnt + asked - len(texts))]
    return anyio.run(_measure, texts[:learnt], [_lengthen(at, text) for at, text in enumerate(texts[learnt:])])


async def _measure(known: Sequence[str], asked: Sequence[str]) -> dict[str, float]:
    models = {name: RemoteModel("http://127.0.0.1:9/v1", name) for name in MODELS}
    profiles = {name: Profile(Price(usd, 4 * usd), quality) for name, (usd, quality) in MODELS.items()}
    router, dice = Router(models, "learned", profiles=profiles), random.Random(1)
    for n, prompt in enumerate(known, 1):
        model = dice.choice(list(MODELS))
        reply = ChatReply(text="An answer.", model=model, usage=Usage(prompt_tokens=100, completion_tokens=50))
        router.served(CallId(0, n), 0, "user", _chat(prompt), reply)
        router.feedback(CallId(0, n), 0, float(dice.random() < MODELS[model][1]))
    taken, computed = [], []
    for prompt in asked:
        chat = _chat(prompt)
        began, began_cpu = time.perf_counter(), time.thread_time()
        router.decide(chat)
        taken.append(1e3 * (time.perf_counter() - began))
        computed.append(1e3 * (time.thread_time() - began_cpu))
    return {
        "decision_p50_ms": statistics.median(taken),
        "decision_p99_ms": _p99(taken),
        # Without what other processes took of the processor meanwhile.
        "decision_p99_cpu_ms": _p99(computed),
    }


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[round(0.99 * (len(values) - 1))]


def _chat(prompt: str) -> Chat:
    return Chat(messages=(Message(role="user", content=prompt),), max_tokens=256)


def _lengthen(at: int, text: str) -> str:
    return (text * (LONG // max(1, len(text)) + 1))[:LONG] if at % EVERY == 0 else text
