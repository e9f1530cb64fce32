"""How a small model chooses tools: by writing freely, under a grammar, and by ranking, on labelled requests.

The prompt of the ranking was chosen on other requests than these. All ways see the same descriptions; those that must
choose get one more tool, that of using none.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from pydantic import JsonValue

from aios.bench import Report
from aios.bench.tool_prompts import NONE, REQUESTS
from aios.boot import boot
from aios.config import Config
from aios.sdk import Agent, rank_tools
from aios.sdk.tool_choice import NEUTRAL, NO_TOOL
from aios_syscalls import CallerError, ToolFailed, ToolSpec

MAX_TOKENS = 96
QUICK = 3
"""One request in so many is used."""
NO_TOOL_SPEC = ToolSpec(name=NONE, description=NO_TOOL)
CALL = '<tool_call>{"name": "'
"""What a written call begins with."""

Arguments = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class ToolDecision:
    """The tool chosen, NONE for none, and its arguments, if it got as far as some."""

    tool: str
    arguments: Arguments | None = None


Way = Callable[[Agent, str, Sequence[ToolSpec]], Awaitable[ToolDecision]]


async def free(agent: Agent, request: str, tools: Sequence[ToolSpec]) -> ToolDecision:
    """The model writes what it likes; its first call counts."""
    reply = await agent.chat(request, tools=tools, max_tokens=MAX_TOKENS)
    return (
        ToolDecision(reply.tool_uses[0].name, reply.tool_uses[0].arguments) if reply.tool_uses else ToolDecision(NONE)
    )


async def constrained(agent: Agent, request: str, tools: Sequence[ToolSpec]) -> ToolDecision:
    """The model writes a well-formed call of one of the tools."""
    reply = await agent.chat(request, tools=[*tools, NO_TOOL_SPEC], tool_choice="required", max_tokens=MAX_TOKENS)
    if reply.tool_uses:
        return ToolDecision(reply.tool_uses[0].name, reply.tool_uses[0].arguments)
    named = (tool.name for tool in tools if f'"{tool.name}"' in reply.text.partition("arguments")[0])
    return ToolDecision(next(named, NONE))


async def ranked(agent: Agent, request: str, tools: Sequence[ToolSpec]) -> ToolDecision:
    """The name that is likeliest in a written call."""
    return await _named(agent, request, tools, ())


async def calibrated(agent: Agent, request: str, tools: Sequence[ToolSpec]) -> ToolDecision:
    """The name whose likelihood in a written call rises most over that after neutral requests."""
    return await _named(agent, request, tools, NEUTRAL)


async def channel(agent: Agent, request: str, tools: Sequence[ToolSpec]) -> ToolDecision:
    """The description that makes the request likeliest, calibrated: what `solve` does."""
    best = (await rank_tools(agent, request, tools))[0]
    return await _filled(agent, request, best)


WAYS: Mapping[str, Way] = {
    "free": free,
    "constrained": constrained,
    "ranked": ranked,
    "calibrated": calibrated,
    "channel": channel,
}


async def _named(agent: Agent, request: str, tools: Sequence[ToolSpec], neutral: Sequence[str]) -> ToolDecision:
    offered = [*tools, NO_TOOL_SPEC]
    names = [f'{tool.name}"' for tool in offered]
    reply = await agent.rank(request, names, tools=offered, prefix=CALL, neutral=neutral)
    best = offered[reply.best]
    return await _filled(agent, request, None if best is NO_TOOL_SPEC else best)


async def _filled(agent: Agent, request: str, tool: ToolSpec | None) -> ToolDecision:
    if tool is None:
        return ToolDecision(NONE)
    reply = await agent.chat(request, tools=[tool], tool_choice="required", max_tokens=MAX_TOKENS)
    return ToolDecision(tool.name, reply.tool_uses[0].arguments if reply.tool_uses else None)


def main(quick: bool) -> Report:
    """Tools chosen rightly, arguments that the tool takes, seconds for both; one request after the other."""
    return Report.of("tools", anyio.run(_measure, QUICK if quick else 1))


async def _measure(stride: int) -> dict[str, float]:
    labelled = [(label, request) for label, requests in REQUESTS.items() for request in requests][::stride]
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        async with boot(Config(root=Path(directory)), directory=Path(directory) / "run", remember=False) as run:
            agent = Agent(run.run.port(0), 0)
            tools = await agent.tools(*(label for label in REQUESTS if label != NONE))
            for name, way in WAYS.items():
                await way(agent, "Is this thing on?", tools)  # warm
                began = time.perf_counter()
                decisions = [await way(agent, request, tools) for _, request in labelled]
                seconds = (time.perf_counter() - began) / len(labelled)
                found[name] = await _judge(agent, [label for label, _ in labelled], decisions)
                found[name]["s_per_decision"] = seconds
    keys = next(iter(found.values()))
    # A figure of all ways side by side, then the next.
    sides = {f"{key}_{name}": found[name][key] for key in keys for name in WAYS}
    return {"requests": len(labelled), **sides}


async def _judge(agent: Agent, labels: Sequence[str], decisions: Sequence[ToolDecision]) -> dict[str, float]:
    pairs = list(zip(labels, decisions, strict=True))
    calls = [decision for decision in decisions if decision.tool != NONE]
    right = {
        kind: [decision.tool == label for label, decision in pairs if (label == NONE) == (kind == NONE)]
        for kind in ("tool", NONE)
    }
    return {
        "accuracy": sum(map(sum, right.values())) / len(pairs),
        "accuracy_with_tool": sum(right["tool"]) / len(right["tool"]),
        "accuracy_without": sum(right[NONE]) / len(right[NONE]),
        "calls": len(calls),
        "valid_arguments": sum([await _takes(agent, call) for call in calls]) / max(1, len(calls)),
    }


async def _takes(agent: Agent, decision: ToolDecision) -> bool:
    """Whether the tool takes the arguments."""
    if decision.arguments is None:
        return False
    try:
        await agent.call(decision.tool, **decision.arguments)
    except (CallerError, ToolFailed):
        return False
    return True
