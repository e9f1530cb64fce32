"""More agents than slots: their states move out and in again; nothing is computed twice."""

from __future__ import annotations

import statistics
from itertools import takewhile
from pathlib import Path

from aios.bench.chart import Chart
from aios.bench.llm.ours import converse, kernel_over, loaded, say
from aios.bench.llm.workload import ConversationTurn, Script, loners, recomputed_share
from aios.models.local.engine.llama import LlamaModel
from aios.models.local.engine.template import Template

TOKENS, TURNS, CONTEXT = 24, 3, 640
CHART = Chart(
    "more agents than slots",
    "s for all turns",
    {"few slots": {"time": "agents_few_slots_s"}, "a slot for each agent": {"time": "agents_many_slots_s"}},
)


async def measure(model: Path, agents: int, slots: int, rounds: int) -> dict[str, float | None]:
    """Figures; medians over the rounds."""
    few, many, shares = [], [], []
    for round in range(rounds):
        scripts = loners(agents, TURNS, TOKENS, round)
        say(f"{agents} agents on {slots} slots, round {round + 1}")
        seconds, share = await _run(model, scripts, slots)
        few.append(seconds)
        shares.append(share)
        say(f"{agents} agents on {agents} slots, round {round + 1}")
        many.append((await _run(model, scripts, agents))[0])
    return {
        "agents64_slots8_ratio": statistics.median(few) / statistics.median(many),
        "recomputed_share": statistics.median(shares),
        "agents_few_slots_s": statistics.median(few),
        "agents_many_slots_s": statistics.median(many),
    }


async def _run(file: Path, scripts: list[Script], slots: int) -> tuple[float, float]:
    """Seconds for all, and the share of what was read though it had been computed; memory as by default."""
    async with loaded(file, slots, CONTEXT) as model, kernel_over(model) as kernel:
        before = await model.stats()
        replies, seconds = await converse(kernel, scripts)
        after = await model.stats()
    turns = [[ConversationTurn.of(reply) for reply in each] for each in replies]
    return seconds, recomputed_share(turns, shared(file, scripts), before, after)


def shared(file: Path, scripts: list[Script]) -> int:
    """How many tokens all agents' prompts begin with."""
    model = LlamaModel(file, vocabulary_only=True)
    try:
        template = Template(model)
        prompts = [template.tokens(script.chat([])) for script in scripts]
    finally:
        model.close()
    return len(list(takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False))))
