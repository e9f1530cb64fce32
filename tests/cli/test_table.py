"""The process table and the results of a run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aios.cli.record import calls, outcome
from aios.cli.run import view
from aios.record import ProcessRecord
from aios.terminal.table import label, processes
from aios_syscalls import CallId


def printed(*parts: Any, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width, markup=False, highlight=False)
    for part in parts:
        console.print(part)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_figures_stand_in_their_columns(busy: Any) -> None:
    rows = [line.split() for line in printed(processes(outcome.figures(busy.history))).splitlines()]
    assert rows[0] == ["PID", "PROGRAM", "TASK", "STATE", "WAIT", "RUN", "TOKENS", "SLICES", "PREEMPTED"]
    assert rows[1] == ["1", "summarise", "notes.txt", "done", "1.0s", "2.0s", "20", "2", "1"]
    assert rows[3] == ["3", "worker", "monday", "failed", "4.0s", "1.0s", "0", "2", "0"]


@pytest.mark.parametrize("width", [80, 140])
def test_a_long_task_gives_way(story: Any, width: int) -> None:
    run = story()
    run.spawn(0.0, 1, "summarise", "a task of " + "many words " * 30)
    lines = printed(processes(outcome.figures(run.history)), width=width).splitlines()
    assert len(lines) == 2
    assert "…" in lines[1]
    assert lines[1].rstrip().endswith("0")
    assert len(lines[1]) <= width


def test_markup_and_escapes_of_an_agent_are_only_text(story: Any) -> None:
    run = story()
    run.spawn(0.0, 1, "summarise", "[bold red]x[/]")
    run.exit(1.0, 1, result="[link=evil]\x1b[2J")
    console = Console(file=StringIO(), width=80, markup=False, highlight=False)
    outcome.show(console, run.history)
    text = str(console.file.getvalue())  # type: ignore[attr-defined]
    assert "[bold red]x[/]" in text
    assert "[link=evil]\ufffd[2J" in text
    assert "\x1b" not in text


def test_a_program_given_by_path_is_shown_by_name() -> None:
    assert label("/home/me/agents/plan.py") == "plan"
    assert label("plan") == "plan"


def test_the_object_of_a_run_has_every_figure(busy: Any) -> None:
    run = outcome.to_json(busy.history, Path("journal.db"))
    assert run["run"] == "20260102-030405-abcd"
    assert (run["scheduler"], run["slice"], run["models"]) == ("round_robin", 16, {"tiny": 2})
    assert [(each["pid"], each["state"], each["preemptions"]) for each in run["processes"]] == [
        (1, "done", 1),
        (2, "done", 1),
        (3, "failed", 0),
    ]
    assert run["syscalls"] == {
        "accepted": 4,
        "done": 3,
        "failed": 1,
        "cancelled": 0,
        "expired": 0,
        "unknown": 0,
        "ended_once": True,
    }
    assert (run["elapsed_s"], run["trace"]) == (5.0, "journal.db")


def test_a_run_is_summed_up(busy: Any) -> None:
    assert outcome.summary(busy.history) == (
        "3 processes: 2 done, 1 failed; 4 syscalls, each ended once\n"
        "44 tokens in 5.0s, 9 a second, under round_robin, slice 16"
    )


def test_the_results_of_children_are_shown_only_when_something_went_wrong(busy: Any, story: Any) -> None:
    console = Console(file=StringIO(), width=80)
    outcome.show(console, busy.history)
    assert "failed: it fell over" in console.file.getvalue()  # type: ignore[attr-defined]
    run = story()
    run.spawn(0.0, 1)
    run.spawn(0.0, 2, parent=1)
    run.exit(1.0, 1, result="mother's")
    run.exit(1.0, 2, result="daughter's")
    console = Console(file=StringIO(), width=80)
    outcome.show(console, run.history)
    text = str(console.file.getvalue())  # type: ignore[attr-defined]
    assert "mother's" in text
    assert "daughter's" not in text


def test_calls_are_listed_in_order(busy: Any) -> None:
    rows = list(calls.rows(busy.history))
    assert rows[0] == ("1.1", "llm.chat", "tiny", "0.000", "1.0s", "2.0s", "2", "20", "done")
    assert [row[0] for row in rows] == ["1.1", "2.2", "3.3", "3.4"]


def test_a_call_is_shown_whole(busy: Any) -> None:
    console = Console(file=StringIO(), width=80)
    calls.show(console, calls.find(busy.history, CallId(1, 1)), 5.0)
    text = str(console.file.getvalue())  # type: ignore[attr-defined]
    assert "in 2 slices, 20 tokens by tiny" in text
    assert "role: user" in text
    assert "    hello\n    there\n" in text


def test_an_outline_leaves_out_what_is_empty() -> None:
    value = {"a": None, "b": [], "c": False, "d": {"e": "x"}, "f": ["y", {"g": 1}]}
    assert list(calls.outline(value, "")) == ["c: false", "d:", "  e: x", "f:", "  - y", "  -", "    g: 1"]


def record(pid: int, ended: float | None) -> ProcessRecord:
    return ProcessRecord(pid, 0, "worker", "", 0.0, ended)


def test_where_there_is_little_room_the_living_are_shown_then_the_latest() -> None:
    records = [record(1, 3.0), record(2, None), record(3, 9.0), record(4, None), record(5, 1.0)]
    assert [each.pid for each in view.visible(records, 3)] == [2, 3, 4]
    assert [each.pid for each in view.visible(records, 9)] == [1, 2, 3, 4, 5]
