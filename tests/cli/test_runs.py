"""Finding runs, and reading their journals."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aios.cli.record import runs
from aios.config import journal_path
from aios_syscalls import BadRequest, NotFound, StorageFailed

IDS = ("20260101-000000-aaaa", "20260102-000000-aaaa", "20260102-000000-bbbb")


@pytest.fixture
def three(story: Any) -> None:
    for run in IDS:
        story(run=run).write()


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("word", "run"), [("last", IDS[2]), (IDS[1], IDS[1]), ("20260101", IDS[0]), ("20260102-000000-b", IDS[2])]
)
def test_a_run_is_found_by_id_by_prefix_and_as_the_last(word: str, run: str) -> None:
    assert runs.resolve(word).id == run


@pytest.mark.usefixtures("three")
def test_a_prefix_of_several_runs_is_refused() -> None:
    with pytest.raises(BadRequest, match="2 runs begin with '20260102'"):
        runs.resolve("20260102")


@pytest.mark.usefixtures("three")
def test_a_run_that_there_is_not_is_not_found() -> None:
    with pytest.raises(NotFound, match="aios runs"):
        runs.resolve("2027")


def test_without_runs_the_first_is_suggested() -> None:
    with pytest.raises(NotFound, match="aios demo"):
        runs.resolve("last")


def test_a_journal_tells_what_the_events_told(busy: Any) -> None:
    history = runs.read(busy.write())
    assert [process.figures(history.now) for process in history.processes.values()] == [
        process.figures(busy.history.now) for process in busy.history.processes.values()
    ]


def test_a_kernel_that_never_started_leaves_no_run(story: Any) -> None:
    run = story()
    run.write()
    with sqlite3.connect(journal_path()) as db:
        db.execute("DELETE FROM event")
    db.close()
    with pytest.raises(StorageFailed, match="did not start"):
        runs.read(runs.resolve("last"))
    assert [each["state"] for each in runs.summaries(0)] == ["empty"]


def test_runs_are_summed_up_newest_first(story: Any) -> None:
    good, bad, gone = story(run=IDS[0]), story(run=IDS[1]), story(run=IDS[2])
    for run in (good, bad, gone):
        run.spawn(0.0, 1)
        run.spawn(0.0, 2)
        run.exit(1.5, 1)
    good.exit(2.0, 2)
    bad.exit(2.0, 2, "failed")
    for run in (good, bad, gone):
        run.write()
    found = list(runs.summaries(0))
    assert [(each["run"], each["state"], each["done"]) for each in found] == [
        (IDS[2], "broken off", 1),
        (IDS[1], "failed", 1),
        (IDS[0], "done", 2),
    ]
    assert [each["run"] for each in runs.summaries(1)] == [IDS[2]]


def test_a_run_whose_kernel_lives_is_running(story: Any) -> None:
    now = datetime.now(UTC)
    run = story(os_pid=os.getpid(), began=(now + timedelta(seconds=1)).isoformat())
    run.spawn(0.0, 1)
    assert runs.state(runs.read(run.write())) == "running"


def test_a_process_that_took_over_the_number_is_not_the_kernel(story: Any) -> None:
    run = story(os_pid=os.getpid(), began="2020-01-01T00:00:00.000+00:00")
    run.spawn(0.0, 1)
    assert runs.state(runs.read(run.write())) == "broken off"
