"""@tool, ToolBox and load_tools: what a call may look like, and what a tool may do to the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import pytest
from anyio import to_thread
from pydantic import BaseModel, Field, JsonValue

from aios.tools import Tool, ToolBox, load_tools, tool
from aios.wall.agent import Walls
from aios_syscalls import BadRequest, Denied, Exists, NotFound, ToolFailed
from aios_syscalls.base import MAX_REPLY_BYTES


class Colour(Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    y: int = 0


@tool
def add(x: Annotated[int, Field(description="first", ge=0)], y: int = 2) -> int:
    """Add two
    numbers.

    This part is for readers of the code.
    """
    return x + y


@tool(name="async.add", timeout_s=5)
async def add_later(x: int, y: int) -> int:
    await anyio.lowlevel.checkpoint()
    return x + y


@tool
def describe(when: date, colour: Colour, points: list[Point], mode: Literal["a", "b"], copy: str | None = None) -> Any:
    return {"days": when.day, "colour": colour, "points": points, "mode": mode, "copy": copy}


@tool
def answer(value: Any) -> Any:
    """Return what RESULTS has under `value`, which need not be JSON."""
    return RESULTS[value]


RESULTS: dict[str, Any] = {
    "object": object(),
    "nan": [float("nan")],
    "bytes": b"\xff",
    "tuple": (1, {2}, {3: 4}),
    "model": Point(x=1),
    "large": "x" * (MAX_REPLY_BYTES - 1),
    "largest": "x" * (MAX_REPLY_BYTES - 2),
}
RESULTS["loop"] = [RESULTS]


# --- what it looks like


def test_a_function_becomes_its_description() -> None:
    assert add.name == "add"
    assert add.description == "Add two numbers."
    assert add.parameters == {
        "type": "object",
        "properties": {
            "x": {"type": "integer", "description": "first", "minimum": 0},
            "y": {"type": "integer", "default": 2},
        },
        "required": ["x"],
        "additionalProperties": False,
    }
    assert (add_later.name, add_later.description, add_later.timeout_s) == ("async.add", "", 5)
    assert add_later.spec.name == "async.add"


def test_no_parameters_are_an_empty_object() -> None:
    @tool
    def nothing() -> None: ...

    assert nothing.parameters == {"type": "object", "properties": {}, "additionalProperties": False}


def test_a_function_that_cannot_be_described_is_refused() -> None:
    def untyped(x): ...  # type: ignore[no-untyped-def]

    def many(*args: int) -> None: ...

    def unnamed(x: int, /) -> None: ...

    def strange(x: threading.Event) -> None: ...

    def callback(x: Callable[[], None]) -> None: ...

    reasons = (
        (untyped, "has no type"),
        (many, "by name"),
        (unnamed, "by name"),
        (strange, "Event"),
        (callback, "Call"),
    )
    for function, why in reasons:
        with pytest.raises(TypeError, match=f"tool {function.__name__}: .*{why}"):
            tool(function)
    with pytest.raises(TypeError, match="a name has"):
        tool(name="with blank")(test_no_parameters_are_an_empty_object)


# --- what it answers


@pytest.mark.anyio
async def test_calls_answer() -> None:
    assert await add({"x": 1}) == 3
    assert await add({"x": 1, "y": 1}) == 2
    assert await add_later({"x": 1, "y": 1}) == 2
    arguments: dict[str, JsonValue] = {"when": "2026-01-31", "colour": "red", "points": [{"x": 1}], "mode": "a"}
    value = {"days": 31, "colour": "red", "points": [{"x": 1, "y": 0}], "mode": "a", "copy": None}
    assert await describe(arguments) == value


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "arguments.x"),
        ({"x": "1"}, "arguments.x"),
        ({"x": -1}, "arguments.x"),
        ({"x": True}, "arguments.x"),
        ({"x": 1, "y": None}, "arguments.y"),
        ({"x": 1, "z": 1}, "arguments.z"),
    ],
)
async def test_arguments_off_the_schema_name_the_field(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest, match="tool add") as caught:
        await add(arguments)
    assert caught.value.field == field


@pytest.mark.anyio
async def test_deep_faults_are_named_too() -> None:
    with pytest.raises(BadRequest) as caught:
        await describe({"when": "2026-01-31", "colour": "red", "points": [{"x": 1}, {"x": "a"}], "mode": "a"})
    assert caught.value.field == "arguments.points.1.x"


@pytest.mark.anyio
async def test_results_become_json() -> None:
    assert await answer({"value": "tuple"}) == [1, [2], {"3": 4}]
    assert await answer({"value": "model"}) == {"x": 1, "y": 0}
    assert await answer({"value": "largest"}) == RESULTS["largest"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("value", "why"),
    [("object", "object"), ("nan", "list"), ("bytes", "bytes"), ("loop", "list"), ("large", "16777217 bytes")],
)
async def test_a_result_that_is_not_json_is_a_tool_failure(value: str, why: str) -> None:
    with pytest.raises(ToolFailed, match=f"tool answer returned {why}"):
        await answer({"value": value})


# --- what it may do to the kernel


def raising(error: BaseException) -> list[Tool]:
    @tool
    def plain() -> None:
        raise error

    @tool
    async def later() -> None:
        raise error

    return [plain, later]


@pytest.mark.anyio
async def test_a_tool_that_raises_has_failed() -> None:
    for broken in raising(ValueError("wrong " + "x" * 5000)):
        with pytest.raises(ToolFailed, match=f"tool {broken.name} raised ValueError: wrong xxx") as caught:
            await broken({})
        assert caught.value.data == {"tool": broken.name, "exception": "ValueError"}
        assert len(caught.value.message) < 2200
    for broken in raising(SystemExit("bye")):
        with pytest.raises(ToolFailed, match="raised SystemExit: bye"):
            await broken({})
    for broken in raising(ExceptionGroup("", [ValueError("only one")])):
        with pytest.raises(ToolFailed, match="raised ValueError: only one"):
            await broken({})


@pytest.mark.anyio
async def test_an_error_of_the_abi_passes() -> None:
    error = Denied("not yours", path="x")
    for broken in raising(error):
        with pytest.raises(Denied) as caught:
            await broken({})
        assert caught.value is error


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end, so that no thread outlives its test."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.mark.anyio
async def test_a_tool_that_hangs_is_given_up(gate: threading.Event) -> None:
    @tool(timeout_s=0.05)
    def hang() -> None:
        gate.wait()

    @tool(timeout_s=0.05)
    async def hang_later() -> None:
        await anyio.sleep_forever()

    for broken in (hang, hang_later):
        with pytest.raises(ToolFailed, match=r"no answer within 0\.05 s"):
            await broken({})


@pytest.mark.anyio
async def test_threads_that_hang_are_bounded(gate: threading.Event) -> None:
    @tool(timeout_s=0.05, concurrency=2)
    def hang() -> str:
        gate.wait()
        return "done"

    for _ in range(2):
        with pytest.raises(ToolFailed, match="no answer"):
            await hang({})
    with pytest.raises(ToolFailed, match="still hangs in 2 earlier calls"):
        await hang({})
    gate.set()
    for thread in hang._left:
        thread.join()
    assert await hang({}) == "done"


@pytest.mark.anyio
async def test_a_thread_that_spins_is_ended() -> None:
    @tool(timeout_s=0.05)
    def spin() -> None:
        while True:
            pass

    with pytest.raises(ToolFailed, match="no answer"):
        await spin({})
    spin._left[0].join(timeout=30)
    assert not spin._left[0].is_alive()


@pytest.mark.anyio
async def test_a_tool_that_hangs_stops_neither_the_loop_nor_a_cancelled_caller(gate: threading.Event) -> None:
    started = threading.Event()

    @tool
    def hang() -> None:
        started.set()
        gate.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hang, {})
        await to_thread.run_sync(started.wait)
        assert await add({"x": 1}) == 3
        tasks.cancel_scope.cancel()
    assert hang._left[0].is_alive()


@pytest.mark.whole
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_tool_that_hangs_does_not_keep_the_process(backend: str) -> None:
    program = f"""
