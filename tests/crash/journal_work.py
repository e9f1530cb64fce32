"""Steps on a journal: what runs record, kernels that died before, runs that go on, old ones that make room."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from aios.record import Event, History, Kind, SqliteJournal, runs
from aios_syscalls import AiosError
from tests.crash.apart import apart
from tests.crash.counts import Fault
from tests.crash.judge import Acknowledge

FILE = "home/journal.db"
"""Below a directory that the journal makes too."""
LONG = "a text that is kept beside its row, once for all who say it " * 90
KERNELS_OWN = frozenset({Kind.UNKNOWN, Kind.CANCELLED, Kind.EXITED, Kind.CLOSED})
"""With which the next kernel ends what a dead one had left open."""
SMALL = 64 * 1024
"""Bytes that a journal may have whose old runs are to make room."""

DANGLING = {
    "a payload of no event": "SELECT seq FROM payload WHERE seq NOT IN (SELECT seq FROM event)",
    "a payload without its bytes": "SELECT seq FROM payload WHERE hash NOT IN (SELECT hash FROM blob)",
    "bytes of no payload": "SELECT hex(hash) FROM blob WHERE hash NOT IN (SELECT hash FROM payload)",
    "bytes with a wrong number of users": "SELECT hex(hash) FROM blob WHERE users != "
    "(SELECT count(*) FROM payload WHERE payload.hash = blob.hash)",
    "an event of no run": "SELECT seq FROM event WHERE run NOT IN (SELECT number FROM run)",
    "a run without its first or last event": "SELECT id FROM run WHERE first NOT IN (SELECT seq FROM event) "
    "OR last NOT IN (SELECT seq FROM event)",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One step: what is recorded together and then waited for."""

    run: str
    events: tuple[Event, ...]


def calls(run: str, pid: int, first: int, many: int) -> tuple[Event, ...]:
    """A process's calls of a model, a tool and a mailbox, from their beginnings to their ends."""
    found = []
    for n in range(first, first + many):
        at, name = n + pid / 100, ("llm.chat", "tool.call", "process.send")[n % 3]
        text = f"{LONG}{n // 4}" if n % 2 else f"call {n}"
        found += [
            Event(at, Kind.ACCEPTED, pid, n, {"name": name, "call": {"text": text}}, run=run),
            Event(at + 0.1, Kind.STARTED, pid, n, {"lane": "llm:m"}, run=run),
            Event(at + 0.2, Kind.DONE, pid, n, {"tokens": n, "model": "m", "reply": {"text": text}}, run=run),
        ]
    return tuple(found)


def spawned(run: str, pid: int) -> tuple[Event, ...]:
    """A process begins."""
    return (Event(pid / 100, Kind.SPAWNED, pid, 0, {"parent": 0, "program": "p", "task": ""}, run=run),)


def exited(run: str, pid: int) -> tuple[Event, ...]:
    """A process ends well."""
    return (Event(50.0, Kind.EXITED, pid, 0, {"state": "done", "result": "r", "error": None}, run=run),)


def begun(run: str) -> tuple[Event, ...]:
    """A run begins, with a fingerprint."""
    return (Event(0.0, Kind.RUN, 0, 0, {"run": run, "fingerprint": {"of": run}}, run=run),)


def closed(run: str) -> tuple[Event, ...]:
    """A run ends well."""
    return (Event(60.0, Kind.CLOSED, 0, 0, {}, run=run),)


def whole_run(run: str, pid: int, many: int) -> list[Said]:
    """A run from its beginning to its end."""
    parts = [begun(run), spawned(run, pid), calls(run, pid, 1, many), exited(run, pid), closed(run)]
    return [Said(run, events) for events in parts]


AFTER = whole_run("after", 10_000, 2)


