"""What a user sees of a run while it goes on, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from aios.record import History, Kind, ProcessRecord
from aios.terminal.output import clean, headline, seconds, stderr, terminal_columns
from aios.terminal.table import label, processes, short

LINES_AROUND = 6
"""Lines of the screen that are not rows of the table."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything that a view shows at one moment, copied out of the history so that another thread may draw it."""

    loading: Mapping[str, float]
    rows: Sequence[Mapping[str, Any]] = ()
    hidden: int = 0
    status: str = ""
    note: str = ""


class View(Protocol):
    """Shows a run. `frame` is called in the event loop; `show` may block, and is called from a thread."""

    def progress(self, what: str, share: float) -> None:
        """Take how far something has been made ready, from 0 to 1."""

    def tell(self, note: str) -> None:
        """Take a line that the user should read now."""

    def frame(self, history: History, now: float) -> Frame:
        """What is to be seen at `now`, in seconds since the run began."""

    def show(self, frame: Frame) -> None:
        """Draw a frame; never raises."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def view(*, keep: bool) -> View:
    """The view that fits stderr; a live one stays on the screen after the end when `keep`."""
    console = stderr()
    # What is drawn anew goes up as many lines as it has: a terminal must not wrap any.
    live = console.is_terminal and not console.is_dumb_terminal and terminal_columns(sys.stderr) >= console.width
    return LiveView(console, keep=keep) if live else PlainView()


@dataclass
class LiveView:
    """A table that is drawn anew several times a second, below progress bars while models load."""

    console: Console
    keep: bool = False
    loading: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def progress(self, what: str, share: float) -> None:
        self.loading[what] = share

    def tell(self, note: str) -> None:
        self.note = note

    def frame(self, history: History, now: float) -> Frame:
        if not history.facts:
            return Frame(dict(self.loading), note=self.note)
        records = list(history.processes.values())
        chosen = visible(records, max(1, self.console.height - LINES_AROUND))
        rows = [record.figures(now) for record in chosen]
        hidden = history.forgotten + len(records) - len(rows)
        return Frame({}, rows, hidden, status(history, now), self.note)

    def show(self, frame: Frame) -> None:
        with suppress(OSError):
            self._live.update(self._draw(frame), refresh=True)

    def __enter__(self) -> Self:
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(console=self.console, auto_refresh=False, transient=not self.keep)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._live.stop()

    def _draw(self, frame: Frame) -> RenderableType:
        parts: list[RenderableType] = []
        if frame.status:
            parts.append(processes(frame.rows))
            more = f"\n... and {frame.hidden} more" if frame.hidden else ""
            parts.append(Text(f"{more}\n{frame.status}", style="dim", no_wrap=True, overflow="ellipsis"))
        else:
            parts.append(self._bars(frame.loading))
        if frame.note:
            parts.append(Text(frame.note, style="bold yellow"))
        return Group(*parts)

    def _bars(self, loading: Mapping[str, float]) -> RenderableType:
        bars = Table.grid(padding=(0, 1))
        for what, share in (loading or {"starting the kernel": 0.0}).items():
            bar = ProgressBar(total=1.0, completed=share, width=32) if share else ""
            bars.add_row("" if share >= 1 else self._spinner, short(what), bar, f"{share:.0%}" if share else "")
        return bars


class PlainView:
    """A line for each thing that is made ready and for each process that ends."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._loading: dict[str, float] = {}
        self._said: set[str] = set()
        self._told: set[int] = set()
        """The processes whose ends were told, as long as the history has them."""

    def progress(self, what: str, share: float) -> None:
        self._loading[what] = share

    def tell(self, note: str) -> None:
        self._say(note)

    def frame(self, history: History, now: float) -> Frame:
        self._told &= history.processes.keys()
        ended = [record for record in history.processes.values() if record.ended is not None]
        return Frame(dict(self._loading), [record.figures(now) for record in ended if record.pid not in self._told])

    def show(self, frame: Frame) -> None:
        for what in frame.loading:
            if what not in self._said:
                self._said.add(what)
                self._say(what)
        for row in frame.rows:
            self._told.add(row["pid"])
            self._say(obituary(row))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _say(self, line: str) -> None:
        with suppress(OSError):
            print(f"aios: {clean(line)}", file=self._stream, flush=True)


def visible(records: Sequence[ProcessRecord], room: int) -> list[ProcessRecord]:
    """Those to show where there is room for so many: the living, then who ended last; by pid."""
    if len(records) <= room:
        return list(records)
    first = sorted(records, key=lambda record: -(record.ended or float("inf")))
    return sorted(first[:room], key=lambda record: record.pid)


def status(history: History, now: float) -> str:
    """The run in one line."""
    kinds = history.kinds
    parts = [
        policy(history),
        seconds(now),
        f"{history.tokens / now if now else 0:,.0f} tokens/s",
        f"{kinds[Kind.DONE]:,} calls done",
        f"{history.open_calls} open",
    ]
    if kinds[Kind.FAILED]:
        parts.append(f"{kinds[Kind.FAILED]} failed")
    return " · ".join(parts)


def policy(history: History) -> str:
    """The scheduler by name, with its slice where it has one."""
    name, slice = history.facts["scheduler"], history.facts["slice"]
    measured = ", ".join(str(tokens) for tokens in history.slices.values())
    return f"{name}, slice {slice}{measured and f' ({measured})'}" if slice else str(name)


def obituary(row: Mapping[str, Any]) -> str:
    """How a process ended, in one line."""
    why = f": {headline(row['error']['message'])}" if row["error"] else ""
    figures = f"{row['tokens']} tokens, {row['slices']} slices, its calls queued {seconds(row['wait_s'])}"
    end = f"{row['state']} after {seconds(row['turnaround_s'])}"
    return f"process {row['pid']} {label(row['program'])} {end} ({figures}){why}"
