"""What is shown while a run goes on."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from aios.cli.run.view import LiveView, PlainView, policy, status
from aios.record import History


def test_off_a_terminal_each_end_is_told_once(busy: Any) -> None:
    stream = StringIO()
    view = PlainView(stream)
    view.progress("loading tiny", 0.1)
    view.show(view.frame(History(), 0.0))
    view.progress("loading tiny", 0.9)
    view.show(view.frame(History(), 0.0))
    for _ in range(2):
        view.show(view.frame(busy.history, 5.0))
    assert stream.getvalue().splitlines() == [
        "aios: loading tiny",
        "aios: process 1 summarise done after 3.5s (20 tokens, 2 slices, its calls queued 1.0s)",
        "aios: process 2 planner done after 4.5s (24 tokens, 2 slices, its calls queued 2.0s)",
        "aios: process 3 worker failed after 4.5s (0 tokens, 2 slices, its calls queued 4.0s): it fell over",
    ]


def test_a_reader_that_has_gone_stops_nothing(busy: Any) -> None:
    class Broken(StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError(text)

    view = PlainView(Broken())
    view.show(view.frame(busy.history, 5.0))
    view.tell("cancelling")


def live(height: int = 24) -> tuple[LiveView, Console]:
    console = Console(file=StringIO(), width=80, height=height, force_terminal=True, color_system=None)
    return LiveView(console, keep=True), console


def test_the_live_view_has_bars_then_rows(busy: Any) -> None:
    view, console = live()
    with view:
        view.progress("loading tiny", 0.25)
        view.show(view.frame(History(), 0.0))
        loading = str(console.file.getvalue())  # type: ignore[attr-defined]
        view.show(view.frame(busy.history, 5.0))
    text = str(console.file.getvalue())[len(loading) :]  # type: ignore[attr-defined]
    assert "loading tiny" in loading
    assert "25%" in loading
    assert "summarise" in text
    assert "3 calls done · 0 open · 1 failed" in text


def test_the_live_view_fits_the_screen(story: Any) -> None:
    run = story()
    for pid in range(1, 41):
        run.spawn(0.0, pid)
    view, _ = live(height=20)
    frame = view.frame(run.history, 1.0)
    assert len(frame.rows) == 14
    assert frame.hidden == 26


def test_the_status_counts_what_is_under_way(story: Any) -> None:
    run = story(scheduler="fifo", slice=None)
    run.spawn(0.0, 1)
    run.call(1, 1, 0.0, [(0.0, 1.0)], tokens=30)
    run.call(2, 1, 1.0, [(1.0, 2.0)], tokens=10, end=None)
    assert status(run.history, 4.0) == "fifo · 4.0s · 10 tokens/s · 1 calls done · 1 open"


def test_a_slice_that_is_measured_is_told_with_what_it_is(story: Any) -> None:
    run = story(scheduler="round_robin", slice="auto")
    assert policy(run.history) == "round_robin, slice auto"
    history = run.history
    history.slices["llm:small"] = 57
    assert policy(history) == "round_robin, slice auto (57)"
