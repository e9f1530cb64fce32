"""Bits that flip, files cut short, emptied or gone: a typed error or a repair, never a wrong answer, never a hang."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aios.kernel.service_history import ServiceHistory
from aios.record import Event, runs
from aios.routing.outcomes import Outcomes
from aios.server.tokens import home_token
from aios.trust import TrustRecord, TrustStore
from aios_storage import Put
from aios_syscalls.errors import AiosError
from tests.crash import disk
from tests.crash.apart import apart, each_apart, join_threads
from tests.crash.counts import Counts, Fault, Report
from tests.crash.journal_work import FILE, JournalWork, Said, begun, calls, spawned, whole_run
from tests.crash.store_work import BEFORE, Step, StoreWork, large, view

SECTOR = 512
Damage = Callable[[Path, random.Random], str]
"""Does harm to a file and says how."""


class Kept(Protocol):
    """Something that the kernel keeps in files."""

    name: str

    def make(self, place: Path) -> None:
        """Keep something there."""

    def ask(self, place: Path) -> list[Fault]:
        """What is wrong with the answers. Raises AiosError where it says that there is none."""


def flip(file: Path, dice: random.Random) -> str:
    """One bit."""
    data = bytearray(file.read_bytes())
    at, bit = dice.randrange(len(data)), dice.randrange(8)
    data[at] ^= 1 << bit
    file.write_bytes(data)
    return f"bit {bit} of byte {at} flipped"


def cut(file: Path, dice: random.Random) -> str:
    """The end is missing."""
    size = dice.randrange(file.stat().st_size)
    os.truncate(file, size)
    return f"cut to {size} bytes"


def empty(file: Path, _: random.Random) -> str:
    """Everything is missing but the name."""
    os.truncate(file, 0)
    return "emptied"


def zero(file: Path, dice: random.Random) -> str:
    """A sector holds nothing but zeros."""
    data = bytearray(file.read_bytes())
    at = dice.randrange(0, len(data), SECTOR)
    size = min(SECTOR, len(data) - at)
    data[at : at + size] = bytes(size)
    file.write_bytes(data)
    return f"{size} bytes at {at} are zeros"


def gone(file: Path, _: random.Random) -> str:
    """The file is missing."""
    file.unlink()
    return "deleted"


DAMAGES: tuple[Damage, ...] = (flip, cut, empty, zero, gone)


class KeptStore:
    """A store; a `killed` one has its last changes in the write-ahead log."""

    def __init__(self, *, killed: bool) -> None:
        self.name = f"store{' that was killed' if killed else ''}"
        self._killed = killed
        steps = (*BEFORE, Step("large", lambda files: files.write("large.bin", large(1))))
        self._work = StoreWork(self.name, (), (*steps, Step("put", lambda files: files.transaction(PUTS))))

    def make(self, place: Path) -> None:
        self._work.know()

        def live(number: int) -> None:
            if self._killed and number == len(self._work.steps):
                os.kill(os.getpid(), signal.SIGKILL)

        apart(lambda _: self._work.run(place, live))

    def ask(self, place: Path) -> list[Fault]:
        found, faults = view(place)
        faults = [fault for fault in faults if fault.kind != "dangling"]  # that fsck says so is what it is for
        right = self._work.views[-1]
        # What the log lost is as if other programs had done it; what is told of that is told as theirs.
        history = [each for each in found["history"] if each not in right["history"] and each[4] != "external"]
        if history:
            faults.append(Fault("wrong", f"a history that never was: {history}"))
        faults += [
            Fault("wrong", f"{key}: {found[key]}, where {right[key]} is right")
            for key in ("files", "answers", "heads")
            if found[key] != right[key]
        ]
        faults += [
            Fault("wrong", f"{key}: {odd}")
            for key in ("tags", "locks", "links", "shares")
            if (odd := [each for each in found[key] if each not in right[key]])
        ]
        return faults


PUTS = [Put("a.txt", b"the last alpha"), Put("z.txt", b"and beta")]


class KeptJournal:
    """A journal; after a kernel that was `killed` what it said last is in the write-ahead log."""

    def __init__(self, *, killed: bool) -> None:
        self.name = f"journal{' of a kernel that was killed' if killed else ''}"
        cut = [Said("cut", each) for each in (begun("cut"), spawned("cut", 9), calls("cut", 9, 1, 3)[:-1])]
        self._said = [*whole_run("past", 1, 6), *(cut if killed else ())]
        self._work = JournalWork(self.name, self._said, (), died=killed)

    def make(self, place: Path) -> None:
        self._work.before(place)

    def ask(self, place: Path) -> list[Fault]:
        path = place / FILE
        if not path.exists():
            return []
        right = {run: [e for each in self._said if each.run == run for e in each.events] for run in ("past", "cut")}
        faults = []
        for run in runs(path):
            events = [*run.events()]
            wanted = right.get(run.id)
            if wanted is None or not _begins(events, wanted):
                faults.append(Fault("wrong", f"run {run.id} is told as {str(events)[:300]}"))
        return faults


def _begins(events: Sequence[Event], wanted: Sequence[Event]) -> bool:
    told = [(e.kind, e.pid, e.n, dict(e.data)) for e in events]
    said = [(e.kind, e.pid, e.n, {k: v for k, v in e.data.items() if k != "fingerprint"}) for e in wanted]
    return told == said[: len(told)]


class KeptMemory:
    """What the router and the schedulers have learnt, the daemon's token, and whom the user trusts."""

    name = "home"
    _trusted = TrustRecord("/project/aios.toml", "5" * 64, {"tool.py": "7" * 64})

    def make(self, place: Path) -> None:
        place = place / "kept"
        place.mkdir(mode=0o700)
        home_token(place / "token")
        TrustStore(place).trust(self._trusted)

        def learn(_: object) -> None:
            outcomes = Outcomes(place / "router.db")
            for number in range(30):
                outcomes.add("m", f"question {number}", 9, f"answer {number}", 0.5)
            learnt = ServiceHistory(place / "scheduler.db").learnt("llm:m")
            for number in range(80):
                assert learnt.heard is not None
                learnt.heard("p", float(number + 1))
            os.kill(os.getpid(), signal.SIGKILL)

        apart(learn)

    def ask(self, place: Path) -> list[Fault]:
        place = place / "kept"
        with closing(Outcomes(place / "router.db")) as outcomes:
            outcomes.read(["m"])
        with closing(ServiceHistory(place / "scheduler.db")) as totals:
            totals.learnt("llm:m")
        record = TrustStore(place).record_of(Path(self._trusted.path))
        if record is not None and record.path != self._trusted.path:
            return [Fault("wrong", f"{record} is trusted")]
        token = home_token(place / "token")
        return [] if len(token) >= 32 else [Fault("wrong", f"a token that can be guessed: {token!r}")]


