"""A run on a daemon that is killed with -9, its programs' processes alive in their client: it goes on, on the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from aios.boot import Durability, resumable, run_on_daemon
from aios.config import Config, journal_path
from aios.record import runs
from aios_syscalls import BadRequest, Conflict, NoKernel, ProcessInfo, Spawn, Wait
from tests.daemon.test_daemon_process import scripted_daemon

pytestmark = pytest.mark.whole

STEPS = """
async def main(agent, task):
    for step in range(6):
        told = (await agent.chat(f"step {step}", max_tokens=3)).text
        await agent.append("steps.txt", f"{step} {told}\\n")
    return f"{await agent.read('steps.txt')}{len(await agent.history('steps.txt'))}"
"""
WHOLE = "".join(f"{step} word word word \n" for step in range(6)) + "6"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "steps.py").write_text(STEPS)
    (tmp_path / "files").mkdir()
    return Config(root=tmp_path / "files", agents=(tmp_path / "programs",))


async def lines(path: Path, count: int) -> None:
    with anyio.fail_after(60):
        while not path.exists() or path.read_text().count("\n") < count:
            await anyio.sleep(0.01)


def cut_off(config: Config, tmp_path: Path, durability: Durability | None) -> int:
    """The pid of a program whose daemon is killed after three of its steps."""
    pids: list[int] = []

    async def run_until_killed(kill: Callable[[], None]) -> None:
        async with run_on_daemon(config, durable=durability) as run:
            pids.append((await run.run.submit(Spawn(program="steps"))).pid)
            await lines(tmp_path / "files" / "steps.txt", 3)
            kill()
            await run.run.submit(Wait(pid=pids[0]))

    with scripted_daemon() as daemon, pytest.raises(NoKernel):
        anyio.run(run_until_killed, daemon.kill)
    return pids[0]


async def resumed(config: Config, durability: Durability, pid: int) -> ProcessInfo:
    async with run_on_daemon(config, durable=durability) as run:
        with pytest.raises(Conflict, match="goes on already"):
            async with run_on_daemon(config, durable=durability):
                pass
        return (await run.run.submit(Wait(pid=pid))).process


def test_it_comes_to_what_it_would_have_come_to(config: Config, tmp_path: Path) -> None:
    pid = cut_off(config, tmp_path, Durability())
    with scripted_daemon():
        (record,) = runs(journal_path())
        durability, again = resumable(record)
        process = anyio.run(resumed, again, durability, pid)
    assert (process.pid, process.result, process.error) == (pid, WHOLE, None)


def test_control_one_that_is_not_durable_is_gone(config: Config, tmp_path: Path) -> None:
    cut_off(config, tmp_path, None)
    (record,) = runs(journal_path())
    with pytest.raises(BadRequest, match="cannot be resumed"):
        resumable(record)
