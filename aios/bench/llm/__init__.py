"""The local engine against its peers: one GGUF, the same prompts, and rounds in which each has a turn alone."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import anyio
import anyio.to_thread

from aios.artifacts import model_path
from aios.bench import Report, at_least, at_most
from aios.bench.llm import arrival, chat, crowd, memory, peers, streams, switching, turns
from aios.bench.llm.peers import cores
from aios.models.local.engine.quantize import faster
from aios_syscalls import ModelFailed

GOALS = (
    at_least("turns_vs_recompute_q4", 8),
    at_least("turns_q8_vs_recompute_q4", 10),
    at_least("turns_vs_recompute_q8", 6),
    at_least("vs_example_server_8", 1.1),
    at_least("vs_example_server_16", 1.1),
    at_least("vs_xllamacpp_16", 1.3),
    at_least("vs_one_at_a_time_16", 4),
    at_least("bare_loop_share_32", 0.95),
    at_most("agents64_slots8_ratio", 1.3),
    at_most("recomputed_share", 0.02),
    at_most("switch_2k_ms", 50),
    at_most("round_robin_cost", 0.03),
    at_most("long_prompt_gap_ratio", 2),
    at_most("memory_beside_model_mb", 200),
    at_most("memory_growth_mb", 8),
)
CHARTS = (turns.CHART, chat.CHART, streams.CHART, crowd.CHART)


@dataclass(frozen=True, slots=True)
class LlmSize:
    """How much of everything."""

    chat_rounds: int
    rounds: int
    long_rounds: int
    """Of agents in turns, and of more agents than slots."""
    requests: int
    """Of each client of the chat server in a round."""
    turns: int
    sample: int
    """Agents that read everything again."""
    stream_tokens: int
    slots: int
    """For eight times as many agents."""
    switches: int
    story_tokens: int
    """Of each generation under FIFO and round robin."""
    short_requests: int
    """After which memory is looked at."""


FULL = LlmSize(5, 3, 2, 2, 4, 4, 96, 8, 24, 192, 2000)
QUICK = LlmSize(1, 1, 1, 1, 2, 1, 48, 3, 12, 96, 200)
AGENTS = 16


def main(quick: bool) -> Report:
    """Everything, in some seventeen minutes on a machine of two cores; less of it in under four when `quick`."""
    return anyio.run(_measure, QUICK if quick else FULL)


async def _measure(size: LlmSize) -> Report:
    shipped = model_path()
    if not shipped.is_file():
        raise ModelFailed(f"the default model is not at {shipped}; fetch it with: python -m aios.artifacts")
    q8, _ = await anyio.to_thread.run_sync(faster, shipped)
    files = {"q4": shipped, "q8": q8}
    # The short ones first: what is broken shows early.
    figures = await switching.switch(q8, size.switches)
    figures |= await switching.round_robin(q8, size.story_tokens, size.rounds)
    figures |= await arrival.measure(q8, size.rounds)
    figures |= await memory.measure(q8, size.short_requests)
    figures |= await streams.measure(q8, size.stream_tokens, size.rounds)
    in_turns, missing = await turns.measure(files, AGENTS, size.turns, size.sample, size.long_rounds)
    chatting, reasons = await chat.measure(q8, size.chat_rounds, size.requests)
    figures |= in_turns | chatting
    missing |= reasons
    figures |= await crowd.measure(q8, 8 * size.slots, size.slots, size.long_rounds)
    ordered = {goal.name: figures[goal.name] for goal in GOALS}
    notes = _notes(size, shipped, q8)
    return Report.of("llm", {**ordered, **figures}, GOALS, missing=missing, notes=notes, charts=CHARTS)


def _notes(size: LlmSize, shipped: Path, q8: Path) -> list[str]:
    """How the figures came about."""
    return [
        f"Medians of rounds: {size.chat_rounds} of the chat server, {size.long_rounds} of agents in turns and of more "
        f"agents than slots, {size.rounds} of the rest. In a round all take turns with the same prompts, {cores()} "
        "threads each but for one_at_a_time, the class as it comes; whoever has no turn is stopped or idle.",
        f"Q4 is {shipped.name}, Q8 is {q8.name}; where neither is said, it is Q8 for everyone.",
        "vs_example_server: HTTP against HTTP, both in processes of their own, without streaming. vs_xllamacpp and "
        "vs_one_at_a_time: both without HTTP. Everyone has read the system prompt before; the questions are new.",
        f"Agents in turns: {AGENTS} agents, {size.turns} turns; reading everything again was measured on "
        f"{size.sample} of them, one call after the other.",
        f"More agents than slots: {8 * size.slots} agents on {size.slots} slots, {crowd.TURNS} turns each, against "
        f"{8 * size.slots} slots. Tokens of prompts count as recomputed if the agent's last prompt or answer had them.",
        f"bare_loop_share_32: while all {streams.SLOTS} write, at the same depths, with the same settings and threads.",
        f"long_prompt_gap_ratio: over a token for each of {arrival.WRITERS} writers and {arrival.CHUNK} tokens of "
        "prompt in a bare loop. switch_2k_ms: a slice after a switch, less one without.",
        f"memory_beside_model_mb, memory_growth_mb: of kernel and worker after {size.short_requests} short requests, "
        "beside weights, KV cache and kept states.",
        f"Peers: llama-cpp-python {metadata.version(peers.ENGINE)} (its class, and examples/server of its source on "
        f"the same build), {peers.XLLAMACPP} as its wheel is built.",
    ]
