"""What a graph will take, by costs that are given: on paper, and as the command tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aios.boot import boot
from aios.cli.app import app
from aios.config import Config
from aios.estimate.measure import costs, fit
from aios.estimate.plan import Cost, plan
from aios.models.scripted import ScriptedModel
from aios_syscalls import BadRequest, CallTool, Chat, Fill, Message, Node, Output, RunGraph
from aios_syscalls.wire import call_to_object

UNIT = Cost(0.0, 0.0, 1.0)
"""A second a token written, and nothing else."""


def chat(id: str, tokens: int, *needs: str) -> Node:
    message = Message(role="user", content="")
    return Node(id=id, run=Chat(messages=(message,), max_tokens=tokens), after=needs)


def tool(id: str, *needs: str) -> Node:
    return Node(id=id, run=CallTool(tool="t"), after=needs)


REDUCE = RunGraph(nodes=(*(chat(f"m{n}", 4) for n in range(6)), chat("end", 2, *(f"m{n}" for n in range(6)))))


@pytest.mark.parametrize(
    ("width", "makespan", "bound"), [(1, 26, 26), (2, 14, 13), (4, 10, 6.5), (6, 6, 6), (99, 6, 6)]
)
def test_a_map_and_reduce_takes_its_rounds(width: int, makespan: float, bound: float) -> None:
    found = plan(REDUCE, UNIT, width)
    assert (found.makespan_s, found.bound_s) == (makespan, bound)
    assert (found.work_s, found.path_s) == (26, 6)
    assert found.path[1:] == ("end",)


def test_a_chain_is_its_critical_path_and_tools_take_no_slot() -> None:
    graph = RunGraph(nodes=(chat("c", 3, "b"), tool("b", "a"), chat("a", 5), tool("x"), tool("y")))
    found = plan(graph, UNIT, 1, tool_s=2)
    assert found.path == ("a", "b", "c")
    assert found.makespan_s == found.path_s == 10
    assert found.work_s == 8
    assert found.nodes == {"a": (0, 5), "b": (5, 7), "c": (7, 10), "x": (0, 2), "y": (0, 2)}


def test_what_is_taken_from_others_is_read_too() -> None:
    reads = Cost(0.0, 1.0, 0.0)
    parts = ("abc", Output(output="a"))
    taking = Node(id="b", run=chat("b", 1).run, fill=(Fill(at=("messages", 0, "content"), parts=parts),))
    alone, both = (
        plan(RunGraph(nodes=(chat("a", 7),)), reads, 1),
        plan(RunGraph(nodes=(chat("a", 7), taking)), reads, 1),
    )
    assert both.makespan_s - 2 * alone.makespan_s == pytest.approx(7 + 1)


def test_chats_that_run_together_slow_each_other_as_was_measured() -> None:
    graph = RunGraph(nodes=(chat("a", 2), chat("b", 4)))
    crowded = plan(graph, Cost(0, 0, 1, crowd=3), 2)
    assert crowded.nodes == {"a": (0, 6), "b": (0, 8)}
    assert crowded.bound_s == 4


def test_costs_are_found_again_and_are_never_negative() -> None:
    rows = [(1.0, read, written) for read, written in ((10.0, 1.0), (90.0, 1.0), (20.0, 30.0), (200.0, 8.0))]
    assert fit(rows, [0.1 + 0.002 * row[1] + 0.03 * row[2] for row in rows]) == pytest.approx((0.1, 0.002, 0.03))
    assert min(fit(rows, [0.02 * row[2] - 1e-4 * row[1] + 0.001 for row in rows[2:]] + [0.01, 0.01])) >= 0


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4,5", "a,b,c", "-1,0,0", "nan,0,0", "inf,0,0"])
def test_costs_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"as 0\.2,0\.001,0\.02"):
        Cost.parse(text)


@pytest.mark.anyio
async def test_costs_are_measured_through_the_kernel(tmp_path: Path) -> None:
    model = ScriptedModel("word " * 40, slots=2, delay_s=0.004)
    async with boot(Config(root=tmp_path, isolate=False), models=[model], directory=tmp_path / "run") as run:
        cost = await costs(run, "scripted")
    assert cost.write >= 0.003
    assert 1 <= cost.crowd <= 2
    assert len({chat.messages[0].content for chat in model.calls}) == len(model.calls)


# -- the command


def aios(*words: str, **options: Any) -> Result:
    return CliRunner().invoke(app, ["estimate", *words], **options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(call_to_object(REDUCE)))
    return path


def test_it_prints_makespan_path_and_bound(file: Path) -> None:
    told = aios(str(file), "--cost", "0,0,1", "--width", "2").stdout
    lines = [line.split() for line in told.splitlines()]
    assert lines[1][:2] == ["makespan", "14s"]
    assert lines[2] == ["critical", "path", "6.0s", "m0", ">", "end"]
    assert lines[3][:2] == ["work", "26s"]
    assert lines[4][:3] == ["lower", "bound", "13s"]


def test_it_reads_standard_input_and_tells_json(file: Path) -> None:
    nodes = json.dumps({"nodes": json.loads(file.read_text())["nodes"]})
    found = json.loads(aios("-", "--cost", "0,0,1,1", "--width", "4", "--json", input=nodes).stdout)
    assert found["makespan_s"] == 10
    assert found["nodes"]["end"] == {"start_s": 8, "end_s": 10}
    assert found["cost"] == {"base_s": 0, "read_s": 0, "write_s": 1, "crowd": 1}


def test_it_reads_the_record_of_a_graph_that_has_run(file: Path) -> None:
    record = json.dumps({"call": 12, "name": "process.graph", "request": json.loads(file.read_text())})
    assert json.loads(aios("-", "--cost", "0,0,1", "--json", input=record).stdout)["makespan_s"] == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "standard input is not JSON"),
        ("[]", "has no graph"),
        ('{"nodes": []}', "nodes: Tuple should have at least 1 item"),
        ('{"call": "llm.chat", "nodes": []}', "llm.chat: "),
        (
            '{"nodes": [{"id": "a", "run": {"call": "tool.call", "tool": "t"}, "after": ["b"]}]}',
            "needs 'b', which is no node",
        ),
        ('{"nodes": [{"id": "a", "run": {"call": "tool.call", "tool": "t"}, "after": ["a"]}]}', "'a' -> 'a'"),
        ('{"nodes": [{"id": "a", "run": {"call": "file.read", "path": "t"}}]}', "llm.chat or tool.call"),
    ],
)
def test_a_graph_that_cannot_be_is_a_usage_error(text: str, says: str) -> None:
    found = aios("-", "--cost", "0,0,1", input=text)
    assert found.exit_code == 2
    assert says in found.stderr
    assert found.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    found = aios(str(tmp_path / "none.json"), "--cost", "0,0,1")
    assert found.exit_code == 3
    assert "none.json; give a JSON file" in found.stderr
