"""What calls cost on a model, by a few short ones."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import anyio
import numpy as np

from aios.boot import BootedRun, Progress, boot
from aios.config import Config
from aios.estimate.plan import Cost
from aios.models import guess_tokens
from aios_syscalls import Chat, Message, ModelFailed
from aios_syscalls.port import Port

SIZES = ((10, 1), (60, 1), (160, 1), (10, 16), (60, 32), (160, 16))
"""Words read and tokens written."""
WORDS = ("river", "stone", "lamp", "paper", "garden", "window", "letter", "engine", "cloud", "bread", "silver", "road")
CROWD = (10, 16)


async def measure(config: Config, progress: Progress | None = None) -> tuple[Cost, str, int]:
    """What a chat costs on the model that a configuration prefers, the model's name, and how many run there at once.

    Raises what `boot` raises, and ModelFailed when the model writes nothing.
    """
    with tempfile.TemporaryDirectory(prefix="aios-estimate-") as scratch:
        async with boot(config, progress=progress, directory=Path(scratch, "run"), remember=False) as run:
            name = config.model or next(iter(run.models))
            return await costs(run, name), name, run.models[name].slots


async def costs(run: BootedRun, name: str) -> Cost:
    """What a chat costs on a model of a running kernel that has nothing else to do."""
    port, width = run.run.port(0), run.models[name].slots
    numbers = itertools.count()
    await _timed(port, _chat(name, *CROWD, next(numbers)))  # the first call finds everything cold
    rows, times = [], []
    for words, tokens in SIZES:
        call = _chat(name, words, tokens, next(numbers))
        seconds, written = await _timed(port, call)
        rows.append((1.0, float(guess_tokens(call)), float(written)))
        times.append(seconds)
    if not any(row[2] for row in rows):
        raise ModelFailed(f"model {name!r} writes nothing, so nobody knows what that takes; give --cost")
    base, read, write = fit(rows, times)
    crowd = [_chat(name, *CROWD, next(numbers)) for _ in range(width)]
    alone = [await _timed(port, _chat(name, *CROWD, next(numbers))) for _ in range(2)]
    together: list[float] = []

    async def one(call: Chat) -> None:
        together.append((await _timed(port, call))[0])

    async with anyio.create_task_group() as tasks:
        for call in crowd:
            tasks.start_soon(one, call)
    crowded = max(together) / min(seconds for seconds, _ in alone)
    # Not worse than one after the other: whatever is above that was somebody else's doing.
    return Cost(base, read, write, min(max(1.0, crowded), width))


def fit(rows: list[tuple[float, float, float]], seconds: list[float]) -> tuple[float, float, float]:
    """The weights of (1, read, written) with the least relative errors, none below 0."""
    table, times = np.array(rows), np.array(seconds)
    chosen = [0, 1, 2]
    while chosen:
        weights, *_ = np.linalg.lstsq(table[:, chosen] / times[:, None], np.ones(len(times)), rcond=None)
        if (weights >= 0).all():
            break
        del chosen[int(weights.argmin())]
    found = np.zeros(3)
    found[chosen] = weights
    return float(found[0]), float(found[1]), float(found[2])


def _chat(name: str, words: int, tokens: int, number: int) -> Chat:
    """A prompt that no other one begins like, so that nothing of it has been read before."""
    text = " ".join(WORDS[(number * 5 + place * (number + 3)) % len(WORDS)] for place in range(words))
    prompt = f"{number}. Go on with this story, at length: {text}"
    message = Message(role="user", content=prompt)
    return Chat(messages=(message,), max_tokens=tokens, model=name, cache_salt=f"estimate {number}")


async def _timed(port: Port, call: Chat) -> tuple[float, int]:
    began = anyio.current_time()
    reply = await port.submit(call)
    return anyio.current_time() - began, reply.usage.completion_tokens
