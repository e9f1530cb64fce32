"""What a run came to: for people, and as the JSON object that other commands read too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from aios.cli.run.view import policy
from aios.record import ENDINGS, History, Kind
from aios.terminal.output import clean, headline, me, say, seconds, write_exactly
from aios.terminal.table import STATES, label, processes
from aios_syscalls import AiosError

MEASURE = 100
"""Columns of text, at most: wider is hard to read."""


def to_json(history: History, journal: Path, failure: AiosError | None = None) -> dict[str, Any]:
    """A run as JSON values: processes with their figures, how many syscalls ended how, where the trace is.

    `error` is there when something other than a process failed.
    """
    facts = history.facts
    found = {
        "run": facts.get("run"),
        "scheduler": facts.get("scheduler"),
        "slice": facts.get("slice"),
        **({"slices": history.slices} if history.slices else {}),
        "models": facts.get("models", {}),
        **({"wall": facts["wall"]} if facts.get("wall") else {}),
        "processes": figures(history),
        "syscalls": syscalls(history),
        "elapsed_s": round(history.now, 4),
        "trace": str(journal),
    }
    return found if failure is None else {**found, "error": failure.to_wire()}


def figures(history: History) -> list[dict[str, Any]]:
    """A row for each process."""
    return [process.figures(history.now) for process in history.processes.values()]


def syscalls(history: History) -> dict[str, int | bool]:
    """How many were accepted, how many ended in each way, and whether each of them ended once."""
    ends = {kind.value: history.kinds[kind] for kind in Kind if kind in ENDINGS}
    return {"accepted": history.kinds[Kind.ACCEPTED], **ends, "ended_once": history.ended_once()}


def show(console: Console, history: History) -> None:
    """Each agent's result, the table, and where to read on; what agents started for themselves is in their results."""
    for row in figures(history):
        if not row["parent"] or row["state"] != "done":
            show_result(console, row)
    show_table(console, history)
    console.print(Text(f"trace: {me()} trace {history.facts['run']} --gantt", style="dim"), soft_wrap=True)


def write(history: History) -> None:
    """Where no terminal is: on stdout what the agents returned, to the byte, and all else on stderr.

    The only result stands for itself; several stand under headings, as `head` has them of several files.
    """
    rows = [row for row in figures(history) if row["result"] is not None and not row["parent"]]
    alone = sum(not row["parent"] for row in figures(history)) == 1
    for number, row in enumerate(rows):
        if alone:
            write_exactly(row["result"])
            continue
        end = "" if row["result"].endswith("\n") else "\n"
        heading = f"==> {row['pid']} {label(row['program'])}  {headline(row['task'])}".rstrip()
        between = "\n" if number else ""
        write_exactly(f"{between}{heading} <==\n{row['result']}{end}")
    if sys.stderr.isatty():  # elsewhere each end is told when it comes
        for row in figures(history):
            if row["error"]:
                say(f"{row['pid']} {label(row['program'])} {row['state']}: {row['error']['message']}")
    say(summary(history))
    say(f"trace: {me()} trace {history.facts['run']} --gantt")


def show_result(console: Console, row: Mapping[str, Any]) -> None:
    """One agent's result, or why there is none, under its name and task."""
    title = Text.assemble((f"{row['pid']} {label(row['program'])}", "bold"), f"  {headline(row['task'])}".rstrip())
    width = min(console.width, MEASURE)
    title.truncate(width - 4, overflow="ellipsis")
    console.print(Rule(title, align="left", style="dim"), width=width)
    if row["result"] is not None:
        console.print(Text(clean(row["result"]).strip()), width=width)
    elif row["error"]:
        console.print(Text(f"{row['state']}: {clean(row['error']['message'])}", style="red"), width=width)
    else:
        console.print(Text(row["state"], style="dim"))
    console.print()


def show_table(console: Console, history: History) -> None:
    """The figures of every process, and of the run."""
    console.print(processes(figures(history)))
    console.print()
    console.print(summary(history), soft_wrap=True)


def summary(history: History) -> str:
    """The run in two lines."""
    states = [process.state for process in history.processes.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
    tokens = history.tokens
    rate = tokens / history.now if history.now else 0
    accepted = history.kinds[Kind.ACCEPTED]
    ended = "each ended once" if history.ended_once() else f"{history.open_calls} have not ended"
    return (
        f"{len(states)} process{'es' * (len(states) != 1)}: {counts}; {accepted:,} syscalls, {ended}\n"
        f"{tokens:,} tokens in {seconds(history.now)}, {rate:,.0f} a second, under {policy(history)}"
    )
