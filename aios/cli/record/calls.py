"""The syscalls of a run, as rows, as JSON, and one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from aios.cli.record import route
from aios.record import CallRecord, History
from aios.terminal.output import clean, plain, seconds
from aios.terminal.table import state
from aios_syscalls import CallId, NotFound

COLUMNS = ("CALL", "NAME", "MODEL", "AT", "WAIT", "RUN", "SLICES", "TOKENS", "STATE")
LEFT = ("CALL", "NAME", "MODEL", "STATE")


def find(history: History, id: CallId) -> CallRecord:
    """The call of this identity. Raises NotFound."""
    call = history.calls.get(id)
    if call is None:
        raise NotFound(f"no call {id} in this run, which has {len(history.calls)}; `aios trace` lists them")
    return call


def way(call: CallRecord) -> dict[str, Any]:
    """What is known of where a call went; times in seconds since the run began."""
    return {
        "call": str(call.id),
        "pid": call.pid,
        "name": call.name,
        "model": call.model or None,
        "state": call.state,
        **({"graph": str(call.graph), "node": call.id.node} if call.graph else {}),
        **route.to_json(call),
    }


def to_json(call: CallRecord, now: float) -> dict[str, Any]:
    """Everything that is known of a call; times in seconds since the run began."""
    return {
        **way(call),
        "accepted_s": round(call.accepted, 6),
        "ended_s": None if call.ended is None else round(call.ended, 6),
        "wait_s": round(call.wait_s(now), 6),
        "run_s": round(call.run_s(now), 6),
        "slices": [[round(start, 6), None if end is None else round(end, 6)] for start, end in call.slices],
        "preemptions": call.preemptions,
        "tokens": call.tokens,
        "request": plain(call.call),
        "outcome": plain(call.outcome),
    }


def rows(history: History) -> Iterator[tuple[str, ...]]:
    """The cells of `COLUMNS` for each call, in the order of acceptance."""
    for call in history.calls.values():
        yield (
            clean(str(call.id)),
            call.name,
            clean(call.model) or "-",
            f"{call.accepted:.3f}",
            seconds(call.wait_s(history.now)),
            seconds(call.run_s(history.now)),
            str(len(call.slices)),
            f"{call.tokens:,}",
            call.state,
        )


def show_all(console: Console, history: History) -> None:
    """A line for each call. Not by rich's table, which takes a second for a thousand of them."""
    cells = [COLUMNS, *rows(history)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    styled = {word: _styled(console, state(word)) for word in {row[-1] for row in cells[1:]}}
    for row in cells:
        *line, last = (
            cell.ljust(width) if name in LEFT else cell.rjust(width)
            for name, cell, width in zip(COLUMNS, row, widths, strict=True)
        )
        print("  ".join(line), styled.get(row[-1], last.rstrip()), sep="  ")


def show(console: Console, call: CallRecord, now: float) -> None:
    """One call whole: what it is, when it ran, what was asked and what was answered."""
    console.print(Text.assemble((f"call {clean(str(call.id))}  {call.name}  ", "bold"), state(call.state)))
    if call.graph:
        console.print(Text(f"node {clean(call.id.node)} of the graph that is call {call.graph}"))
    console.print(
        f"accepted at {call.accepted:.3f} s, queued {seconds(call.wait_s(now))}, on a slot {seconds(call.run_s(now))}"
        f" in {len(call.slices)} slices, {call.tokens:,} tokens{f' by {call.model}' if call.model else ''}"
    )
    for step in route.lines(call, now):
        console.print(step, soft_wrap=True)
    if call.bills:
        console.print(route.cost(call), soft_wrap=True)
    for title, value in (("request", call.call), ("outcome", call.outcome)):
        console.print(Text(f"\n{title}", style="bold"))
        for line in outline(plain(value)):
            console.print(Text(line), soft_wrap=True)


def outline(value: Any, indent: str = "  ") -> Iterator[str]:
    """A JSON value as indented lines; what is empty is left out, text is shown as it is."""
    match value:
        case dict():
            for key, item in value.items():
                if item not in (None, "", [], {}):
                    yield from _item(f"{key}:", item, indent)
        case list():
            for item in value:
                yield from _item("-", item, indent)
        case _:
            text = value if isinstance(value, str) else json.dumps(value)
            yield from (f"{indent}{line}" for line in clean(text).splitlines())


def _item(head: str, item: Any, indent: str) -> Iterator[str]:
    """A short value beside its head, anything longer below it."""
    lines = list(outline(item, ""))
    if len(lines) == 1 and not isinstance(item, dict | list):
        yield f"{indent}{head} {lines[0]}"
    else:
        yield f"{indent}{head}"
        yield from (f"{indent}  {line}" for line in lines)


def _styled(console: Console, text: Text) -> str:
    with console.capture() as capture:
        console.print(text, end="")
    return capture.get()
