"""What policies learn is there for the next run, and is no more than a memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from aios.kernel.service_history import FORGOTTEN, KEPT, TOGETHER, ServiceHistory
from aios.scheduler import Gittins
from tests.scheduler.jobs import Task, run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "scheduler.db"


def taught(place: Path, *names: str, lane: str = "tiny") -> ServiceHistory:
    """A memory of one run of each of these programs, the first of 1 token, the second of 2, and so on."""
    totals = ServiceHistory(place)
    scheduler = Gittins(8, learnt=totals.learnt(lane))
    for number, name in enumerate(names, 1):
        scheduler.began(number, name, "user")
        run(scheduler, Task(number, number, program=name), number)
        scheduler.ended(number)
    return totals


def test_a_policy_goes_on_with_what_the_last_run_learnt(place: Path) -> None:
    first = taught(place, *(["short"] * 40 + ["long"] * 40))
    first.close()
    again = ServiceHistory(place)
    fresh = Gittins(8, learnt=again.learnt("tiny"))
    fresh.add(Task(1, 1, program="long"), 0)
    fresh.add(Task(2, 2, program="short"), 1)
    assert fresh.next(2).id == 2  # it came later, and nothing of this run has ended
    assert again.count() == (80, 2)
    assert again.learnt("other").rank("short", 0) == 0.0
    assert first.trouble == again.trouble == ""
    again.close()


def test_what_a_stopping_kernel_cuts_off_teaches_nothing(place: Path) -> None:
    totals = ServiceHistory(place)
    scheduler = Gittins(8, learnt=totals.learnt("tiny"))
    scheduler.began(1, "agent", "user")
    scheduler.add(Task(1, 1))
    scheduler.served(scheduler.next(), 0, 5)
    totals.close()
    scheduler.done(Task(1, 1))
    scheduler.ended(1)
    again = ServiceHistory(place)
    assert again.count() == (0, 0)
    again.close()


def test_a_kernel_that_is_killed_loses_the_last_few(place: Path) -> None:
    totals = taught(place, *(["agent"] * (TOGETHER + 5)))
    with sqlite3.connect(place) as database:
        assert database.execute("SELECT count(*) FROM totals").fetchone() == (TOGETHER,)
    database.close()
    totals.close()


def test_the_newest_are_kept_and_the_old_forgotten(place: Path) -> None:
    taught(place, *(["rare"] + ["usual"] * (KEPT + 10))).close()
    with sqlite3.connect(place) as database:
        counts = dict(database.execute("SELECT program, count(*) FROM totals GROUP BY program"))
        assert counts == {"rare": 1, "usual": KEPT}
        assert database.execute("SELECT min(service) FROM totals WHERE program = 'usual'").fetchone() == (12.0,)
        database.execute("UPDATE totals SET day = day - ? WHERE program = 'rare'", (FORGOTTEN + 1,))
    database.close()
    taught(place, "new").close()
    totals = ServiceHistory(place)
    assert totals.count() == (KEPT + 1, 2)
    totals.close()


@pytest.mark.parametrize("how", ["garbage", "another table", "no directory"])
def test_a_broken_file_is_told_and_does_not_hurt(how: str, place: Path) -> None:
    if how == "no directory":
        place.parent.write_text("a file")
    else:
        place.parent.mkdir()
        if how == "garbage":
            place.write_bytes(b"not a database" * 1000)
        else:
            with sqlite3.connect(place) as database:
                database.execute("CREATE TABLE totals (x)")
            database.close()
    totals = taught(place, "a", "b")
    totals.close()
    assert totals.trouble.startswith(f"what the scheduler learns is not kept: {place}: ")
    assert totals.count() == (0, 0)


def test_rows_that_make_no_sense_are_passed_over(place: Path) -> None:
    taught(place, "sound").close()
    with sqlite3.connect(place) as database:
        rows = [("a", "many"), ("a", -5.0), ("a", None), ("a", float("inf"))]
        database.executemany("INSERT INTO totals VALUES (julianday('now'), 'tiny', ?, ?)", rows)
    database.close()
    totals = ServiceHistory(place)
    learnt = totals.learnt("tiny")
    assert learnt.pooled.count == 1
    totals.close()
