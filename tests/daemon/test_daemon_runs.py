"""Runs on the daemon whose programs this process hosts, and commands under `aios exec`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aios.boot import boot, run_on_daemon
from aios.cli.run.command import execute
from aios.config import Config
from aios.hosts import default_directories
from aios.link.place import Place
from aios.models.scripted import ScriptedModel
from aios.record import Event, Kind
from aios_syscalls import Chat, ListProcesses, ProcessState, Spawn, Wait
from tests.daemon.conftest import Serving

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

SHIPPED = default_directories()[0]
PROGRAMS = sorted(path.stem for path in SHIPPED.glob("[!_]*.py"))
TEXTS = SHIPPED / "texts"

NUMBER = re.compile(r"-\d+(?=\.)")
"""The pid in the name of a file that a program has made."""
KEEPS = """
async def main(agent, task):
    await agent.write("mine.txt", task)
    seen = [each.path for each in await agent.list()]
    mates = [each.pid for each in await agent.ps()]
    found = await agent.read("mine.txt")
    return repr((seen, found, mates == [agent.pid], await agent.ask("who?")))
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def says(chat: Chat) -> str:
    """Something of each form that is asked for, the same each time."""
    if chat.response_schema is None:
        return f"{len(chat.messages)} messages."
    options = chat.response_schema.get("enum")
    return json.dumps(options[0] if options else dict.fromkeys(chat.response_schema.get("properties", {}), "x"))


async def ended(opening: Any, program: str, task: str) -> tuple[Any, ...]:
    """How a program ended in a run."""
    async with opening as run:
        pid = (await run.run.submit(Spawn(program=program, task=task))).pid
        process = (await run.run.submit(Wait(pid=pid))).process
        error = (process.error or {}).get("code")
        return process.program, process.state, NUMBER.sub("-PID", process.result or ""), error


def outline(events: Sequence[Event]) -> list[list[str]]:
    """The calls of each process, in the order in which the processes began, and how each ended.

    How far one had come that was killed is chance.
    """
    calls: dict[int, list[str]] = defaultdict(list)
    for event in events:
        if event.kind is Kind.ACCEPTED:
            calls[event.pid].append(event.data["name"])
        elif event.kind in (Kind.DONE, Kind.FAILED, Kind.EXITED):
            calls[event.pid].append(str(event.kind))
        if event.kind is Kind.EXITED and event.data["state"] == ProcessState.KILLED:
            calls[event.pid] = ["killed"]
    return [sorted(each) for pid, each in sorted(calls.items()) if pid]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_program_ends_on_the_daemon_as_on_a_kernel_of_its_own(
    serving: Serving, tmp_path: Path, program: str
) -> None:
    task = {"answer": "Who?", "tool_user": "What is 2 + 2?"}.get(program, "town-news.txt")
    found = []
    for name in ("own", "daemon"):
        root = tmp_path / name
        root.mkdir()
        for text in TEXTS.glob("*.*"):
            (root / text.name).write_bytes(text.read_bytes())
        config, events = Config(root=root, seed=7), list[Event]()
        if name == "own":
            opening: Any = boot(config, models=[ScriptedModel(says)], observers=[events.append])
            found.append((await ended(opening, program, task), outline(events)))
        else:
            async with serving(says) as served:
                served.daemon.config = served.daemon.config.model_copy(update={"seed": 7})
                opening = run_on_daemon(config, observers=[events.append])
                found.append((await ended(opening, program, task), outline(events)))
    assert found[0] == found[1]
    assert found[0][1]


async def test_eight_runs_from_eight_places_see_nothing_of_each_other(serving: Serving, tmp_path: Path) -> None:
    found: dict[int, str] = {}

    async def run(number: int) -> None:
        place = tmp_path / f"place-{number}"
        (place / "programs").mkdir(parents=True)
        (place / "root").mkdir()
        (place / "programs" / "keeps.py").write_text(KEEPS.replace("who?", f"who is {number}?"))
        config = Config(root=place / "root", agents=(place / "programs",))
        async with run_on_daemon(config) as opened:
            pid = (await opened.run.submit(Spawn(program="keeps", task=f"of {number}"))).pid
            process = (await opened.run.submit(Wait(pid=pid))).process
            assert [each.pid for each in (await opened.run.submit(ListProcesses())).processes] == [pid]
            found[number] = process.result or str(process.error)

    async with serving(lambda chat: chat.messages[-1].content, slots=4):
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(run, number)
    wanted = {n: repr((["mine.txt"], f"of {n}".encode(), True, f"who is {n}?")) for n in range(8)}
    text = {n: repr((["mine.txt"], f"of {n}", True, f"who is {n}?")) for n in range(8)}
    assert found in (wanted, text)


ASKS = """
import json, os, sys, urllib.request
assert not [name for name in ("GROQ_API_KEY", "AWS_BEARER_TOKEN_BEDROCK") if name in os.environ], os.environ
body = json.dumps({"model": "any", "messages": [{"role": "user", "content": "hi"}]}).encode()
head = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}
asked = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, head)
said = json.load(urllib.request.urlopen(asked))["choices"][0]["message"]["content"]
sys.exit(7 if said == "pong" else 1)
"""
WAITS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


async def test_a_command_is_led_to_the_daemon_without_the_users_keys(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "secret")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "secret")
    async with serving("pong"):
        code = await execute([sys.executable, "-c", ASKS], Config(root=tmp_path), "asker", 0)
    assert code == 7


async def test_a_killed_command_ends_with_its_children(serving: Serving, tmp_path: Path) -> None:
    told = tmp_path / "child"
    codes = []

    async def run() -> None:
        codes.append(await execute([sys.executable, "-c", WAITS, str(told)], Config(root=tmp_path), None, 0))

    async with serving("x") as served, anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        while not (told.exists() and told.read_text()):
            await anyio.lowlevel.checkpoint()
        (run_id,) = (await served.ask(status=True))["runs"]
        (pid,) = [process.pid for process in served.kernel.runs[run_id].processes]
        await served.ask(kill=pid)
    assert codes
    assert codes[0] > 128
    assert not lives(int(told.read_text()))


async def test_control_a_command_that_is_left_alone_ends_by_itself(serving: Serving, tmp_path: Path) -> None:
    async with serving("x"):
        assert await execute([sys.executable, "-c", "raise SystemExit(3)"], Config(root=tmp_path), None, 0) == 3


async def test_the_sessions_of_a_command_are_its_children_and_share_its_budget(
    serving: Serving, tmp_path: Path
) -> None:
    script = ASKS.replace("sys.exit(7 if said", "asked.data = body; urllib.request.urlopen(asked); sys.exit(7 if said")
    config = Config(root=tmp_path, budget={"calls": 1})
    async with serving("pong"):
        assert await execute([sys.executable, "-c", script], config, "asker", 0) == 1  # the second was refused


def lives(os_pid: int) -> bool:
    try:
        os.kill(os_pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{os_pid}/stat").read_text().split(")")[1].split()[0]


def test_the_place_of_the_daemon_is_closed_to_others(tmp_path: Path) -> None:
    place = Place(tmp_path / "home" / "state" / "daemon")
    place.make()
    assert place.directory.stat().st_mode & 0o077 == 0
