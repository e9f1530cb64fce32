"""The demonstration: what it needs is shipped."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from aios.cli.machine.inventory import shipped_texts
from aios.cli.run.demo import JOBS, prepare
from aios.cli.run.execution import execute
from aios.cli.run.jobs import ProgramJob, check
from aios.cli.run.view import PlainView
from aios.config import Config, runs_directory
from aios.models.scripted import ScriptedModel


def test_the_first_eight_jobs_show_many_programs() -> None:
    assert len(JOBS) >= 8
    assert len({job.program for job in JOBS[:8]}) >= 4


def test_every_job_has_its_program_and_its_text() -> None:
    check(JOBS, Config())
    texts = shipped_texts()
    assert texts is not None
    for job in JOBS:
        if job.program in ("summarise", "extract", "classify", "planner"):
            assert (texts / job.task).exists(), job


def test_agents_work_on_a_copy_of_the_texts() -> None:
    directory, files = prepare()
    assert directory.parent == runs_directory()
    assert files.is_relative_to(directory)
    assert (files / "town-news.txt").is_file()
    assert prepare()[0] != directory


@pytest.mark.whole
@pytest.mark.anyio
async def test_programs_run_in_processes_of_their_own(programs: Path) -> None:
    jobs = [ProgramJob("echo", "one"), ProgramJob(str(programs.parent / "elsewhere.py"), "two")]
    config = Config(agents=(programs,))
    outcome = await execute(jobs, config, PlainView(StringIO()), models=[ScriptedModel("x")])
    assert [process.result for process in outcome.history.processes.values()] == ["one", "two"]
    assert outcome.run
    assert (outcome.run.directory / "agents" / "1.log").is_file()
