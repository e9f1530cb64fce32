"""Running agents from the command, on a scripted model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from aios.cli.run.execution import RunOutcome, execute
from aios.cli.run.jobs import ProgramJob
from aios.cli.run.view import PlainView
from aios.config import Config, LimitsConfig, SchedulerConfig, journal_path, runs_directory
from aios.hosts.program import Main
from aios.models.scripted import ScriptedModel
from aios.record import History, read_events
from aios.sdk import Agent
from aios.terminal.exit import Code
from aios_syscalls import BadRequest, Budget

SIX = "one two three four five six"


async def say(agent: Agent, task: str) -> str:
    return f"{task}: {await agent.ask(task)}"


async def fail(agent: Agent, task: str) -> str:
    await agent.ask(task)
    raise ValueError("no luck")


async def mother(agent: Agent, task: str) -> str:
    await agent.spawn("say", "child")
    return "left"


async def resilient(agent: Agent, task: str) -> str:
    try:
        return await agent.run("fail")
    except Exception:
        return "went on without"


MAINS: Mapping[str, Main] = {"say": say, "fail": fail, "mother": mother, "resilient": resilient}


async def outcome_of(*jobs: ProgramJob, config: Config | None = None, **options: Any) -> tuple[RunOutcome, str]:
    stream = StringIO()
    options = {"models": [ScriptedModel(SIX, slots=1)], "mains": MAINS, **options}
    config = config or Config(scheduler=SchedulerConfig(policy="round_robin", slice=2))
    return await execute(jobs, config, PlainView(stream), **options), stream.getvalue()


@pytest.mark.anyio
async def test_every_job_is_run_to_its_end() -> None:
    outcome, talk = await outcome_of(ProgramJob("say", "a"), ProgramJob("say", "b"))
    assert outcome.code is Code.OK
    assert [process.result for process in outcome.history.processes.values()] == [f"a: {SIX}", f"b: {SIX}"]
    assert [process.figures(1)["preemptions"] for process in outcome.history.processes.values()] == [2, 2]
    assert outcome.history.ended_once()
    assert "process 1 say done" in talk
    assert "process 2 say done" in talk


@pytest.mark.anyio
async def test_a_run_that_failed_for_its_budget_alone_says_so() -> None:
    outcome, talk = await outcome_of(ProgramJob("say", "a"), config=Config(budget=Budget(calls=0)))
    assert outcome.code is Code.LIMIT
    assert "all processes together may use 0 syscalls" in talk
    outcome, _ = await outcome_of(
        ProgramJob("say", "a"), ProgramJob("fail", "b"), config=Config(budgets={"say": Budget(calls=0)})
    )
    assert [process.state for process in outcome.history.processes.values()] == ["failed", "failed"]
    assert outcome.code is Code.ERROR


@pytest.mark.anyio
async def test_the_journal_has_what_was_seen() -> None:
    outcome, _ = await outcome_of(ProgramJob("say", "a"), ProgramJob("fail", "b"))
    assert outcome.run
    written = History.of(read_events(outcome.run.journal))
    seen = [process.figures(9) for process in outcome.history.processes.values()]
    assert [process.figures(9) for process in written.processes.values()] == seen
    assert written.kinds == outcome.history.kinds


@pytest.mark.anyio
async def test_a_program_run_by_its_path_is_in_the_fingerprint(tmp_path: Path) -> None:
    program = tmp_path / "mine.py"
    program.write_text("async def main(agent, task): return task")
    outcome, _ = await outcome_of(ProgramJob(str(program), "a"), config=Config(isolate=False), mains=None)
    assert outcome.code is Code.OK
    assert outcome.recorded.fingerprint
    assert outcome.recorded.fingerprint["programs"][str(program)]


@pytest.mark.anyio
async def test_an_agent_that_fails_fails_the_command_and_nobody_else() -> None:
    outcome, talk = await outcome_of(ProgramJob("fail", ""), ProgramJob("say", "b"))
    assert outcome.code is Code.ERROR
    assert [process.state for process in outcome.history.processes.values()] == ["failed", "done"]
    assert "fail raised ValueError: no luck" in talk


@pytest.mark.anyio
async def test_a_child_that_fails_is_its_parents_to_judge() -> None:
    outcome, _ = await outcome_of(ProgramJob("resilient", ""))
    assert [process.state for process in outcome.history.processes.values()] == ["done", "failed"]
    assert outcome.code is Code.OK


@pytest.mark.anyio
async def test_children_left_behind_are_waited_for() -> None:
    outcome, _ = await outcome_of(ProgramJob("mother", ""))
    assert [process.result for process in outcome.history.processes.values()] == ["left", f"child: {SIX}"]


@pytest.mark.anyio
async def test_an_error_of_the_run_leaves_what_was_done() -> None:
    config = Config(limits=LimitsConfig(processes=1))
    outcome, _ = await outcome_of(ProgramJob("say", "a"), ProgramJob("say", "b"), config=config)
    assert outcome.failure is not None
    assert outcome.failure.code == "overloaded"
    assert outcome.code is Code.LIMIT
    assert len(outcome.history.processes) == 1
    assert outcome.history.ended_once()


@pytest.mark.anyio
async def test_a_run_may_be_given_its_directory() -> None:
    directory = runs_directory() / "20260101-000000-cafe"
    outcome, _ = await outcome_of(ProgramJob("say", "a"), directory=directory)
    assert outcome.run
    assert outcome.run.journal == journal_path()
    assert outcome.recorded.id == directory.name
    assert outcome.history.facts["run"] == "20260101-000000-cafe"


@pytest.mark.anyio
async def test_a_kernel_that_does_not_start_raises_its_error() -> None:
    with pytest.raises(BadRequest, match="no model 'other'"):
        await outcome_of(ProgramJob("say", "a"), config=Config(model="other"))


INTERRUPTED = """
import sys
from aios.cli.commands.work import _execute
from aios.cli.run.jobs import ProgramJob
from aios.config import Config
from aios.models.scripted import ScriptedModel
import anyio

