"""One call of an agent, however it is made, costs a bounded amount of work and memory before it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from aios.hosts import program
from aios.kernel import Limits
from aios_syscalls import BadRequest, Message, NotFound, ProcessState
from aios_syscalls import wire as wires
from aios_syscalls.errors import MAX_MESSAGE
from aios_syscalls.graph import Output
from aios_syscalls.invalid import explain
from aios_syscalls.wire import MAX_FIELDS, MAX_VALUES, call_from_object, count_values
from tests.attacks.hostile import ended, kernel_with, run, start

MANY = 10_000
NODE = {"id": "1", "run": {"call": "tool.call", "tool": "x", "arguments": {"a": "b"}}}
WRONG: dict[str, dict[str, Any]] = {
    "messages": {"call": "llm.chat", "messages": [0] * MANY},
    "messages of objects": {"call": "llm.chat", "messages": [{}] * MANY},
    "texts to embed": {"call": "llm.embed", "texts": [0] * 200},
    "options": {"call": "llm.rank", "messages": [], "options": [0] * 60},
    "tools": {"call": "llm.chat", "messages": [], "tools": [0] * MANY},
    "stops": {"call": "llm.chat", "messages": [{"role": "user"}], "stop": [0] * 16},
    "nodes": {"call": "process.graph", "nodes": [0] * 250},
    "parts of a fill": {
        "call": "process.graph",
        "nodes": [{**NODE, "fill": [{"at": ["arguments", "a"], "parts": [0] * MANY}]}],
    },
    "a way into a call": {"call": "process.graph", "nodes": [{**NODE, "fill": [{"at": [None] * MANY, "parts": []}]}]},
    "what a node comes after": {"call": "process.graph", "nodes": [{**NODE, "after": [0] * MANY}]},
    "changes": {"call": "file.transaction", "changes": [0] * MANY},
    "paths to watch": {"call": "file.watch", "paths": [0] * 200},
    "paths to tag": {"call": "file.tag", "tag": "t", "paths": [0] * MANY},
    "queries": {"call": "file.join", "queries": [0] * 16},
    "authors": {"call": "file.search", "query": {"text": "x", "authors": [0] * MANY}},
    "names of tools": {"call": "tool.list", "names": [0] * MANY},
    "fields that nobody knows": {"call": "process.list", **{f"x{number}": 1 for number in range(MAX_FIELDS - 2)}},
}


@pytest.mark.parametrize("what", WRONG)
def test_the_first_fault_of_many_is_told_and_no_other_is_looked_for(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def counted(error: ValidationError, name: str) -> BadRequest:
        counts.append(error.error_count())
        return explain(error, name)

    monkeypatch.setattr(wires, "explain", counted)
    with pytest.raises(BadRequest) as caught:
        call_from_object(WRONG[what])
    assert counts
    assert max(counts) <= MAX_FIELDS
    assert len(caught.value.message) < 1_000


@pytest.mark.parametrize("items", [Message, str | Output])
def test_without_the_defence_there_are_as_many_faults_as_values(items: Any) -> None:
    """The control: what a plain tuple of them does."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(tuple[items, ...]).validate_json(to_json([0] * MANY))
    assert caught.value.error_count() >= MANY


@pytest.mark.parametrize(
    "value",
    [
        [0] * MAX_VALUES,
        [{}] * 400_000,
        {"a": [[]] * 200_000},
        [[[0] * 20_000], [0] * 20_000],
        {str(number): number for number in range(MAX_VALUES + 1)},
    ],
)
def test_a_call_of_too_many_values_is_refused_before_they_are_looked_at(value: Any) -> None:
    call = {"call": "tool.call", "tool": "t", "arguments": {"x": value}}
    assert count_values(call) > MAX_VALUES
    with pytest.raises(BadRequest, match="send them in a file"):
        call_from_object(call)


def test_a_call_as_large_as_they_are_made_is_taken() -> None:
    call = {"call": "tool.call", "tool": "t", "arguments": {"x": [0.5] * 30_000}}
    assert count_values(call) < MAX_VALUES
    assert call_from_object(call).name == "tool.call"


def test_a_message_does_not_repeat_all_that_it_was_given() -> None:
    assert len(BadRequest("x" * 900_000).message) < MAX_MESSAGE + 100
    with pytest.raises(BadRequest) as caught:
        call_from_object({"call": "y" * 900_000})
    assert len(caught.value.message) < 2_000


PROGRAMS = {
    "hostile": """
        body = json.dumps({"call": "tool.call", "tool": "x", "arguments": {"a": [{}] * 200_000}}).encode()
        for number in range(10):
            await agent.port._frames.send(b'{"id":%d,"stream":false,"call":%s}' % (10_000 + number, body))
        return "sent" """,
    "neighbour": "return await agent.ask('x')",
    "forger": """
        told = []
        for program in (task, "/" + "p" * 5_000 + ".py"):
            try:
                told.append(await agent.run(program))
            except AiosError as error:
                told.append(error.code)
        return json.dumps(told)""",
}


@pytest.mark.whole
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_neighbour_is_served_beside_calls_of_a_million_values(tmp_path: Path) -> None:
    forged = tmp_path / "x\naios: 1 process: 1 done" / "q.py"
    forged.parent.mkdir()
    forged.write_text("async def main(agent, task): return 'x'")
    async with kernel_with(tmp_path, PROGRAMS, Limits()) as kernel:
        pids = [await start(kernel, name) for name in ("hostile", "neighbour")]
        ends = [await ended(kernel, pid) for pid in pids]
        forger = await run(kernel, "forger", str(forged))
    assert [end.state for end in ends] == [ProcessState.DONE] * 2
    assert json.loads(forger.result or "") == ["not_found", "not_found"]


def test_a_program_whose_name_cannot_be_shown_is_none(tmp_path: Path) -> None:
    for name in ("good", "x\naios: all is well", "\x1b[2Jx", "a\u202eb"):
        (tmp_path / f"{name}.py").write_text("")
    assert list(program.programs([tmp_path])) == ["good"]
    with pytest.raises(NotFound, match="cannot be shown"):
        program.find_program(str(tmp_path / "x\naios: all is well.py"), [tmp_path])


def test_what_is_counted_is_what_json_has() -> None:
    assert count_values(from_json(b'{"a":[1,{"b":null},"x"],"c":{}}')) == 7
