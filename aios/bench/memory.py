"""More agents than a local model keeps contexts of: what is read again where all begin, and where what fits does."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import anyio

from aios.artifacts import model_path
from aios.bench import Report, at_least, at_most
from aios.bench.progress import progress
from aios.boot import boot
from aios.config import Config, LocalModelConfig, SchedulerConfig
from aios.estimate.measure import WORDS
from aios.models.local.supervisor.client import LocalModel
from aios.scheduler import AdmissionControl
from aios.sdk import Agent
from aios_syscalls import Message, Spawn, Wait

SLOTS, CONTEXT = 2, 512
AGENTS = {True: 6, False: 12}
CALLS, TURN_WORDS, WRITTEN = 4, 80, 8
"""Of an agent, of what it says in each, and tokens of the answers."""
TOOL_S = 0.05
MODEL = "bench"
ROOMY, OPEN, ROOM = "roomy", "open", "room"


@dataclass(frozen=True, slots=True)
class MemoryTook:
    """Of one run: the answers by agent and call, the tokens that were computed for prompts, and seconds."""

    texts: dict[str, str]
    computed: int
    seconds: float
    ended_s: float
    """Until an agent's end, in the mean."""


def main(quick: bool) -> Report:
    """The same agents, each a conversation with a tool between its calls, three times."""
    figures = anyio.run(measure, AGENTS[quick])
    return Report.of(
        "memory",
        figures,
        [
            at_most("different_texts", 0),
            at_least("answers_share", 1),
            at_most("read_again_ratio", 0.5),
            at_most("makespan_ratio", 1),
        ],
        notes=[
            f"{figures['agents']:.0f} agents of {CALLS} calls on SmolLM2 with {SLOTS} slots and no memory beside them; "
            "read_again_ratio is of prompt tokens that were computed more than once, under admission control over "
            "where all begin; the other ratios are of seconds"
        ],
    )


async def measure(agents: int) -> dict[str, float | None]:
    """What the agents take with memory for all, and with none: where all begin, and under admission control."""
    took = {}
    with progress() as say:
        for name, memory_mb, memory in ((ROOMY, 1024, "auto"), (OPEN, 0, "unlimited"), (ROOM, 0, "auto")):
            say(f"{agents} agents, {name}")
            took[name] = await _run(agents, memory_mb, memory)
    again = {name: took[name].computed - took[ROOMY].computed for name in (OPEN, ROOM)}
    return {
        "agents": float(agents),
        "answers_share": min(len(each.texts) for each in took.values()) / (agents * CALLS),
        "different_texts": float(sum(took[name].texts != took[ROOMY].texts for name in (OPEN, ROOM))),
        "computed_tokens": float(took[ROOMY].computed),
        "read_again_open": float(again[OPEN]),
        "read_again_room": float(again[ROOM]),
        "read_again_ratio": again[ROOM] / again[OPEN] if again[OPEN] else None,
        "makespan_open_s": took[OPEN].seconds,
        "makespan_room_s": took[ROOM].seconds,
        "makespan_ratio": took[ROOM].seconds / took[OPEN].seconds,
        "latency_ratio": took[ROOM].ended_s / took[OPEN].ended_s,
    }


async def _run(agents: int, memory_mb: int, memory: str) -> MemoryTook:
    texts: dict[str, str] = {}
    ends: list[float] = []

    async def main(agent: Agent, task: str) -> str:
        random, messages = Random(task), list[Message]()
        for turn in range(CALLS):
            # Nothing in common with others, so that whose context is gone has all of it to read.
            messages.append(Message(role="user", content=" ".join(random.choices(WORDS, k=TURN_WORDS))))
            reply = await agent.chat(messages, max_tokens=WRITTEN)
            texts[f"{task} {turn}"] = reply.text
            messages.append(reply.message)
            await anyio.sleep(TOOL_S)
        ends.append(time.perf_counter() - began)
        return ""

    model = LocalModelConfig(path=model_path(), slots=SLOTS, context=CONTEXT, memory_mb=memory_mb, disk_mb=0)
    with tempfile.TemporaryDirectory() as directory:
        config = Config(
            models={MODEL: model},
            scheduler=SchedulerConfig.model_validate({"memory": memory}),
            root=Path(directory),
            isolate=False,
        )
        async with boot(config, mains={"agent": main}, directory=Path(directory) / "run", remember=False) as run:
            local = run.models[MODEL]
            assert isinstance(local, LocalModel)
            assert isinstance(run.kernel.lanes[f"llm:{MODEL}"].scheduler, AdmissionControl) == (memory == "auto")
            began = time.perf_counter()
            spawned = [await run.run.submit(Spawn(program="agent", task=str(number))) for number in range(agents)]
            for each in spawned:
                await run.run.submit(Wait(pid=each.pid))
            seconds = time.perf_counter() - began
            stats = await local.stats()
    return MemoryTook(texts, stats["read_tokens"] + stats["again_tokens"], seconds, sum(ends) / max(1, len(ends)))
