"""How far indexing is: read off the index again and again, whoever does the work, and told as fits who listens."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from aios.cli.files.root import shown
from aios.terminal.output import print_json, say, seconds, stderr, talk, terminal_columns

if TYPE_CHECKING:
    from rich.progress import TaskID

WINDOW_S = 20.0
"""Over which the rate is taken: a machine's other work comes and goes."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """Where indexing is. A chunk is a piece of text of about a thousand characters, with a vector of its own."""

    root: str
    stage: str
    """scanning, embedding, or done."""
    files: int
    chunks: int
    """Embedded since it began."""
    pending_files: int
    pending_chunks: int
    seconds: float
    rate: float = 0.0
    """Chunks embedded a second, of late."""
    eta_s: float | None = None
    """Until all is embedded; None while that cannot be told."""


class Rate:
    """How fast a count has grown of late."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: list[tuple[float, int]] = []

    def of(self, count: int) -> float:
        """Growth a second, now that the count is this."""
        now = self._clock()
        self._seen = [each for each in self._seen if each[0] >= now - WINDOW_S] + [(now, count)]
        (then, before) = self._seen[0]
        return (count - before) / (now - then) if now > then else 0.0


class Listener(Protocol):
    """Is told how far indexing is."""

    def tell(self, state: IndexState) -> None:
        """Take a state; the last one of a directory is done."""

    def note(self, text: str) -> None:
        """Take something that should be known."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def listener(*, as_json: bool) -> Listener:
    """JSON lines on stdout, a bar where stderr is a terminal, else a line on stderr for each directory."""
    console = stderr()
    if as_json:
        return Lines()
    live = console.is_terminal and not console.is_dumb_terminal and terminal_columns(sys.stderr) >= console.width
    return Bar() if live else PlainProgress()


class PlainProgress:
    """A line for each directory when it is done."""

    def tell(self, state: IndexState) -> None:
        if state.stage == "done":
            talk(summary(state))

    def note(self, text: str) -> None:
        say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Lines(PlainProgress):
    """Each state as a line of JSON on stdout."""

    def tell(self, state: IndexState) -> None:
        print_json(asdict(state), line=True)
        sys.stdout.flush()


class Bar(PlainProgress):
    """A bar on stderr while it goes on, then the line."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[told]}"))
        self._progress = Progress(*columns, console=stderr(), transient=True)
        self._task: TaskID | None = None

    def tell(self, state: IndexState) -> None:
        if state.stage == "done":
            self._progress.stop()
            super().tell(state)
            return
        self._progress.start()
        total = state.chunks + state.pending_chunks if state.stage == "embedding" else None
        if self._task is None:
            self._task = self._progress.add_task("", total=total, told="")
        self._progress.update(
            self._task, description=state.stage, total=total, completed=state.chunks, told=describe(state)
        )

    def note(self, text: str) -> None:
        self._progress.console.print(f"aios: {text}", soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


def describe(state: IndexState) -> str:
    """A state while it goes on."""
    told = f"{state.files:,} files"
    if state.stage == "embedding":
        told += f" · {state.chunks:,} of {state.chunks + state.pending_chunks:,} chunks · {state.rate:,.0f}/s"
        told += "" if state.eta_s is None else f" · {seconds(state.eta_s)} left"
    return told


def summary(state: IndexState) -> str:
    """A directory that is done, in one line."""
    embedded = f"{state.chunks:,} {'chunk' if state.chunks == 1 else 'chunks'} embedded"
    told = f"{shown(Path(state.root))}: {state.files:,} {'file' if state.files == 1 else 'files'}, {embedded}"
    if state.chunks:
        told += f" in {seconds(state.seconds)} ({state.chunks / max(state.seconds, 1e-3):,.0f}/s)"
    if state.pending_chunks:
        told += f", {state.pending_chunks:,} pending: found by keywords only"
    return told