import anyio, threading
from aios.tools import tool

@tool(timeout_s=0.05)
def hang() -> None:
    threading.Lock().acquire() and threading.Event().wait()

async def main():
    try:
        await hang({{}})
    except Exception as error:
        print(error.code)

anyio.run(main, backend={backend!r})
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == (b"tool_failed\n", b"", 0)


# --- in a process of its own

TOOLS = '''
import os, re, time
from aios.tools import tool
from aios_syscalls import Denied

calls = []

@tool(process=True)
def count(text: str) -> list[int]:
    """Count letters."""
    print("what a tool prints is no part of its answer")
    calls.append(text)
    return [len(text), len(calls), os.getpid()]

@tool(process=True)
def backtrack(fifo: str) -> bool:
    with open(fifo, "w") as file:
        file.write(str(os.getpid()))
    return bool(re.match(r"(a+)+$", "a" * 60 + "b"))

@tool(process=True, timeout_s=0.05)
def hang() -> None:
    time.sleep(1000)

@tool(process=True)
def crash() -> None:
    os.abort()

@tool(process=True)
def fail(kind: str) -> None:
    raise Denied("not yours", path="x") if kind == "denied" else KeyError(kind)
'''


@pytest.fixture
def box(tmp_path: Path) -> ToolBox:
    (tmp_path / "mine.py").write_text(TOOLS)
    return ToolBox(load_tools(tmp_path / "mine.py"), Walls(programs={"backtrack": "off"}))


