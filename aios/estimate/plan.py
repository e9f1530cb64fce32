"""The makespan of a graph by a model of what calls cost; pure."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import Any

from aios.models import CHARS_PER_TOKEN, guess_tokens
from aios_syscalls import BadRequest, Chat, Node, Output, RunGraph

TOOL_TOKENS = 32
"""Of a tool's answer, where a model reads it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a chat: base + read * tokens read + write * tokens written, `crowd` times that where all slots run.

    In between, linear in how many run. Tokens read are counted as `guess_tokens` does.
    """

    base: float
    read: float
    write: float
    crowd: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Cost:
        """From `base,read,write` or `base,read,write,crowd`. Raises BadRequest."""
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if not 3 <= len(numbers) <= 4 or not all(0 <= number < math.inf for number in numbers):
            raise BadRequest(
                f"--cost {text}: give seconds for a call, a token read and a token written, as 0.2,0.001,0.02; a "
                "fourth is how many times longer a call takes where all slots run",
                "cost",
            )
        return cls(*numbers)

    def alone(self, read: float, written: float) -> float:
        """Seconds of a chat that runs alone."""
        return self.base + self.read * read + self.write * written

    def slowdown(self, running: int, width: int) -> float:
        """How many times longer a chat takes while so many run."""
        return 1.0 if width < 2 else 1 + max(0.0, self.crowd - 1) * (running - 1) / (width - 1)


@dataclass(slots=True)
class GraphPlan:
    """When each node will begin and end, and what no order of them could beat; in seconds."""

    width: int
    makespan_s: float = 0.0
    work_s: float = 0.0
    """Of chats, each as if it ran alone."""
    path_s: float = 0.0
    path: tuple[str, ...] = ()
    """The nodes of the critical path."""
    nodes: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def bound_s(self) -> float:
        """What nobody can be faster than: the critical path, or the work shared by all slots."""
        return max(self.path_s, self.work_s / self.width)

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "width": self.width,
            "makespan_s": round(self.makespan_s, 6),
            "critical_path_s": round(self.path_s, 6),
            "critical_path": list(self.path),
            "work_s": round(self.work_s, 6),
            "bound_s": round(self.bound_s, 6),
            "nodes": {id: {"start_s": round(a, 6), "end_s": round(b, 6)} for id, (a, b) in self.nodes.items()},
        }


def plan(graph: RunGraph, cost: Cost, width: int, tool_s: float = 0.0) -> GraphPlan:
    """What a graph takes of one model with `width` slots that nobody else uses, first come first served.

    Every answer is taken to be as long as its `max_tokens`, and every tool to take `tool_s`.
    """
    nodes = {node.id: node for node in graph.nodes}
    times = {id: _alone(node, nodes, cost, tool_s) for id, node in nodes.items()}
    found = GraphPlan(width, work_s=sum(times[id] for id, node in nodes.items() if isinstance(node.run, Chat)))
    found.path_s, found.path = _critical(graph, times)
    _run(graph, times, cost, found)
    return found


def _alone(node: Node, nodes: dict[str, Node], cost: Cost, tool_s: float) -> float:
    if not isinstance(node.run, Chat):
        return tool_s
    read = float(guess_tokens(node.run))
    for fill in node.fill:
        for part in fill.parts:
            read += _written(nodes[part.output]) if isinstance(part, Output) else len(part) / CHARS_PER_TOKEN
    return cost.alone(read, node.run.max_tokens)


def _written(node: Node) -> int:
    return node.run.max_tokens if isinstance(node.run, Chat) else TOOL_TOKENS


def _critical(graph: RunGraph, times: dict[str, float]) -> tuple[float, tuple[str, ...]]:
    """The longest way through a graph."""
    needs = {node.id: node.needs for node in graph.nodes}
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for id in graph.order():
        before[id] = max(sorted(needs[id]), key=lambda need: ends[need], default=None)
        last = before[id]
        ends[id] = times[id] + (ends[last] if last is not None else 0.0)
    id = max(graph.order(), key=lambda each: ends[each])
    path: list[str] = []
    step: str | None = id
    while step is not None:
        path.append(step)
        step = before[step]
    return ends[id], tuple(reversed(path))


def _run(graph: RunGraph, times: dict[str, float], cost: Cost, found: GraphPlan) -> None:
    """Let the graph run on paper: from one end of a node to the next."""
    missing = {node.id: set(node.needs) for node in graph.nodes}
    chats = {node.id for node in graph.nodes if isinstance(node.run, Chat)}
    rank = {id: (-depth, index) for index, (id, depth) in enumerate(graph.depths().items())}
    waiting = [(0.0, *rank[id], id) for id, needed in missing.items() if not needed]
    heapq.heapify(waiting)
    left: dict[str, float] = {}
    now = 0.0
    while waiting or left:
        kept = []
        while waiting:
            entry = heapq.heappop(waiting)
            if entry[-1] in chats and len(left.keys() & chats) >= found.width:
                kept.append(entry)
                continue
            left[entry[-1]] = times[entry[-1]]
            found.nodes[entry[-1]] = now, now
        waiting = kept  # in order, so it is a heap
        slow = cost.slowdown(len(left.keys() & chats), found.width)
        pace = {id: slow if id in chats else 1.0 for id in left}
        first = min(left, key=lambda id: left[id] * pace[id])
        step = left[first] * pace[first]
        now += step
        ended = [id for id in left if id == first or left[id] * pace[id] <= step]
        left = {id: rest - step / pace[id] for id, rest in left.items() if id not in ended}
        for id in ended:
            found.nodes[id] = found.nodes[id][0], now
            for each, needed in missing.items():
                if id in needed:
                    needed.discard(id)
                    if not needed:
                        heapq.heappush(waiting, (now, *rank[each], each))
    found.makespan_s = now
