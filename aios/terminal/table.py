"""Tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rich.table import Table
from rich.text import Text

from aios.terminal.output import clean, headline, seconds

STATES = {
    "running": "",
    "done": "green",
    "failed": "bold red",
    "killed": "magenta",
    "cancelled": "magenta",
    "expired": "bold red",
    "unknown": "bold red",
    "queued": "yellow",
    "paused": "yellow",
    "llm": "bold cyan",
    "tool": "cyan",
    "file": "cyan",
}
"""Style by the state of a process or a call."""


def grid(*columns: str, title: str | None = None) -> Table:
    """An empty table without lines; a column `>NAME` is right-aligned, `~NAME` gives way where there is little room."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title=title, title_justify="left")
    for column in columns:
        name = column.lstrip(">~")
        table.add_column(name, justify="right" if column[0] == ">" else "left", no_wrap=column[0] != "~")
    return table


def short(text: str) -> Text:
    """A cell of a column that gives way: cut off rather than wrapped."""
    return Text(headline(text), no_wrap=True, overflow="ellipsis")


def processes(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Processes by their figures, as in `ProcessRecord.figures`."""
    table = grid(">PID", "PROGRAM", "~TASK", "STATE", ">WAIT", ">RUN", ">TOKENS", ">SLICES", ">PREEMPTED", title=None)
    for row in rows:
        table.add_row(
            str(row["pid"]),
            label(row["program"]),
            short(row["task"]),
            state(row["state"]),
            seconds(row["wait_s"]),
            seconds(row["run_s"]),
            f"{row['tokens']:,}",
            f"{row['slices']:,}",
            f"{row['preemptions']:,}",
        )
    return table


def label(program: str) -> str:
    """A program's short name, which may be given by path."""
    return clean(PurePath(program).stem if "/" in program else program)


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(word, style=STATES.get(word, ""))
