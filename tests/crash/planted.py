"""Bugs that are planted, to see that the harness finds them: named ones, and others by a seed over all sites.

A bug is a patch of the product in the process that works (and, of what mends after a crash, in the one that judges).
Found is one of which the harness tells any fault. Those that it does not find are listed by name.
"""

from __future__ import annotations

import itertools
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aios.record import database as journal_database
from aios.record import sqlite
from aios_storage.disk import directory, root
from aios_storage.versions import blobs, rows, transaction
from aios_storage.versions.database import Database
from tests.crash import disk, power
from tests.crash.apart import apart, each_apart, join_threads
from tests.crash.counts import Counts, Fault, Report
from tests.crash.journal_work import works as journal_works
from tests.crash.judge import Acknowledge, Work
from tests.crash.kills import Base, points
from tests.crash.sites import Site, sites
from tests.crash.store_work import BEFORE, Step, StoreWork, mixed, text
from tests.crash.store_work import works as store_works

STATES, POINTS = 120, 100
"""States and kill points by which one bug is looked for at most, of each work."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug: what it is, where, how it is planted, by what it should show; `mending` is also in who judges."""

    name: str
    where: str
    plant: Callable[[], None]
    works: Callable[[], Sequence[Work]]
    kills: bool = False
    power: bool = False
    mending: bool = False


def _store(*names: str) -> Callable[[], list[Work]]:
    return lambda: [work for work in store_works() if work.name.removeprefix("store ") in names]


def _mix() -> list[Work]:
    return [mixed(1)]


def _journal(*numbers: int) -> Callable[[], list[Work]]:
    return lambda: [journal_works(1)[number] for number in numbers]


def _large() -> list[Work]:
    """A blob of its own whose version is looked at after other changes were synced."""
    large = next(work for work in store_works() if work.name == "store large")
    after = Step("write", lambda files: files.write("after.txt", text(99)))
    return [StoreWork("store large and more", BEFORE, (*large.steps, after))]


def _no_fsync(module: Any) -> None:
    class Os:
        """The module os, whose fsync does nothing."""

        def __getattr__(self, name: str) -> Any:
            return (lambda _: None) if name == "fsync" else getattr(__import__("os"), name)

    module.os = Os()


def _synchronous(how: str) -> Callable[[], None]:
    def plant() -> None:
        real = Database.transaction
        Database.transaction = lambda self, _, name: real(self, how, name)  # type: ignore[method-assign,assignment,arg-type]

    return plant


def _journal_synchronous(how: str) -> Callable[[], None]:
    def plant() -> None:
        real = journal_database.open_to_write

        def opened(path: Any) -> Any:
            db = real(path)
            db.execute(f"PRAGMA synchronous = {how}")
            return db

        sqlite.open_to_write = opened  # type: ignore[attr-defined]

    return plant


def _acknowledge_at_once() -> None:
    async def flush(_: Any) -> None: ...

    setattr(sqlite.SqliteJournal, "flush", flush)  # noqa: B010


def _patched(owner: Any, name: str, new: Callable[..., Any]) -> Callable[[], None]:
    return lambda: setattr(owner, name, new)


def _place_first() -> None:
    real = transaction.Changes._record

    def record(self: Any, connection: Any, ready: Any, author: Any, time: float) -> Any:
        found = real(self, connection, ready, author, time)
        self._place(ready)
        return found

    transaction.Changes._record = record  # type: ignore[method-assign]
    transaction.Changes._expect_still = lambda *_: None  # type: ignore[method-assign]
    transaction.Changes._place_real = transaction.Changes._place  # type: ignore[attr-defined]
    once: set[int] = set()

    def place(self: Any, ready: Any) -> None:
        if id(ready) not in once:
            once.add(id(ready))
            self._place_real(ready)

    transaction.Changes._place = place  # type: ignore[method-assign]


def _reuse_numbers() -> None:
    setattr(sqlite.SqliteJournal, "_lease", lambda _: range(1, sqlite.LEASE + 1))  # noqa: B010


