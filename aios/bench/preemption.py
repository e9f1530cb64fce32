"""What preemption changes: nothing in the text, no token generated twice, and a few milliseconds."""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

import anyio

from aios.artifacts import model_path
from aios.bench import Report, at_least, at_most
from aios.boot import make_models
from aios.config import Config, LocalModelConfig
from aios.models.local.supervisor.client import LocalModel
from aios_syscalls import Chat, ChatReply, Message, Sampling

SLOTS = 3
SEED = 20


def main(quick: bool) -> Report:
    """Random slices of more generations than slots, moved through memory and disk, against each run whole."""
    points = 50 if quick else 200
    figures = anyio.run(_measure, points)
    return Report.of(
        "preemption",
        figures,
        [
            at_least("points", points),
            at_most("different_texts", 0),
            at_most("tokens_ratio", 1.0),
            at_least("states_moved", 1),
        ],
    )


async def _measure(points: int) -> dict[str, float]:
    # Little memory, so that states go to disk as well.
    local = LocalModelConfig(path=model_path(), slots=SLOTS, memory_mb=4, disk_mb=512)
    (model,) = make_models(Config(models={"smollm2": local}))
    assert isinstance(model, LocalModel)
    chats = [_chat(number) for number in range(points // 8)]
    async with model:
        await _whole(model, chats[0])
        before = await model.stats()
        alone = [await _whole(model, chat) for chat in chats]
        between = await model.stats()
        cut, found, resumes = await _in_slices(model, chats)
        after = await model.stats()
    written = after["written_tokens"] - between["written_tokens"]
    return {
        "points": found,
        "different_texts": sum(one != other for one, other in zip(alone, cut, strict=True)),
        "tokens_ratio": written / (between["written_tokens"] - before["written_tokens"]),
        "states_moved": after["memory_hits"] + after["disk_hits"],
        "from_memory": after["memory_hits"],
        "from_disk": after["disk_hits"],
        "resume_p50_ms": statistics.median(resumes) * 1e3,
    }


def _chat(number: int) -> Chat:
    sampling = Sampling(temperature=0.8 * (number % 2), seed=number, repeat_penalty=1.1)
    prompt = f"Tell a story about the number {number}."
    return Chat(messages=(Message(role="user", content=prompt),), max_tokens=24, sampling=sampling)


async def _whole(model: LocalModel, chat: Chat) -> str:
    reply = await model.generate(chat, None, None, lambda _text: None)
    assert isinstance(reply, ChatReply)
    return reply.text


async def _in_slices(model: LocalModel, chats: list[Chat]) -> tuple[list[str], int, list[float]]:
    """Texts, how often one was paused, and seconds from each resume to the first token after it."""
    dice = random.Random(SEED)
    state: dict[int, Any] = dict.fromkeys(range(len(chats)))
    texts: dict[int, str] = {}
    resumes: list[float] = []
    pauses = 0

    async def slice(number: int) -> None:
        nonlocal pauses
        began, first = time.perf_counter(), []
        resumed = state[number] is not None
        outcome = await model.generate(
            chats[number], state[number], dice.choice((1, 1, 2, 4)), lambda _text: first.append(time.perf_counter())
        )
        if resumed and first:
            resumes.append(first[0] - began)
        if isinstance(outcome, ChatReply):
            texts[number] = outcome.text
            del state[number]
        else:
            state[number] = outcome
            pauses += 1

    while state:
        async with anyio.create_task_group() as tasks:
            for number in dice.sample(sorted(state), min(SLOTS, len(state))):
                tasks.start_soon(slice, number)
    return [texts[number] for number in range(len(chats))], pauses, resumes
