"""Runs on the disk: finding one, reading its journal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from aios.cli.output import seconds
from aios.cli.table import grid
from aios.cli.table import state as word
from aios.config import journal_path, runs_directory
from aios.record import History, Kind, read_events
from aios_syscalls import BadRequest, NotFound, StorageFailed

OUTLINE = (Kind.RUN, Kind.SPAWNED, Kind.EXITED)
"""The events that tell which processes there were and how they ended, and nothing of their calls."""


def run_ids() -> list[str]:
    """Every run that has a journal, oldest first."""
    return sorted(journal.parent.name for journal in runs_directory().glob(journal_path(Path("*")).as_posix()))


def resolve(word: str) -> Path:
    """The journal of the run with this id, of the only one that begins so, or of the `last`."""
    known = run_ids()
    if not known:
        raise NotFound(f"there are no runs in {runs_directory()} yet; start one: aios demo")
    found = known[-1:] if word == "last" else [run for run in known if run == word]
    found = found or [run for run in known if run.startswith(word)]
    if not found:
        raise NotFound(f"no run {word!r}; `aios runs` lists them")
    if len(found) > 1:
        raise BadRequest(f"{len(found)} runs begin with {word!r}: {', '.join(found[-3:])}, ...; give more of it", "run")
    return journal_path(runs_directory() / found[0])


def read(journal: Path, kinds: Collection[Kind] = tuple(Kind), *, calls: bool = True) -> History:
    """What a journal tells, as `History` has it; the clock of a run that is still going on is set to now.

    Raises StorageFailed.
    """
    history = History.of(read_events(journal, kinds), calls=calls)
    if not history.facts:
        raise StorageFailed(f"the journal {journal} holds no run: its kernel did not come to start")
    if going_on(history):
        began = datetime.fromisoformat(history.facts["began"])
        history.now = max(history.now, (datetime.now(UTC) - began).total_seconds())
    return history


def going_on(history: History) -> bool:
    """Whether the operating-system process that wrote it still lives."""
    facts = history.facts
    if not any(process.ended is None for process in history.processes.values()) or "os_pid" not in facts:
        return False
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(facts["os_pid"]).create_time()
        return started <= datetime.fromisoformat(facts["began"]).timestamp()
    return False


def state(history: History) -> str:
    """How a run stands: running, done, failed, or broken off when its kernel died under it."""
    states = {process.state for process in history.processes.values()}
    if going_on(history):
        return "running"
    if "running" in states:
        return "broken off"
    return "failed" if states - {"done"} else "done"


def summaries(limit: int) -> Iterator[dict[str, Any]]:
    """The last runs in short, newest first; all of them when the limit is 0."""
    for run in run_ids()[-limit:][::-1]:
        try:
            history = read(journal_path(runs_directory() / run), OUTLINE)
        except StorageFailed as error:
            yield {"run": run, "state": "empty", "error": error.to_wire()}
            continue
        yield {
            "run": run,
            "began": history.facts.get("began"),
            "scheduler": history.facts.get("scheduler"),
            "processes": len(history.processes),
            "done": sum(process.state == "done" for process in history.processes.values()),
            "elapsed_s": round(history.now, 4),
            "state": state(history),
        }


def table(summaries: Iterable[Mapping[str, Any]]) -> Table:
    """Runs for people."""
    rows = grid("RUN", "BEGAN (UTC)", "SCHEDULER", ">PROCESSES", ">DONE", ">TIME", "STATE")
    for each in summaries:
        if "error" in each:
            rows.add_row(each["run"], "", "", "", "", "", word(each["state"]))
            continue
        began = each["began"][:19].replace("T", " ")
        counts = str(each["processes"]), str(each["done"])
        rows.add_row(each["run"], began, each["scheduler"], *counts, seconds(each["elapsed_s"]), word(each["state"]))
    return rows
