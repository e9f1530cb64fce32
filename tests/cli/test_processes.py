"""The processes of all runs of a home, and what is said of those that cannot be ended."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app
from aios.cli.daemon.logs import last_lines
from aios.cli.record import table
from aios.config import journal_path
from aios.record import SqliteJournal

IDENT = "20260102-030405-abcd"


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@asynccontextmanager
async def going_on(*stories: Any) -> AsyncIterator[None]:
    """Runs of a kernel that lives, which is this process."""
    async with SqliteJournal(journal_path()) as journal:
        for story in stories:
            for event in sorted(story.events, key=lambda event: event.at):
                journal.record(event._replace(run=story.events[0].data["run"]))
        await journal.flush()
        yield


def whole(story: Any) -> Any:
    run = story(run="20250101-000000-0000")
    run.spawn(0.0, 90)
    run.exit(1.0, 90)
    return run


def half(story: Any) -> Any:
    """A run of which two processes go on: one waits for a model, its child for nothing."""
    run = story()
    run.spawn(0.0, 1, "planner", "plan the week")
    run.spawn(0.1, 2, "worker", "monday", parent=1)
    run.spawn(0.2, 3, "worker", "tuesday", parent=1)
    run.spawn(0.3, 4, "helper", parent=2)
    run.exit(0.4, 3)
    run.call(1, 1, 0.5, [(0.5, 0.6)])
    run.call(2, 1, 0.7, [(0.8, 0.9)], end=None)
    return run


def test_ps_lists_what_lives_of_every_kernel(story: Any) -> None:
    whole(story).write()

    async def look() -> tuple[list[table.ProcessRow], list[table.ProcessRow]]:
        async with going_on(half(story)):
            return table.rows(), table.rows(everything=True)

    living, everything = anyio.run(look)
    assert [(row.pid, row.state, row.kernel, row.os_pid, row.alive) for row in living] == [
        (1, "queued", "embedded", os.getpid(), True),
        (2, "running", "embedded", os.getpid(), True),
        (4, "running", "embedded", os.getpid(), True),
    ]
    assert [(row.pid, row.state, row.kernel) for row in everything if not row.alive] == [
        (3, "done", "embedded"),
        (90, "done", ""),
    ]


def test_the_tree_draws_children_below_their_parents(story: Any) -> None:
    half(story).write()
    told = aios("ps", "--all", "--tree").stdout.splitlines()
    drawn = [line[len("PID  ") : told[0].index("TASK")].rstrip() for line in told[1:]]
    assert drawn == ["planner", "|- worker", "|  `- helper", "`- worker"]


def test_where_nothing_lives_ps_says_what_lists_the_rest(story: Any) -> None:
    whole(story).write()
    result = aios("ps")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "aios ps --all" in result.stderr
    assert json.loads(aios("ps", "--json").stdout) == {"processes": []}


def test_a_process_whose_kernel_is_gone_and_who_has_no_end_on_record_is_broken_off(story: Any) -> None:
    half(story).write()
    states = {row.pid: row.state for row in table.rows(everything=True)}
    assert states == {1: "broken off", 2: "broken off", 3: "done", 4: "broken off"}


@pytest.mark.parametrize("command", [["status"], ["down"], ["reload"], ["kill", "7"]])
def test_without_a_daemon_what_needs_one_ends_with_4_and_says_how_to_start_it(command: list[str]) -> None:
    result = aios(*command)
    assert (result.exit_code, result.stdout) == (4, "")
    assert "aios up" in result.stderr


def test_killing_a_process_that_has_ended_is_not_found(story: Any) -> None:
    whole(story).write()
    result = aios("kill", "90")
    assert result.exit_code == 3
    assert "process 90 of run 20250101-000000-0000 has ended" in result.stderr


def test_killing_a_process_of_a_kernel_of_its_own_says_how_that_is_ended(story: Any) -> None:
    async def look() -> Result:
        async with going_on(half(story)):
            return await anyio.to_thread.run_sync(aios, "kill", "2")

    result = anyio.run(look)
    assert result.exit_code == 1
    assert "Ctrl-C" in result.stderr
    assert f"kill {os.getpid()}" in result.stderr


def test_what_an_agent_printed_is_found_by_its_pid(story: Any) -> None:
    whole(story).write()
    assert aios("logs", "90").exit_code == 3
    log = journal_path().parent / "runs" / "20250101-000000-0000" / "agents" / "90.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\nthree")
    assert aios("logs", "90").stdout == "one\ntwo\nthree\n"
    assert aios("logs", "90", "-n", "2").stdout == "two\nthree\n"
    assert aios("logs", "90", "-n", "0").stdout == ""
    assert json.loads(aios("logs", "90", "-n", "1", "--json").stdout)["lines"] == ["three"]
    assert aios("logs", "91").exit_code == 3


def test_the_end_of_a_long_log_is_read_and_nothing_else(story: Any) -> None:
    whole(story).write()
    log = journal_path().parent / "runs" / "20250101-000000-0000" / "agents" / "90.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number} {'x' * 100}\n" for number in range(5_000)))
    lines = aios("logs", "90", "-n", "1500").stdout.splitlines()
    assert (len(lines), lines[0].split()[1], lines[-1].split()[1]) == (1_500, "3500", "4999")


def test_a_log_is_followed_line_by_line_also_into_the_file_that_takes_its_place(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthr")
    lines = last_lines(log, 2, follow=True)
    assert next(lines) == "two"
    with open(log, "a") as file:
        file.write("ee\nfour\n")
    assert [next(lines), next(lines)] == ["three", "four"]
    with open(log, "a") as file:
        file.write("five")
    log.rename(tmp_path / "log.1")
    log.write_text("six\n")
    assert [next(lines), next(lines)] == ["five", "six"]
    lines.close()


def test_without_any_log_of_the_daemon_the_first_step_is_told() -> None:
    result = aios("logs")
    assert result.exit_code == 3
    assert "aios up" in result.stderr


def test_a_unit_for_systemd_names_this_python_and_this_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOS_HOME", "/tmp/a b/100%/ü")
    told = aios("up", "--systemd").stdout
    assert 'Environment="AIOS_HOME=/tmp/a b/100%%/ü"' in told
    assert "-P -m aios.server.daemon" in told
