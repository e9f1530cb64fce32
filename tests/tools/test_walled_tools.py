"""A tool with a process of its own has the wall of an agent: what it reaches behind it, and without it."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from aios.tools import ToolBox, load_tools
from aios.wall.agent import Walls, rung
from aios_syscalls import ToolFailed

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

TOOLS = '''
import os, re, socket, subprocess
from pathlib import Path
from aios.tools import tool

def fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()

ATTEMPTS = {
    "read a key": lambda place, port: Path(place, "home/.ssh/id").read_text(),
    "list the state": lambda place, port: os.listdir(Path(place, "state")),
    "read the state": lambda place, port: Path(place, "state/journal.db").read_text(),
    "write beside itself": lambda place, port: Path(place, "tools/planted.py").write_text("x"),
    "connect": lambda place, port: socket.create_connection(("127.0.0.1", port)).close(),
    "fork": lambda place, port: fork(),
    "start a program": lambda place, port: subprocess.run(["true"], check=True),
}

@tool(process=True)
def attempt(place: str, port: int) -> list[str]:
    """Which attempts succeed."""
    done = []
    for name, act in ATTEMPTS.items():
        try:
            act(place, port)
            done.append(name)
        except OSError as error:
            print(name, error)
    return done

@tool(process=True)
def fail(what: str, place: str) -> None:
    ATTEMPTS[what](place, 1)

@tool(process=True)
def honest() -> list[str]:
    """What a tool has: libraries, its neighbours, a place to write."""
    import numpy, ssl, tempfile, zoneinfo
    with tempfile.NamedTemporaryFile() as file:
        place = os.path.dirname(file.name)
    os.makedirs("deep/closed")
    os.chmod("deep/closed", 0)
    assert os.getcwd() == os.environ["HOME"] == place
    return [place, Path(__file__).with_name("words.txt").read_text(), Path("/proc/self/status").read_text()]

@tool(process=True)
def backtrack(fifo: str) -> bool:
    Path("kept").write_text("x")
    Path(fifo).read_text()
    return bool(re.match(r"(a+)+$", "a" * 60 + "b"))
'''
OF_FILES = ("read a key", "list the state", "read the state", "write beside itself")
STARTING = ("fork", "start a program")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of tools, beside the user's home and the kernel's state."""
    for name in ("tools", "home/.ssh", "state"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tools/mine.py").write_text(TOOLS)
    (tmp_path / "tools/words.txt").write_text("beside it")
    (tmp_path / "home/.ssh/id").write_text("the user's secret")
    (tmp_path / "state/journal.db").write_text("the record")
    return tmp_path


async def call(place: Path, walls: Walls, tool: str, /, **arguments: Any) -> Any:
    """What a tool of the directory answers behind such walls."""
    return await ToolBox(load_tools(place / "tools/mine.py"), walls).call(tool, arguments)


async def test_a_tools_process_gets_nowhere_by_default_and_everywhere_without_a_wall(place: Path) -> None:
    files = set() if rung() == "full" else set(OF_FILES)
    rest = {"connect", *STARTING} if rung() == "none" else set()
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = {
            name: set(await call(place, walls, "attempt", place=str(place), port=server.getsockname()[1]))
            for name, walls in {
                "default": Walls(),
                "another's": Walls(programs={"other": "off"}),
                "exec": Walls(level="exec"),
                "its own": Walls(programs={"attempt": "off"}),
                "off": Walls(level="off"),
            }.items()
        }
    assert done == {
        "default": files | rest,
        "another's": files | rest,
        "exec": files | rest | set(STARTING),
        "its own": {*OF_FILES, "connect", *STARTING},
        "off": {*OF_FILES, "connect", *STARTING},
    }


async def test_what_the_wall_refuses_a_tool_is_said_with_what_to_do(place: Path) -> None:
    wrong = {}
    for what, words in {"read a key": "opens no files", "connect": "network", "fork": "start programs"}.items():
        with pytest.raises((ToolFailed, ConnectionError)) as caught:
            await call(place, Walls(), "fail", what=what, place=str(place))
        said = str(caught.value)
        if not re.search(rf"the wall around agents.*{words}.*programs = {{ \"fail\" = \"off\" }}", said):
            wrong[what] = said
    assert not wrong or rung() != "full", wrong


async def test_an_error_of_its_own_says_nothing_of_a_wall(place: Path) -> None:
    for walls in (Walls(), Walls(level="off")):
        with pytest.raises(ToolFailed, match="raised KeyError") as caught:
            await call(place, walls, "fail", what="nothing of the kind", place=str(place))
        assert "the wall" not in caught.value.message


async def test_an_honest_tool_has_its_libraries_its_neighbours_and_a_directory_that_goes_with_it(place: Path) -> None:
    scratch, beside, status = await call(place, Walls(), "honest")
    assert beside == "beside it"
    assert scratch.startswith(os.path.realpath(tempfile.gettempdir()))
    assert not Path(scratch).exists()
    bounds = {name: value.strip() for name, _, value in (line.partition(":") for line in status.splitlines())}
    if rung() != "none":
        assert (bounds["NoNewPrivs"], bounds["Seccomp"]) == ("1", "2")


async def test_the_scratch_directory_of_a_tool_that_is_killed_goes_too(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary := place / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    os.mkfifo(fifo := place / "tools/fifo")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(call, place, Walls(), "backtrack", fifo=str(fifo)))
        await to_thread.run_sync(fifo.write_text, "")  # returns once the tool reads
        assert [path.name for path in temporary.glob("*/*")] == ["kept"]
        tasks.cancel_scope.cancel()
    assert not list(temporary.iterdir())
