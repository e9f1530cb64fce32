"""Programs as tasks of the kernel's own event loop: whatever they raise, they have failed, and the kernel goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aios.hosts.task import TaskHost
from aios.kernel import by_family, lone_run
from aios.python import module_command
from aios.record import SqliteJournal
from aios_syscalls import ProcessInfo, ProcessState, Spawn, Wait
from tests.cli import weights

HEAD = """
import anyio, asyncio, sys
class Odd(BaseException): pass
async def fails(): raise ValueError("inside")
async def main(agent, task):
"""
PROGRAMS = {
    "raise Odd('odd')": "raised Odd at program.py:6: odd",
    "raise KeyboardInterrupt": "raised KeyboardInterrupt at program.py:6",
    "raise GeneratorExit": "raised GeneratorExit",
    "raise BaseException('x')": "raised BaseException at program.py:6: x",
    "raise BaseExceptionGroup('g', [Odd('odd')])": "raised Odd at program.py:6: odd",
    "sys.exit(0)": "left by SystemExit(0) at program.py:6",
    "sys.exit('enough')": "left by SystemExit('enough')",
    "raise ValueError('no')": "raised ValueError at program.py:6: no",
    "raise StopIteration": "raised",
    "async with anyio.create_task_group() as tasks: tasks.start_soon(fails)": "ValueError at program.py:4: inside",
    "return 5": "returned int, not str",
    "return agent.ask('x')": "returned coroutine, not str: await it",
    "return None": "returned NoneType, not str: end it with `return`",
}


async def run(program: str, host: TaskHost, place: Path) -> ProcessInfo:
    async with SqliteJournal(place / "j.db") as journal, lone_run([], by_family, host, journal) as kernel:
        pid = (await kernel.submit(Spawn(program=program))).pid
        return (await kernel.submit(Wait(pid=pid))).process


@pytest.mark.anyio
@pytest.mark.parametrize("body", [body for body in PROGRAMS if body != "raise GeneratorExit"])
async def test_whatever_a_program_raises_it_has_failed(tmp_path: Path, body: str) -> None:
    (tmp_path / "program.py").write_text(f"{HEAD}    {body}\n")
    process = await run("program", TaskHost([tmp_path]), tmp_path)
    assert process.state is ProcessState.FAILED
    assert PROGRAMS[body] in str((process.error or {})["message"])


@pytest.mark.anyio
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, type("Odd", (BaseException,), {}), ValueError])
async def test_the_same_goes_for_programs_that_are_functions(tmp_path: Path, raised: type[BaseException]) -> None:
    async def main(agent: object, task: str) -> str:
        raise raised("because")

    process = await run("main", TaskHost(mains={"main": main}), tmp_path)
    assert process.state is ProcessState.FAILED
    assert f"{raised.__name__}" in str(process.error)


def command(place: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`aios run` of a program."""
    if not (place / "home").exists():
        weights.link(place / "home")
    (place / "program.py").write_text(text)
    environment = {**os.environ, "AIOS_HOME": str(place / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    words = module_command("aios", "run", str(place / "program.py"), *options)
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=120)


@pytest.mark.whole
def test_the_command_ends_when_a_program_raises_what_is_no_exception(tmp_path: Path) -> None:
    ended = command(tmp_path, f"{HEAD}    raise Odd", "--no-isolate")
    assert ended.returncode == 1
    assert "raised Odd at program.py:6" in ended.stderr


@pytest.mark.whole
def test_only_the_kernel_can_say_that_a_budget_was_spent(tmp_path: Path) -> None:
    forged = (
        "from aios_syscalls import BudgetExceeded\nasync def main(agent, task):\n    raise BudgetExceeded('spent')\n"
    )
    true = "async def main(agent, task):\n    return await agent.ask('hello')\n"
    codes = [command(tmp_path, text, "--budget-tokens", "1").returncode for text in (forged, true)]
    assert codes == [1, 5]
