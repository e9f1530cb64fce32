"""Runs on record: finding one, reading what happened in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from aios.config import journal_path
from aios.record import ALL_KINDS, OUTLINE_KINDS, History, Kind, RunRecord, lives, run_of_process, runs
from aios.terminal.output import seconds
from aios.terminal.table import grid
from aios.terminal.table import state as word
from aios_syscalls import BadRequest, CallId, NotFound, StorageFailed

PID_DIGITS = 8
"""So many digits and more are the beginning of a run's id, which is a date."""


def run_ids() -> list[str]:
    """Every run on record, oldest first."""
    return [run.id for run in runs(journal_path())]


def resolve(word: str) -> RunRecord:
    """The run of this id, the only one that begins so, the one with process `word`, or the `last`."""
    known = {run.id: run for run in runs(journal_path())}
    if not known:
        raise NotFound(f"there are no runs in {journal_path()} yet; start one: aios demo")
    found = [*known][-1:] if word == "last" else [run for run in known if run == word]
    found = found or _of_process(word) or [run for run in known if run.startswith(word)]
    if not found:
        raise NotFound(f"no run and no process {word!r}; `aios runs` lists runs, `aios ps` processes")
    if len(found) > 1:
        raise BadRequest(f"{len(found)} runs begin with {word!r}: {', '.join(found[-3:])}, ...; give more of it", "run")
    return known[found[0]]


def which(run: str, call: str | None) -> tuple[RunRecord, CallId | None]:
    """The run, and the call in it where one is meant, by `call` or in the run's place.

    A call without a run is one of the run in which its process was started; a call of the user's, one of the last run.
    """
    if call is None and "." in run:
        run, call = "", run
    if call is None:
        return resolve(run), None
    id = CallId.parse(call)
    return resolve(run or (str(id.pid) if id.pid else "last")), id


def read(run: RunRecord, kinds: Collection[Kind] = ALL_KINDS, *, calls: bool = True, payloads: bool = True) -> History:
    """What is on record of a run, as `History` has it; the clock of one that is still going on is set to now.

    Raises StorageFailed.
    """
    history = History.of(run.events(kinds, payloads=payloads), calls=calls)
    if not history.facts:
        raise StorageFailed(f"the journal {run.path} has no beginning of run {run.id}: its kernel did not start")
    if going_on(history):
        history.now = max(history.now, datetime.now(UTC).timestamp() - run.began)
    return history


def going_on(history: History) -> bool:
    """Whether the operating-system process that wrote it still lives."""
    facts = history.facts
    if (
        history.closed
        or not any(process.ended is None for process in history.processes.values())
        or "os_pid" not in facts
    ):
        return False
    return lives(facts["os_pid"], datetime.fromisoformat(facts.get("resumed") or facts["began"]).timestamp())


def _of_process(word: str) -> list[str]:
    """The run in which a process of this number was started."""
    found = run_of_process(journal_path(), int(word)) if word.isdecimal() and len(word) < PID_DIGITS else None
    return [found] if found else []


def state(history: History) -> str:
    """How a run stands: running, done, failed, or broken off when its kernel died under it."""
    states = {process.state for process in history.processes.values()}
    if going_on(history):
        return "running"
    if history.died or "running" in states:
        return "broken off"
    return "failed" if states - {"done"} else "done"


def summaries(limit: int) -> Iterator[dict[str, Any]]:
    """The last runs in short, newest first; all of them when the limit is 0."""
    for run in runs(journal_path())[-limit:][::-1]:
        try:
            history = read(run, OUTLINE_KINDS, payloads=False)
        except StorageFailed as error:
            yield {"run": run.id, "state": "empty", "error": error.to_wire()}
            continue
        yield {
            "run": run.id,
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