@dataclass(frozen=True, slots=True)
class Harm:
    """One damage to one file, by dice of its own."""

    file: str
    damage: Damage
    seed: int


def harms(place: Path, dice: random.Random) -> Iterator[Harm]:
    """Every damage to every file; without end, ever others."""
    files = sorted(str(each.relative_to(place)) for each in place.rglob("*") if _counts(place, each))
    while True:
        for file in files:
            for damage in DAMAGES:
                if (place / file).stat().st_size or damage is gone:
                    yield Harm(file, damage, dice.randrange(2**32))


def _counts(place: Path, file: Path) -> bool:
    """Whether a file is the kernel's own: those of the user are the truth."""
    return file.is_file() and file.relative_to(place).parts[0] in (".aios", "home", "kept")


def tried(kept: Kept, first: Path, place: Path, harm: Harm) -> list[Fault]:
    """Damage a copy, and ask."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(first, place)
    how = harm.damage(place / harm.file, random.Random(harm.seed))
    try:
        return [Fault(kind, f"{harm.file} {how}: {what}") for kind, what in kept.ask(place)]
    except AiosError:
        return []


ALL: tuple[Callable[[], Kept], ...] = (
    lambda: KeptStore(killed=False),
    lambda: KeptStore(killed=True),
    lambda: KeptJournal(killed=False),
    lambda: KeptJournal(killed=True),
    KeptMemory,
)


def swept(kept: Kept, counts: Counts, report: Report, dice: random.Random, many: int) -> None:
    """Damage something in so many ways."""
    place = disk.scratch()
    try:
        first = place / "first"
        first.mkdir()
        kept.make(first)
        join_threads()
        endless = harms(first, dice)
        some = [next(endless) for _ in range(many)]
        for harm, faults in each_apart(some, lambda harm: tried(kept, first, place / "try", harm)):
            counts.take(faults, f"{kept.name}, {harm.file}")
            counts.corruptions += 1
            report(1)
    finally:
        shutil.rmtree(place)


def run(budget_s: float, seed: int, report: Report, many: int = 0) -> Counts:
    """Damage all that is kept, `many` times each, or as often as the time allows."""
    counts, until, dice = Counts(), time.monotonic() + budget_s, random.Random(seed)
    for make in ALL:
        swept(make(), counts, report, dice, many or 50)
    while time.monotonic() < until:
        for make in ALL:
            swept(make(), counts, report, dice, 50)
    return counts