def _lose_tombstones() -> None:
    real = rows.record

    def record(connection: Any, path: str, op: Any, sha256: Any, *rest: Any, **more: Any) -> Any:
        found = real(connection, path, op, sha256, *rest, **more)
        if sha256 is None:
            connection.execute("DELETE FROM version WHERE seq = ?", (found.seq,))
        return found

    rows.record = record


def _uncounted_users() -> None:
    journal_database.INSERT_BLOB = "INSERT OR IGNORE INTO blob VALUES (?, 1, ?)"


def _commit_each() -> None:
    real = sqlite.SqliteJournal._insert_rows

    def insert(self: Any, rows: Any) -> None:
        real(self, rows)
        self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")

    sqlite.SqliteJournal._insert_rows = insert  # type: ignore[method-assign]


def _twice() -> None:
    real = sqlite.SqliteJournal._insert
    seen: list[Any] = []

    def insert(self: Any, batch: Any) -> None:
        real(self, batch)
        if not seen:
            seen.append(batch)
            real(self, batch[-1:])

    sqlite.SqliteJournal._insert = insert  # type: ignore[method-assign]


def _blob_after_row() -> None:
    blobs.Blobs._write = lambda *_: None  # type: ignore[method-assign]


NAMED: tuple[Planted, ...] = (
    Planted(
        "a write is acknowledged before its file's name is on the disk",
        "disk/root.py Staged.place",
        lambda: _no_fsync(root),
        _mix,
        power=True,
    ),
    Planted(
        "a file is renamed before its bytes are on the disk",
        "disk/directory.py temporary",
        lambda: _no_fsync(directory),
        _mix,
        power=True,
    ),
    Planted(
        "the store's database with synchronous = OFF",
        "versions/database.py transaction",
        _synchronous("OFF"),
        _mix,
        power=True,
    ),
    Planted(
        "the journal with synchronous = OFF",
        "record/database.py open_to_write",
        _journal_synchronous("OFF"),
        _journal(0, 1),
        power=True,
    ),
    Planted(
        "the journal acknowledges before it has committed",
        "record/sqlite.py flush",
        _acknowledge_at_once,
        _journal(0),
        kills=True,
    ),
    Planted(
        "a change is not finished after a crash",
        "versions/transaction.py recover",
        _patched(transaction.Changes, "recover", lambda _: None),
        _store("transaction"),
        kills=True,
        mending=True,
    ),
    Planted(
        "commits of the journal wait for a checkpoint to be synced",
        "record/database.py _prepare",
        _journal_synchronous("NORMAL"),
        _journal(0),
        power=True,
    ),
    Planted(
        "commits of the store wait for a checkpoint to be synced",
        "versions/database.py transaction",
        _synchronous("NORMAL"),
        _mix,
        power=True,
    ),
    Planted(
        "a row before its blob, which a crash keeps from being written",
        "versions/blobs.py _write",
        _blob_after_row,
        _large,
        kills=True,
    ),
    Planted(
        "a blob's name is not on the disk before its row",
        "versions/blobs.py _write",
        lambda: setattr(blobs, "settle", lambda _: None),
        _large,
        power=True,
    ),
    Planted(
        "files are changed before their versions are recorded",
        "versions/transaction.py make",
        _place_first,
        _store("overwrite", "transaction"),
        kills=True,
    ),
    Planted(
        "what is pending is not recorded",
        "versions/transaction.py _pend",
        _patched(transaction.Changes, "_pend", lambda *_: None),
        _store("transaction"),
        kills=True,
    ),
    Planted(
        "process numbers are used again",
        "record/sqlite.py _lease",
        _reuse_numbers,
        _journal(0),
        kills=True,
        mending=True,
    ),
    Planted("a deletion leaves no version", "versions/rows.py record", _lose_tombstones, _store("delete"), kills=True),
    Planted(
        "what a dead kernel left open is never ended",
        "record/recovery.py recover",
        _patched(sqlite, "recover", lambda *_: 0),
        _journal(1),
        kills=True,
        mending=True,
    ),
    Planted(
        "a blob that is there is not counted once more",
        "record/database.py INSERT_BLOB",
        _uncounted_users,
        _journal(0),
        kills=True,
    ),
    Planted("a row and its payloads in two commits", "record/sqlite.py _insert", _commit_each, _journal(0), kills=True),
    Planted("an event is recorded twice", "record/sqlite.py _insert", _twice, _journal(0), kills=True),
)
"""The first six are those of the tests."""