@pytest.mark.whole
@pytest.mark.anyio
async def test_a_process_answers_and_keeps_no_state(box: ToolBox) -> None:
    first, second = await box.call("count", {"text": "abc"}), await box.call("count", {"text": "abcd"})
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert (first[:2], second[:2]) == ([3, 1], [4, 1])
    assert len({first[2], second[2], os.getpid()}) == 3


@pytest.mark.whole
@pytest.mark.anyio
async def test_a_process_that_hangs_in_c_is_killed(box: ToolBox, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(box.call, "backtrack", {"fifo": str(fifo)})
        pid = int(await to_thread.run_sync(fifo.read_text))
        os.kill(pid, 0)
        tasks.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ToolFailed, match="no answer"):
        await box.call("hang", {})


@pytest.mark.whole
@pytest.mark.anyio
async def test_a_process_that_fails_says_how(box: ToolBox) -> None:
    with pytest.raises(ToolFailed, match="ended with status -6"):
        await box.call("crash", {})
    with pytest.raises(ToolFailed, match="raised KeyError: 'x'"):
        await box.call("fail", {"kind": "x"})
    with pytest.raises(Denied, match="not yours") as caught:
        await box.call("fail", {"kind": "denied"})
    assert caught.value.data == {"path": "x"}
    with pytest.raises(BadRequest):
        await box.call("fail", {})


def test_what_a_process_cannot_import_is_refused() -> None:
    def local() -> None: ...

    async def later() -> None: ...

    for function, why in ((local, "top level"), (later, "plain functions")):
        with pytest.raises(TypeError, match=why):
            tool(process=True)(function)


# --- the box


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(Exists, match="two tools are called add"):
        ToolBox([add, add])


@pytest.mark.anyio
async def test_an_unknown_tool_names_those_that_are_near() -> None:
    box = ToolBox([add, add_later, describe])
    with pytest.raises(NotFound, match="did you mean describe"):
        await box.call("descrbe", {})
    with pytest.raises(NotFound, match=r"there are add, async\.add, describe"):
        box.specs(["zzz"])
    with pytest.raises(NotFound, match="none"):
        await ToolBox().call("x", {})


def test_specs_are_by_name_or_as_asked() -> None:
    box = ToolBox([describe, add])
    assert [spec.name for spec in box.specs()] == ["add", "describe"]
    assert [spec.name for spec in box.specs(["describe"])] == ["describe"]
    assert box.specs(["add"])[0].parameters == add.parameters


@pytest.mark.anyio
async def test_a_tool_runs_as_often_at_once_as_it_allows() -> None:
    running = peak = 0

    @tool(concurrency=2)
    async def busy() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await anyio.wait_all_tasks_blocked()
        running -= 1

    box = ToolBox([busy])
    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(box.call, "busy", {})
    assert (running, peak) == (0, 2)


# --- a user's file


def test_a_file_gives_the_tools_that_it_defines(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from aios.tools import tool\nfrom aios.tools.builtin import clock\n@tool\ndef a() -> int: return 1\n"
    )
    assert [found.name for found in load_tools(path)] == ["a"]


@pytest.mark.parametrize(
    ("text", "why"), [("x = 1", "defines no tool"), ("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError")]
)
def test_a_file_that_is_no_good_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(BadRequest, match=why):
        load_tools(path)


def test_a_file_that_is_not_there_or_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_tools(tmp_path / "gone.py")
    (tmp_path / "tools.txt").touch()
    with pytest.raises(BadRequest, match=r"\.py"):
        load_tools(tmp_path / "tools.txt")
