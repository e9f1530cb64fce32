"""The processes of all runs of a home, whichever kernel they are on: the journal knows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from aios.config import journal_path
from aios.link.place import Place
from aios.record import History, LivingRun, ProcessRecord, RunRecord, living_runs, runs
from aios.terminal.output import clean, say, seconds
from aios.terminal.table import grid, label, short
from aios.terminal.table import state as word
from aios_syscalls import StorageFailed

BRANCH, LAST, TRUNK, GAP = "|- ", "`- ", "|  ", "   "


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process of any run; `age_s` is how long it has run or ran."""

    pid: int
    parent: int
    program: str
    task: str
    state: str
    alive: bool
    age_s: float
    run: str
    kernel: str
    """`daemon`, `embedded` where its command has a kernel of its own, empty where its kernel lives no more."""
    os_pid: int | None
    """Of its kernel."""
    error: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as JSON values."""
        return {**asdict(self), "age_s": round(self.age_s, 3)}


def rows(*, everything: bool = False) -> list[ProcessRow]:
    """Every process that lives, by pid; with `everything` those that have ended, too."""
    found = [row for run in living_runs(journal_path()) for row in _living(run, everything)]
    if everything:
        known = {row.run for row in found}
        found += [row for run in runs(journal_path()) if run.id not in known for row in _ended(run)]
    return sorted(found, key=lambda row: row.pid)


def of_run(run: RunRecord, history: History) -> list[ProcessRow]:
    """Every process of one run."""
    return [_row(process, run, history.now, "", None) for process in history.processes.values()]


def _living(living: LivingRun, everything: bool) -> Iterator[ProcessRow]:
    run = living.record
    kernel = "daemon" if living.os_pid == Place.of_home().owner() else "embedded"
    now = datetime.now(UTC).timestamp() - run.began
    for process in _processes(run):
        if everything or process.ended is None:
            yield _row(process, run, now, kernel, living.os_pid)


def _ended(run: RunRecord) -> Iterator[ProcessRow]:
    now = run.written - run.began
    for process in _processes(run):
        yield _row(process, run, now, "", None)


def _processes(run: RunRecord) -> list[ProcessRecord]:
    """Those of a run; none, and that is told, where its record cannot be read."""
    try:
        return [*History.of(run.open_events(), calls=False).processes.values()]
    except StorageFailed as error:
        say(f"{error.message}; run {run.id} is passed over")
        return []


def _row(process: ProcessRecord, run: RunRecord, now: float, kernel: str, os_pid: int | None) -> ProcessRow:
    alive = process.ended is None and bool(kernel)
    age_s = (now if process.ended is None else process.ended) - process.began
    state = process.doing() if alive or process.ended is not None else "broken off"
    return ProcessRow(
        process.pid,
        process.parent,
        process.program,
        process.task,
        state,
        alive,
        max(0.0, age_s),
        run.id,
        kernel,
        os_pid,
        process.error,
    )


def show(console: Console, found: Sequence[ProcessRow], *, tree: bool, everything: bool) -> None:
    """The rows for people, with `tree` each below the one that started it."""
    if not found:
        say(
            "no process is on record" if everything else "no process lives; `aios ps --all` lists those that have ended"
        )
        return
    table = grid(">PID", "PROGRAM", "~TASK", "STATE", ">AGE", "RUN", "KERNEL")
    for stem, row in _as_tree(found) if tree else (("", row) for row in found):
        program = Text.assemble((stem, "dim"), label(row.program))
        kernel = f"{row.kernel} {row.os_pid}" if row.kernel else ""
        table.add_row(
            str(row.pid), program, short(row.task), word(row.state), seconds(row.age_s), clean(row.run), kernel
        )
    console.print(table)


def _as_tree(found: Sequence[ProcessRow]) -> Iterator[tuple[str, ProcessRow]]:
    """Each row behind its stem, parents before their children; one whose parent is not among them is a root."""
    pids = {row.pid for row in found}
    below: defaultdict[int, list[ProcessRow]] = defaultdict(list)
    for row in found:
        below[row.parent if row.parent in pids else 0].append(row)
    stack = [("", "", row) for row in reversed(below[0])]
    while stack:
        stem, indent, row = stack.pop()
        yield stem, row
        children = below[row.pid]
        for number, child in reversed([*enumerate(children, 1)]):
            last = number == len(children)
            stack.append((indent + (LAST if last else BRANCH), indent + (GAP if last else TRUNK), child))