def by_seed(dice: random.Random, many: int) -> list[Planted]:
    """Bugs at sites of the product that the works come to, by dice."""
    works = [mixed(1), *_store("rename", "transaction", "prune", "purge", "undo")(), *_large(), *journal_works(1)]
    found = [*sites(works)]
    return [_at(site, works) for site in dice.sample(found, min(many, len(found)))]


def _at(site: Site, works: Sequence[Work]) -> Planted:
    reached = [work for work in works if work.name in site.reached]
    return Planted(site.name, site.where, site.plant, lambda: reached[:2], kills=site.swap, power=True)


def found(bug: Planted) -> str:
    """By what the harness finds a bug; nothing where it does not."""
    for work in bug.works():
        work.know()
        join_threads()
        for where, faults in itertools.chain(_by_power(bug, work), _by_kills(bug, work)):
            if faults:
                return f"{work.name}, {where}: {faults[0].kind}: {faults[0].what[:200]}"
    return ""


def _by_power(bug: Planted, work: Work) -> Iterator[tuple[str, list[Fault]]]:
    if not bug.power:
        return
    place = disk.scratch()
    try:
        there = place / "asked"
        there.mkdir()
        try:
            done, inode = power.traced(work, there, bug.plant)
        except RuntimeError as error:
            yield "undisturbed", [Fault("wrong", str(error))]
            return
        dice = random.Random(1)
        every = [*power.cuts(done, there, inode, dice, 3, chance=0.15)]
        for cut, faults in power.judged(work, power.chosen(every, STATES), place / "cut"):
            yield f"power cut after {cut.after}, {cut.how} on the disk", faults
    finally:
        shutil.rmtree(place)


def _by_kills(bug: Planted, work: Work) -> Iterator[tuple[str, list[Fault]]]:
    if not bug.kills:
        return
    base = Base(work)
    join_threads()
    try:
        every = [(disk.Mode.COUNT, 0), *points(work, base)]
        step = max(1, len(every) // POINTS)

        def tried(point: tuple[disk.Mode, int]) -> list[Fault]:
            return _killed(bug, work, base, *point)

        for (mode, at), faults in each_apart(every[::step], tried):
            yield f"{mode.name} at {at}", faults
    finally:
        base.close()


def _killed(bug: Planted, work: Work, base: Base, mode: disk.Mode, at: int) -> list[Fault]:
    place = base.copy()

    def live(tell: Acknowledge) -> None:
        bug.plant()
        disk.arm(place, mode, at)
        work.run(place, tell)

    end = apart(live)
    if not (end.well or end.killed):
        return [Fault("wrong", end.error or "it hangs")]

    def judge(_: object) -> list[Fault]:
        if bug.mending:
            bug.plant()
        return work.judge(place, end.said[-1] if end.said else 0)

    looked = apart(judge)
    return looked.result if looked.well else [Fault("wrong", looked.error or "it hangs")]


def run(budget_s: float, seed: int, report: Report, named: int = 0, drawn: int = 12) -> Counts:
    """Plant the named bugs, or the first `named` of them, and `drawn` by the seed, as far as the time goes."""
    counts, until = Counts(), time.monotonic() + budget_s
    bugs = [*NAMED[: named or None], *(by_seed(random.Random(seed), drawn) if drawn else [])]
    for bug in bugs:
        if budget_s and time.monotonic() > until:
            counts.notes.append(f"not planted, for the time was over: {bug.name}")
            continue
        counts.planted += 1
        how = found(bug)
        counts.planted_found += bool(how)
        if how:
            counts.notes.append(f"found: {bug.name} ({bug.where}) by {how}")
        else:
            counts.survivors.append(f"{bug.name} ({bug.where})")
        report(1)
    return counts