class JournalWork:
    """Steps on a journal after a kernel that ended well, or (`died`) was killed amid the last of its runs."""

    def __init__(
        self, name: str, before: Sequence[Said], steps: Sequence[Said], *, died: bool = False, most: int | None = None
    ) -> None:
        self.name = name
        self._before, self._steps, self._died, self._most = before, steps, died, most

    def know(self) -> None:
        """All is known."""

    def before(self, place: Path) -> None:
        if self._before:
            end = apart(lambda _: self._write(place, self._before, lambda _: None, killed=self._died))
            if end.error or end.hung:
                raise RuntimeError(f"what is there before {self.name} cannot be made: {end}")

    def run(self, place: Path, acknowledge: Acknowledge) -> None:
        self._write(place, self._steps, acknowledge, most=self._most)

    def endure(self, place: Path, acknowledge: Acknowledge, mended: Callable[[], None]) -> list[Fault]:
        # A journal with a gap takes nothing more: to go on is for the next kernel, and `judge` has one.
        try:
            self.run(place, acknowledge)
        except* AiosError:
            pass
        finally:
            mended()
        return []

    def judge(self, place: Path, acknowledged: int) -> list[Fault]:
        path = place / FILE
        pid = anyio.run(self._reopened, path)
        faults = _dangling(path)
        found = {run.id: [*run.events()] for run in runs(path)}
        ended = {run.id: run.ended is not None for run in runs(path)}
        if pid in {event.pid for events in found.values() for event in events if event.kind is Kind.SPAWNED}:
            faults.append(Fault("doubled", f"process number {pid} is given a second time"))
        for run in dict.fromkeys(each.run for each in (*self._before, *self._steps)):
            faults += self._judge_run(run, found.get(run), acknowledged)
            if run in found and not ended[run]:
                faults.append(Fault("wrong", f"run {run} of a dead kernel has not ended"))
        if len(found.get("after", ())) != sum(len(step.events) for step in AFTER):
            faults.append(Fault("lost", "a run that was recorded since is not there whole"))
        return faults

    def _judge_run(self, run: str, found: list[Event] | None, acknowledged: int) -> list[Fault]:
        old = [event for each in self._before if each.run == run for event in each.events]
        due = [event for each in self._steps[:acknowledged] if each.run == run for event in each.events]
        later = [event for each in self._steps[acknowledged:] if each.run == run for event in each.events]
        if found is None:
            gone = due if self._most else old + due
            return [Fault("lost", f"run {run} is not there")] if gone else []
        if self._most and not due and not later and len(found) < len(old):
            return [Fault("wrong", f"run {run} has made room in part: {len(found)} of {len(old)} events")]
        return _judge_events(run, found, old + due, later)

    async def _reopened(self, path: Path) -> int:
        """Open it again and go on with it; the next process number."""
        async with SqliteJournal(path) as journal:
            for event in (event for step in AFTER for event in step.events):
                journal.record(event)
            return await journal.new_pid()

    def _write(
        self,
        place: Path,
        steps: Sequence[Said],
        acknowledge: Acknowledge,
        *,
        killed: bool = False,
        most: int | None = None,
    ) -> None:
        async def write() -> None:
            async with SqliteJournal(place / FILE, most) as journal:
                for number, step in enumerate(steps):
                    await _record(journal, step, place / FILE)
                    acknowledge(number + 1)
                if killed:
                    os.kill(os.getpid(), signal.SIGKILL)

        anyio.run(write)


async def _record(journal: SqliteJournal, step: Said, path: Path) -> None:
    for event in step.events:
        if event.kind is Kind.SPAWNED:
            await journal.new_pid()
        if event.kind is Kind.RESUMED:
            await journal.reopen(next(each for each in runs(path) if each.id == step.run))
        journal.record(event)
    await journal.flush()


def _judge_events(run: str, found: list[Event], due: list[Event], later: list[Event]) -> list[Fault]:
    """What is wrong with a run's events, that have to be those due, some of the later ones, and the kernel's own."""
    wanted, said = [_key(event) for event in due + later], [_key(event) for event in found]
    same = 0
    rest = 0
    while rest < len(said) and same < len(wanted):
        if said[rest] == wanted[same]:
            same += 1
        elif found[rest].kind not in KERNELS_OWN:
            break
        rest += 1
    faults = []
    if same < len(due):
        faults.append(Fault("lost", f"run {run}: event {same} of {len(due)} that were acknowledged: {wanted[same]}"))
    odd = [event for event in found[rest:] if event.kind not in KERNELS_OWN]
    if odd and not faults:
        twice = any(_key(event) in said[:rest] for event in odd)
        faults.append(Fault("doubled" if twice else "wrong", f"run {run}: {odd[0]}"))
    history = History.of(found)
    if not history.ended_once():
        faults.append(Fault("wrong", f"run {run}: not every call has ended once"))
    return faults


def _key(event: Event) -> Any:
    # The time of a process's end, or the journal's clock, is measured: only what was said counts.
    return event.kind, event.pid, event.n, dict(event.data) if event.kind is not Kind.RUN else event.data.get("run")


def _dangling(path: Path) -> list[Fault]:
    with closing(sqlite3.connect(path)) as db:
        faults = [
            Fault("dangling", f"{what}: {who}")
            for what, sql in DANGLING.items()
            for (who,) in db.execute(sql).fetchall()
        ]
        (whole,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    return faults if whole == "ok" else [*faults, Fault("wrong", f"the journal is damaged: {whole}")]


def resumed(run: str, pid: int) -> tuple[Event, ...]:
    """A run that was cut off goes on with a process."""
    return (Event(70.0, Kind.RESUMED, 0, 0, {"processes": [pid], "began": 70.0, "os_pid": 1}, run=run),)


def works(seed: int) -> list[JournalWork]:
    """A new run, one after a kernel that died, one that goes on, one for which old ones make room."""
    many = 2 + seed % 3
    cut = [Said("old", each) for each in (begun("old"), spawned("old", 1), calls("old", 1, 1, 3)[:-1])]
    goes_on = [Said("old", each) for each in (resumed("old", 1), calls("old", 1, 3, many), closed("old"))]
    past = [step for number in range(6) for step in whole_run(f"past{number}", number + 1, 8)]
    return [
        JournalWork("journal run", (), whole_run("new", 1, many)),
        JournalWork("journal after a kernel died", cut, whole_run("new", 33, many), died=True),
        JournalWork("journal of a run that goes on", cut, goes_on, died=True),
        JournalWork("journal that makes room", past, whole_run("new", 33, many), most=SMALL),
    ]
