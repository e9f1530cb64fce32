"""The chart in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from aios.cli.record import gantt
from aios.record import Kind


def chart(history: Any, width: int) -> list[tuple[str, str]]:
    return [(lane.label.strip(), lane.cells) for lane in gantt.lanes(history, width)]


def test_a_lane_shows_slots_waits_and_life(busy: Any) -> None:
    assert chart(busy.history, 10) == [
        ("1 summarise", "##..##-   "),
        ("2 planner", "..##..##- "),
        ("3   worker", " .......##"),
    ]


def test_children_stand_below_their_parents(story: Callable[..., Any]) -> None:
    run = story()
    for pid, parent in ((1, 0), (2, 0), (3, 1), (4, 3)):
        run.spawn(0.0, pid, parent=parent)
    run.exit(1.0, 1)
    assert [label for label, _ in chart(run.history, 4)] == ["1 worker", "3   worker", "4     worker", "2 worker"]


def test_the_shortest_call_leaves_a_mark(story: Callable[..., Any]) -> None:
    run = story()
    run.spawn(0.0, 1)
    run.call(1, 1, 5.0, [(5.0, 5.0)])
    run.exit(10.0, 1)
    assert chart(run.history, 10) == [("1 worker", "-----+----")]


def test_a_cell_goes_to_what_took_most_of_it(story: Callable[..., Any]) -> None:
    run = story()
    run.spawn(0.0, 1)
    run.call(1, 1, 0.0, [(0.5, 1.0), (1.75, 2.0), (2.5, 2.5)], end=Kind.DONE)
    run.exit(4.0, 1)
    assert chart(run.history, 4) == [("1 worker", "#..-")]


def test_what_goes_on_reaches_to_now(story: Callable[..., Any]) -> None:
    run = story()
    run.spawn(0.0, 1)
    run.call(1, 1, 0.0, [(1.0, 2.0)], end=None)
    run.spawn(4.0, 2)
    assert chart(run.history, 4)[0] == ("1 worker", ".#..")


def test_waiting_for_a_process_is_no_work(story: Callable[..., Any]) -> None:
    run = story()
    run.spawn(0.0, 1)
    run.call(1, 1, 0.0, [(0.0, 4.0)], name="process.wait")
    run.exit(4.0, 1)
    assert chart(run.history, 4) == [("1 worker", "----")]


def test_an_empty_run_has_no_lanes(story: Callable[..., Any]) -> None:
    assert chart(story().history, 10) == []


@pytest.mark.parametrize(
    ("width", "step", "line"),
    [
        (30, 0.1, "0s                  2s"),
        (40, 0.01, "0s                  0.2s"),
        (40, 0.001, "0s                  20ms"),
        (24, 1.0, "0s                  20s"),
    ],
)
def test_the_axis_has_round_numbers(width: int, step: float, line: str) -> None:
    assert gantt.axis(width, step) == line


def drawn(history: Any, *, plain: bool, width: int = 60) -> str:
    console = Console(file=StringIO(), width=width, color_system=None if plain else "standard")
    gantt.show(console, history, plain=plain)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_plain_is_ascii_without_colour(busy: Any) -> None:
    text = drawn(busy.history, plain=True)
    assert text.isascii()
    assert "\x1b" not in text
    assert "# on a slot" in text


def test_blocks_tell_slots_from_waits_without_colour_too(busy: Any) -> None:
    text = drawn(busy.history, plain=False)
    assert "█" in text
    assert "░" in text


@pytest.mark.parametrize("width", [30, 80, 140])
def test_no_line_is_wider_than_the_console(busy: Any, width: int) -> None:
    lanes = drawn(busy.history, plain=True, width=width).splitlines()[:4]
    assert max(map(len, lanes)) <= max(width, gantt.LABEL + 21)
