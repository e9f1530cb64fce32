"""Agents in turns with a long prompt in common, against a model that reads the whole prompt again at each call."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aios.bench.chart import Chart
from aios.bench.llm.ours import converse, kernel_over, loaded, say
from aios.bench.llm.peers import PeerProcess, cores
from aios.bench.llm.workload import Script, sharing
from aios_syscalls import AiosError

TOKENS, CONTEXT = 24, 1280
OURS, PEER = "ours", "recompute"
RATIOS = {
    "turns_vs_recompute_q4": ("q4", "q4"),
    "turns_q8_vs_recompute_q4": ("q8", "q4"),
    "turns_vs_recompute_q8": ("q8", "q8"),
}
"""The figure -> our weights, the peer's weights."""
CHART = Chart(
    "an agent's turn, with a prompt in common",
    "ms",
    {name: {weights.upper(): f"turn_{name}_{weights}_ms" for weights in ("q4", "q8")} for name in (PEER, OURS)},
)


async def measure(
    files: Mapping[str, Path], agents: int, turns: int, sample: int, rounds: int
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Figures, and reasons for those that are missing; medians over the rounds.

    All `agents` run on ours. A call that reads everything again costs the same whoever else there is, so the first
    `sample` agents tell what it takes the peer.
    """
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    reasons: dict[str, str] = {}
    for round in range(rounds):
        scripts = sharing(agents, turns, TOKENS, round)
        for weights, file in files.items():
            say(f"agents in turns, {weights}, ours, round {round + 1}")
            times[OURS, weights].append(await _ours(file, scripts))
            say(f"agents in turns, {weights}, reading everything again, round {round + 1}")
            try:
                times[PEER, weights].append(await _again(file, scripts[:sample]))
            except AiosError as error:
                reasons[weights] = error.message
    figures: dict[str, float | None] = {}
    missing: dict[str, str] = {}
    for figure, (mine, theirs) in RATIOS.items():
        found = times[PEER, theirs]
        figures[figure] = statistics.median(found) / statistics.median(times[OURS, mine]) if found else None
        if not found:
            missing[figure] = reasons[theirs]
    for (name, weights), found in times.items():
        figures[f"turn_{name}_{weights}_ms"] = statistics.median(found) * 1e3 if found else None
        if not found:
            missing[f"turn_{name}_{weights}_ms"] = reasons[weights]
    return figures, missing


async def _ours(file: Path, scripts: Sequence[Script]) -> float:
    """Seconds per agent and turn, from a model that knows nothing of the prompt yet."""
    async with loaded(file, len(scripts), CONTEXT) as model, kernel_over(model) as kernel:
        replies, seconds = await converse(kernel, scripts)
    return seconds / sum(map(len, replies))


async def _again(file: Path, scripts: Sequence[Script]) -> float:
    settings = {"model": str(file), "context": CONTEXT, "threads": cores()}
    async with PeerProcess.started("llama", settings) as peer:
        answer = await peer.ask({"again": True, "scripts": [_plain(script) for script in scripts]})
    return float(answer["seconds"] / answer["calls"])


def _plain(script: Script) -> dict[str, Any]:
    opening = [{"role": each.role, "content": each.content} for each in script.opening]
    return {"opening": opening, "says": script.says, "tokens": script.tokens}
