"""A run's record in each of the forms of `aios trace`."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from aios.cli.record import calls, gantt
from aios.cli.record.chrome import trace
from aios.record import History
from aios.terminal.output import clean, me, out, plain, print_json, say
from aios_syscalls import CallId, StorageFailed


def show_calls(console: Console, history: History) -> None:
    """The calls as a table, and how to see more."""
    calls.show_all(console, history)
    run = history.facts["run"]
    for lane, tokens in history.slices.items():
        console.print(f"\n{clean(lane)}: slices of {tokens} tokens at last, by what a switch costs", soft_wrap=True)
    console.print(f"\n{me()} trace {run} --gantt | --call PID.N | --chrome FILE", style="dim", soft_wrap=True)


def print_lines(history: History) -> None:
    """Each call as a line of JSON."""
    for call in history.calls.values():
        print_json(calls.to_json(call, history.now), line=True)


def show_call(console: Console, history: History, id: CallId, *, as_json: bool) -> None:
    """One call whole. Raises NotFound."""
    call = calls.find(history, id)
    if as_json:
        print_json(calls.to_json(call, history.now))
    else:
        calls.show(console, call, history.now)


def show_gantt(console: Console, history: History) -> None:
    """The chart, in ASCII where blocks or colour are not welcome."""
    gantt.show(console, history, plain=not console.is_terminal or console.no_color or console.options.ascii_only)


def write_chrome(history: History, file: Path) -> None:
    """The trace for Perfetto, to a file or to stdout. Raises StorageFailed."""
    text = json.dumps(plain(trace(history)))
    if str(file) == "-":
        out(text)
        return
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise StorageFailed(f"the trace cannot be written to {file}: {error.strerror}; give another FILE") from error
    say(f"{file} written; open it in https://ui.perfetto.dev")
