"""What calls took, added up over runs."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app
from aios.cli.flags import By
from aios.cli.record import usage
from aios.config import journal_path
from aios.record import Event, History, Kind, RunRecord
from aios.terminal.output import dollars
from aios_syscalls import StorageFailed

IDS = ("20260101-000000-aaaa", "20260102-000000-bbbb")


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def told(*words: str) -> Any:
    result = aios("usage", *words, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)


def tokens(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written}


@pytest.fixture
def two(story: Any) -> None:
    """A writer whose call leaves a small model for a big one, and asks a tool; a day later the same at a price that
    nobody knows, and a reader whose call is never ended."""
    first = story(run=IDS[0], began="2026-01-01T12:00:00.000+00:00")
    first.spawn(0.0, 1, "writer")
    first.add(0.0, Kind.ACCEPTED, 1, 1, name="llm.chat", call={})
    first.add(0.0, Kind.STARTED, 1, 1, lane="llm:small")
    first.add(1.0, Kind.LEFT, 1, 1, lane="llm:small", why="no", model="small", usage=tokens(10, 5), usd=0.25)
    first.add(1.0, Kind.STARTED, 1, 1, lane="llm:big")
    first.add(4.0, Kind.DONE, 1, 1, tokens=7, model="big-0711", usage=tokens(12, 7), usd=1.0)
    first.add(5.0, Kind.ACCEPTED, 1, 2, name="tool.call", call={})
    first.add(5.0, Kind.STARTED, 1, 2, lane="tool")
    first.add(5.5, Kind.DONE, 1, 2, reply={"value": 1})
    first.add(5.5, Kind.ACCEPTED, 1, 3, name="process.wait", call={})
    first.add(9.0, Kind.CANCELLED, 1, 3)
    first.exit(9.0, 1)
    first.write()
    second = story(run=IDS[1], began="2026-01-02T12:00:00.000+00:00")
    second.spawn(0.0, 1, "writer")
    second.spawn(0.0, 2, "/agents/reader.py")
    second.add(0.0, Kind.ACCEPTED, 1, 1, name="llm.chat", call={})
    second.add(0.0, Kind.STARTED, 1, 1, lane="llm:big")
    second.add(1.0, Kind.DONE, 1, 1, tokens=2, model="big", usage=tokens(3, 2), usd=None)
    second.add(1.0, Kind.ACCEPTED, 2, 2, name="llm.chat", call={})
    second.add(1.0, Kind.STARTED, 2, 2, lane="llm:small")
    second.add(3.0, Kind.ACCEPTED, 2, 3, name="llm.chat", call={})
    second.write()


def row(calls: int, read: int, written: int, seconds: float, usd: float, unpriced: int) -> dict[str, Any]:
    return {"calls": calls, **tokens(read, written), "seconds": seconds, "usd": usd, "unpriced_calls": unpriced}


TOTAL = row(5, 25, 14, 7.5, 1.25, 1)


@pytest.mark.usefixtures("two")
def test_by_agent() -> None:
    assert told() == {
        "by": "agent",
        "runs": 2,
        "rows": [
            {"agent": "writer", **row(3, 25, 14, 5.5, 1.25, 1)},
            {"agent": "/agents/reader.py", **row(2, 0, 0, 2.0, 0.0, 0)},
        ],
        "total": TOTAL,
        "passed_over": [],
    }


@pytest.mark.usefixtures("two")
def test_by_model_a_call_counts_at_each_that_it_was_on() -> None:
    found = told("--by", "model")
    assert found["rows"] == [
        {"model": "big", **row(2, 15, 9, 4.0, 1.0, 1)},
        {"model": "small", **row(2, 10, 5, 3.0, 0.25, 0)},
        {"model": None, **row(2, 0, 0, 0.5, 0.0, 0)},
    ]
    assert found["total"] == TOTAL


@pytest.mark.usefixtures("two")
def test_by_day_in_order() -> None:
    found = told("--by", "day")
    assert [(each["day"], each["calls"], each["usd"]) for each in found["rows"]] == [
        ("2026-01-01", 2, 1.25),
        ("2026-01-02", 3, 0.0),
    ]
    assert found["total"] == TOTAL


def test_a_day_is_one_of_this_machine(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = story(began="2026-01-01T23:30:00.000+00:00")
    run.spawn(0.0, 1)
    for number, at in enumerate((0.0, 7 * 3600.0), 1):
        run.call(number, 1, at, [(at, at + 1)])
    run.write()
    for zone, days in (("UTC-2", ["2026-01-02"]), ("UTC+8", ["2026-01-01"]), ("UTC", ["2026-01-01", "2026-01-02"])):
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            found = told("--by", "day")
        time.tzset()
        assert [each["day"] for each in found["rows"]] == days


@pytest.mark.usefixtures("two")
def test_one_run_or_what_was_called_since_a_time() -> None:
    assert told("--run", "20260101")["total"] == row(2, 22, 12, 4.5, 1.25, 0)
    assert told("--since", "2026-01-02")["total"] == row(3, 3, 2, 3.0, 0.0, 1)
    assert aios("usage", "--run", "2027").exit_code == 3
    assert aios("usage", "--since", "the day of the fox").exit_code == 2


@pytest.mark.usefixtures("two")
def test_for_people_what_nobody_knows_is_said() -> None:
    lines = aios("usage").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["AGENT", "CALLS", "PROMPT", "COMPLETION", "SECONDS", "USD"],
        ["writer", "3", "25", "14", "5.5", "1.25", "+", "unknown"],
        ["reader", "2", "0", "0", "2.0", "0"],
        ["total", "5", "25", "14", "7.5", "1.25", "+", "unknown"],
    ]
    assert "(no model)" in aios("usage", "--by", "model").stdout


def test_without_runs_it_says_how_to_make_one() -> None:
    result = aios("usage")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "make a run" in result.stderr
    assert told()["rows"] == []


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE event SET data = '{' WHERE kind = 'done' AND run = 1",
        "UPDATE event SET at = at + 1 WHERE kind = 'done' AND run = 1",
        "UPDATE event SET schema = 99 WHERE run = 1",
        "DELETE FROM event WHERE kind = 'accepted' AND run = 1",
        "UPDATE event SET data = '[]' WHERE kind = 'spawned' AND run = 1",
    ],
)
def test_a_run_whose_record_is_broken_is_named_and_passed_over(sql: str) -> None:
    with sqlite3.connect(journal_path()) as db:
        db.execute(sql)
    db.close()
    result = aios("usage", "--json")
    found = json.loads(result.stdout)
    assert found["total"] == row(3, 3, 2, 3.0, 0.0, 1)
    assert [error["code"] for error in found["passed_over"]] == ["storage_failed"]
    assert IDS[0] in result.stderr
    assert "passed over" in result.stderr
    assert aios("usage", "--run", IDS[0]).exit_code == 1


def test_a_file_that_is_no_journal_is_named() -> None:
    journal_path().parent.mkdir(parents=True, exist_ok=True)
    journal_path().write_bytes(b"not a database" * 100)
    result = aios("usage")
    assert result.exit_code == 1
    assert str(journal_path()) in result.stderr


def test_a_kernel_that_never_started_used_nothing(story: Any) -> None:
    run = story().write()
    with sqlite3.connect(run.path) as db:
        db.execute("DELETE FROM event")
    db.close()
    assert told()["total"]["calls"] == 0


def test_a_record_from_before_prices_were_known_has_none(story: Any) -> None:
    run = story()
    run.spawn(0.0, 1)
    run.add(0.0, Kind.ACCEPTED, 1, 1, name="llm.chat", call={})
    run.add(0.0, Kind.STARTED, 1, 1, lane="llm:tiny")
    run.add(1.0, Kind.DONE, 1, 1, tokens=4, model="tiny", reply={"text": "hi", "usage": tokens(6, 4)})
    run.write()
    assert told("--by", "model")["rows"] == [{"model": "tiny", **row(1, 6, 4, 1.0, 0.0, 1)}]
    assert "unknown" in aios("usage").stdout


def test_what_was_written_before_is_not_even_opened(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = story().write()
    assert list(usage.recorded()) == [run]
    assert list(usage.recorded(run.written + 1)) == []


def test_only_what_is_open_is_kept_in_memory(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0

    class Watched(History):
        def apply(self, event: Event) -> None:
            nonlocal most
            super().apply(event)
            most = max(most, len(self.calls) + len(self.processes))

    run = story()
    for pid in range(1, 301):
        run.spawn(float(pid), pid)
        run.call(pid, pid, float(pid), [(float(pid), pid + 0.5)])
        run.exit(pid + 0.75, pid)
    monkeypatch.setattr(usage, "History", Watched)
    found = usage.UsageSums(By.AGENT)
    found.read(run.write())
    assert (found.total.calls, most) == (300, 2)


def test_a_run_is_added_whole_or_not_at_all(story: Any) -> None:
    run = story()
    run.spawn(0.0, 1)
    run.call(1, 1, 0.0, [(0.0, 1.0)])
    run.add(2.0, Kind.STARTED, 1, 99, lane="llm:a")
    found = usage.UsageSums(By.AGENT)
    with pytest.raises(StorageFailed, match="makes no sense"):
        found.read(run.write())
    assert found == usage.UsageSums(By.AGENT)


def test_a_journal_that_went_away_is_told(tmp_path: Path) -> None:
    errors = list(
        usage.read(usage.UsageSums(By.DAY), [RunRecord(tmp_path / "none" / "journal.db", "r", 1, 1, 0.0, 0.0, 1, 1)])
    )
    assert [error.code for error in errors] == ["storage_failed"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.5, "1,234.50"), (0.125, "0.12"), (0.0123, "0.012"), (0.000012345, "0.000012"), (1e-12, "0")],
)
def test_money_has_cents_or_two_digits(value: float, text: str) -> None:
    assert dollars(value) == text
