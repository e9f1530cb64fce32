"""A run as a chart in the terminal: a lane for each process, time from left to right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from aios.record import CallRecord, History, ProcessRecord
from aios.terminal.output import seconds
from aios.terminal.table import STATES, label

RUNS, PARTLY, QUEUED, ALIVE, NONE = "#", "+", ".", "-", " "
"""What a process does in one cell of time: on a slot, there for less than half of it, waiting for one, neither."""

MEANING = {RUNS: "on a slot", PARTLY: "partly", QUEUED: "queued", ALIVE: "between calls"}
BLOCKS = {RUNS: "█", PARTLY: "▄", QUEUED: "░", ALIVE: "─", NONE: " "}
STYLE = {RUNS: "green", PARTLY: "green", QUEUED: "yellow", ALIVE: "dim", NONE: ""}
TICK_CELLS = 12
"""Cells between two numbers of the axis, at least."""
LABEL = 20
MIN_SPAN_S = 1e-9
"""Seconds that everything takes at least, so that the shortest call leaves its mark."""


@dataclass(frozen=True, slots=True)
class GanttLane:
    """A process over time, one character a cell."""

    label: str
    state: str
    cells: str


def lanes(history: History, width: int) -> list[GanttLane]:
    """A lane of `width` cells for each process, children below their parents."""
    step = span(history, width)
    return [
        GanttLane(
            f"{record.pid:>3} {'  ' * depth}{label(record.program)}",
            record.state,
            cells(record, step, width, history.now),
        )
        for depth, record in _tree(list(history.processes.values()), 0, 0)
    ]


def span(history: History, width: int) -> float:
    """Seconds in one cell."""
    return max(history.now, 1e-6) / width


def cells(record: ProcessRecord, step: float, width: int, now: float) -> str:
    """What a process did in each of `width` cells of `step` seconds."""
    runs, waits, lives = ([0.0] * width for _ in range(3))
    _spread(lives, record.began, now if record.ended is None else record.ended, step)
    for call in record.work:
        for start, end in call.busy(now):
            _spread(runs, start, end, step)
        for start, end in gaps(call, now):
            _spread(waits, start, end, step)
    return "".join(map(_symbol, runs, waits, lives, [step] * width))


def gaps(call: CallRecord, now: float) -> Iterator[tuple[float, float]]:
    """When a call was accepted but not on a slot."""
    since = call.accepted
    for start, end in call.busy(now):
        if start > since:
            yield since, start
        since = end
    until = now if call.ended is None else call.ended
    if until > since:
        yield since, until


def axis(width: int, step: float) -> str:
    """The numbers below the lanes, at round times."""
    least = TICK_CELLS * step
    power = 10.0 ** math.floor(math.log10(least))
    tick = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    line = ""
    for number in range(int(width * step / tick) + 1):
        text = _time(number * tick)
        at = round(number * tick / step)
        if at + len(text) <= width:
            line += " " * (at - len(line)) + text
    return line


def show(console: Console, history: History, *, plain: bool) -> None:
    """The chart as wide as the console; `plain` is ASCII without colour."""
    width = max(20, console.width - LABEL - 1)
    for lane in lanes(history, width):
        text = Text(_fit(lane.label), style=STATES[lane.state] if lane.state in ("failed", "killed") else "")
        console.print(text.append(" ").append(_paint(lane.cells, plain)), soft_wrap=True)
    step = span(history, width)
    console.print(Text(" " * (LABEL + 1) + axis(width, step), style="dim"), soft_wrap=True)
    legend = Text("  ").join(
        _paint(code, plain).append(f" {meaning}", style="dim") for code, meaning in MEANING.items()
    )
    console.print(legend.append(f"  one cell is {seconds(step)}", style="dim"), soft_wrap=True)


def _tree(records: Sequence[ProcessRecord], parent: int, depth: int) -> Iterator[tuple[int, ProcessRecord]]:
    for record in records:
        if record.parent == parent:
            yield depth, record
            yield from _tree(records, record.pid, depth + 1)


def _spread(cells: list[float], start: float, end: float, step: float) -> None:
    """Add the time from start to end to the cells that it falls into."""
    first = min(int(start / step), len(cells) - 1)
    past = min(max(first + 1, math.ceil(end / step)), len(cells))
    for index in range(first, past):
        inside = min(end, (index + 1) * step) - max(start, index * step)
        cells[index] += max(inside, MIN_SPAN_S)


def _symbol(runs: float, waits: float, lives: float, step: float) -> str:
    if runs >= step / 2:
        return RUNS
    if runs and runs >= waits:
        return PARTLY
    return QUEUED if waits else ALIVE if lives else NONE


def _paint(codes: str, plain: bool) -> Text:
    if plain:
        return Text(codes)
    text = Text()
    for code in codes:
        text.append(BLOCKS[code], STYLE[code])
    return text


def _time(value: float) -> str:
    return f"{value:g}s" if value == 0 or value >= 0.1 else f"{value * 1000:g}ms"


def _fit(text: str) -> str:
    return text[: LABEL - 1] + "~" if len(text) > LABEL else text.ljust(LABEL)