async def quick(agent, task):
    return "was in time"

async def slow(agent, task):
    return await agent.ask("never ends", max_tokens=10**9)

async def stubborn(agent, task):
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()

mains = {"quick": quick, "slow": slow, "stubborn": stubborn}
jobs = [ProgramJob(name, "") for name in sys.argv[1:]]
model = ScriptedModel("word " * 100_000, delay_s=0.01)
sys.exit(_execute(jobs, Config(), False, models=[model], mains=mains))
"""


@contextmanager
def started(*programs: str) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, of which `quick` has ended."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", INTERRUPTED, *programs]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as run:
        try:
            assert run.stderr is not None
            assert "quick done" in run.stderr.readline()
            yield run
        finally:
            run.kill()


@pytest.mark.whole
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupt_cancels_and_shows_what_there_is(number: int) -> None:
    with started("quick", "slow") as run:
        run.send_signal(number)
        out, talk = run.communicate()
    assert run.returncode == 130
    assert "cancelling" in talk
    assert "was in time" in out
    assert "2 processes: 1 done, 1 killed" in talk
    assert "each ended once" in talk


@pytest.mark.whole
def test_the_second_interrupt_ends_at_once() -> None:
    with started("quick", "stubborn") as run:
        run.send_signal(signal.SIGINT)
        assert run.stderr is not None
        assert "cancelling" in run.stderr.readline()
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate()
    assert run.returncode == 130
    assert out == ""


@pytest.mark.whole
def test_a_thread_that_hangs_does_not_keep_the_command() -> None:
    code = (
        "import threading, aios.cli, aios.cli.app\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "aios.cli.app.app = lambda **_: (print('done'), exit(3))\n"
        "aios.cli.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (ran.returncode, ran.stdout) == (3, "done\n")
