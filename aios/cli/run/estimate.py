"""What a graph will take, told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from aios.estimate.plan import Cost, GraphPlan
from aios.terminal.output import clean, seconds
from aios.terminal.table import grid
from aios_syscalls import BadRequest, CallTool, NotFound, RunGraph
from aios_syscalls.wire import call_from_object

LONGEST = 12
"""Nodes of the critical path that are named."""


def read(file: str) -> RunGraph:
    """The graph in a JSON file, or on standard input. Raises NotFound, or BadRequest that says what is wrong."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except FileNotFoundError:
        raise NotFound(f"no file {file}; give a JSON file of a graph, or - for standard input") from None
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}; give a JSON file of a graph") from None
    return parse(data, "standard input" if file == "-" else file)


def parse(data: bytes, source: str) -> RunGraph:
    """The graph that JSON describes: the call `process.graph`, whose name may be left out, or its record in a run."""
    try:
        fields = json.loads(data)
    except ValueError as error:
        raise BadRequest(f"{source} is not JSON: {error}; a graph is an object with `nodes`") from None
    if isinstance(fields, dict) and isinstance(fields.get("request"), dict):
        fields = fields["request"]  # of `aios trace PID.N --json`
    if not isinstance(fields, dict) or "nodes" not in fields:
        raise BadRequest(
            f"{source} has no graph: that is an object with `nodes`, each with an `id` and a call to `run`"
        )
    try:
        call = call_from_object({"call": RunGraph.name, **fields})
    except BadRequest as error:
        raise BadRequest(f"{source}: {error.message}", error.field) from None
    if not isinstance(call, RunGraph):
        raise BadRequest(f"{source} has a {call.name}, and no {RunGraph.name}")
    return call


def to_json(plan: GraphPlan, cost: Cost, model: str | None) -> dict[str, Any]:
    """For machines."""
    costs = {"base_s": cost.base, "read_s": cost.read, "write_s": cost.write, "crowd": cost.crowd}
    return {**plan.to_json(), "cost": costs, "model": model}


def show(console: Console, graph: RunGraph, plan: GraphPlan, cost: Cost, model: str | None) -> None:
    """For people."""
    tools = sum(isinstance(node.run, CallTool) for node in graph.nodes)
    chats = len(graph.nodes) - tools
    table = grid("WHAT", ">TIME", "~WHERE FROM")
    for name, value, note in (
        (
            "makespan",
            plan.makespan_s,
            f"{chats} chats, {plan.width} at once{f', and {tools} tool calls' if tools else ''}",
        ),
        ("critical path", plan.path_s, path(plan.path)),
        ("work", plan.work_s, "of the chats, each as if it ran alone"),
        ("lower bound", plan.bound_s, "the critical path, or the work on all slots"),
    ):
        table.add_row(Text(name, style="bold"), seconds(value), Text(clean(note)))
    console.print(table)
    crowd = f", times {cost.crowd:.2g} where all slots run" if cost.crowd > 1 else ""
    origin = f", measured on {clean(model)}" if model else ""
    console.print(
        f"\na call {seconds(cost.base)}, a token read {1000 * cost.read:.3g}ms, a token written "
        f"{1000 * cost.write:.3g}ms{crowd}{origin}; answers as long as max_tokens",
        style="dim",
        soft_wrap=True,
        highlight=False,
    )


def path(ids: tuple[str, ...]) -> str:
    """The nodes of a way, those in the middle left out where they are many."""
    shown = ids if len(ids) <= LONGEST else (*ids[: LONGEST // 2], "...", *ids[-LONGEST // 2 :])
    return " > ".join(shown)
