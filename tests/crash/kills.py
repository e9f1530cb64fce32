"""Kills at the n-th durable operation, before it and amid a write, for n = 1, 2, ... until the steps come to an end.

After the n-th is before the next, so that is tried too.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.crash import disk
from tests.crash.apart import End, apart, each_apart, join_threads
from tests.crash.counts import Counts, Fault, Report
from tests.crash.journal_work import works as journal_works
from tests.crash.judge import Acknowledge, Work
from tests.crash.store_work import mixed
from tests.crash.store_work import works as store_works

WHOLE_S = 900.0
"""What one round of all points takes, about."""


class Base:
    """What is there before a work's steps, copied for each try."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self._place = disk.scratch()
        self._first = self._place / "first"
        self._first.mkdir()
        work.before(self._first)

    def copy(self) -> Path:
        """A fresh copy, the last one being removed."""
        place = self._place / "try"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._first, place)
        return place

    def close(self) -> None:
        """Remove all."""
        shutil.rmtree(self._place)


def killed(work: Work, place: Path, mode: disk.Mode, at: int) -> End:
    """Take a work's steps in a child that is killed at its `at`-th operation, if it comes so far."""

    def live(tell: Acknowledge) -> None:
        disk.arm(place, mode, at)
        work.run(place, tell)

    return apart(live)


def operations(work: Work, base: Base) -> tuple[int, frozenset[int]]:
    """How many durable operations a work's steps take, and which are writes."""
    place, log = base.copy(), base.copy().with_name("log")

    def live(tell: Acknowledge) -> int:
        with log.open("wb", buffering=0) as sink:
            disk.arm(place, disk.Mode.COUNT, record=sink.fileno())
            work.run(place, tell)
            disk.off()
        return disk.count()

    end = apart(live)
    if not end.well:
        raise RuntimeError(f"{work.name} does not come to its end undisturbed: {end}")
    done = [each for each in disk.recorded(log) if each.op is not disk.Op.MARK]
    return int(end.result), frozenset(n for n, each in enumerate(done, 1) if each.op is disk.Op.WRITE)


def points(work: Work, base: Base) -> Iterator[tuple[disk.Mode, int]]:
    """Every point at which a work can be killed."""
    last, writes = operations(work, base)
    for at in range(1, last + 1):
        yield disk.Mode.KILL, at
        if at in writes:
            yield disk.Mode.TORN, at


def tried(work: Work, base: Base, mode: disk.Mode, at: int) -> list[Fault]:
    """Kill a work at a point and judge what is left."""
    place = base.copy()
    end = killed(work, place, mode, at)
    if end.error or end.hung:
        return [Fault("wrong", f"it does not end by the kill: {end.error or 'it hangs'}")]
    return work.judge(place, end.said[-1] if end.said else 0)


def swept(
    work: Work, counts: Counts, report: Report, every: int = 1, offset: int = 0, until: float = float("inf")
) -> None:
    """Kill a work at each of its points, or at every so-manieth."""
    work.know()
    base = Base(work)
    join_threads()
    try:
        chosen = [*points(work, base)][offset % every :: every]
        for (mode, at), faults in each_apart(chosen, lambda point: tried(work, base, *point)):
            counts.take(faults, f"{work.name}, {mode.name} at {at}")
            counts.kill_points += 1
            report(1)
            if time.monotonic() > until:
                return
    finally:
        base.close()


def all_works(seed: int) -> Sequence[Work]:
    """What is killed."""
    return [*journal_works(seed), *store_works(), mixed(seed)]


def run(budget_s: float, seed: int, report: Report, every: int = 0) -> Counts:
    """Kill every work at its points once, then mixes until the time is over.

    Where the time is too short for all points, or by `every`, at some of them that the seed chooses.
    """
    counts, until = Counts(), time.monotonic() + budget_s
    every = every or max(1, round(WHOLE_S / max(budget_s, 1.0)))
    for number, work in enumerate(all_works(seed)):
        swept(work, counts, report, every, seed + number)
    while time.monotonic() < until:
        seed += 1
        swept(mixed(seed), counts, report, every, until=until)
    return counts
