"""A disk that fails the n-th operation, or all from there on: a typed error, nothing half, and then it goes on.

At the end a disk that is really full, which the parent of all this makes: see `full`.
"""

from __future__ import annotations

import errno
import random
import time
from dataclasses import dataclass

from tests.crash import disk
from tests.crash.apart import apart, each_apart, join_threads
from tests.crash.counts import Counts, Fault, Report
from tests.crash.disk import Mode, Op
from tests.crash.journal_work import works as journal_works
from tests.crash.judge import Acknowledge, Work
from tests.crash.kills import Base, operations
from tests.crash.store_work import mixed
from tests.crash.store_work import works as store_works

GROWS = frozenset({Op.CREATE, Op.WRITE, Op.MKDIR})
"""What a full disk refuses."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A way in which a disk fails."""

    name: str
    mode: Mode
    error: int = 0
    ops: frozenset[Op] = disk.ALL_OPS
    lasting: bool = False


FAILURES = (
    Failure("EIO", Mode.FAIL, errno.EIO),
    Failure("no space", Mode.FAIL, errno.ENOSPC, GROWS),
    Failure("a short write", Mode.SHORT, ops=frozenset({Op.WRITE})),
    Failure("a full disk", Mode.FAIL, errno.ENOSPC, GROWS, lasting=True),
    Failure("a broken disk", Mode.FAIL, errno.EIO, lasting=True),
)
Point = tuple[Failure, int]


def tried(work: Work, base: Base, failure: Failure, at: int) -> list[Fault]:
    """Take a work's steps on a disk that fails there, and judge them and what is left."""
    place = base.copy()

    def live(tell: Acknowledge) -> list[Fault]:
        disk.arm(place, failure.mode, at, disk.NEVER if failure.lasting else at, error=failure.error, ops=failure.ops)
        return work.endure(place, tell, disk.off)

    end = apart(live)
    if not end.well:
        return [Fault("wrong", "it hangs" if end.hung else f"it ends with {end.error or 'a signal'}")]
    faults: list[Fault] = end.result
    return faults or work.judge(place, end.said[-1] if end.said else 0)


def swept(work: Work, counts: Counts, report: Report, dice: random.Random, most: int) -> None:
    """Fail a work at `most` points, each in some way."""
    work.know()
    base = Base(work)
    join_threads()
    try:
        last, writes = operations(work, base)
        ways: list[Point] = [
            (failure, at)
            for failure in FAILURES
            for at in range(1, last + 1)
            if failure.mode is not Mode.SHORT or at in writes
        ]
        some = ways if len(ways) <= most else dice.sample(ways, most)
        for (failure, at), faults in each_apart(some, lambda point: tried(work, base, *point)):
            counts.take(faults, f"{work.name}, {failure.name} at {at}")
            counts.io_errors += 1
            report(1)
    finally:
        base.close()


def run(budget_s: float, seed: int, report: Report, most: int = 0) -> Counts:
    """Fail each work at some points, chosen by the seed, then mixes until the time is over."""
    counts, until, dice = Counts(), time.monotonic() + budget_s, random.Random(seed)
    works: list[Work] = [*journal_works(seed), *store_works(), mixed(seed)]
    most = most or max(3, round(budget_s * POINTS_S / len(works)))
    for work in works:
        swept(work, counts, report, dice, most)
    while time.monotonic() < until:
        seed += 1
        swept(mixed(seed), counts, report, dice, most)
    return counts


POINTS_S = 12.0
"""Points that are tried in a second, about."""
