"""Steps on a store of files: every operation that changes one, and mixes of them by a seed."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aios_storage import Author, Drop, Files, Library, Put, Rename, Retention, ShareLinks, Shares, Version
from aios_syscalls.errors import AiosError
from tests.crash import disk
from tests.crash.counts import Fault
from tests.crash.judge import Acknowledge, View, compare

FAR = 10_000.0
"""Seconds for which what ends by itself is to last."""
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
AFTER = "after-the-crash.txt"
Do = Callable[[Files], object]


@dataclass(frozen=True, slots=True)
class Step:
    """One change; a `loose` one is several durable ones, each of which is whole."""

    name: str
    do: Do
    loose: bool = False


def text(number: int) -> bytes:
    """Some words, the same for a number, ever others for another."""
    dice = random.Random(number)
    return " ".join([f"number{number}", *dice.choices(WORDS, k=40)]).encode()


def large(number: int) -> bytes:
    """Bytes that are kept in a file of their own."""
    return random.Random(number).randbytes(1024 * 1024 + 1)


def _share(files: Files) -> None:
    Shares(files.version_store).open(files.version("a.txt").seq, "agent", time.time() + FAR)


def _relock(files: Files) -> None:
    lease = files.lock("b.txt", FAR)
    files.unlock(lease.token)


BEFORE: tuple[Step, ...] = (
    Step("write", lambda files: files.write("a.txt", text(1))),
    Step("write", lambda files: files.write("a.txt", text(2) + text(1))),
    Step("create", lambda files: files.create("b.txt", text(3))),
    Step("mkdir", lambda files: files.create("d", kind="directory")),
    Step("write", lambda files: files.write("d/c.txt", text(4))),
    Step("write", lambda files: files.by(Author("other", "r2", 2, 1)).write("d/e.txt", text(5))),
    Step("tag", lambda files: files.tag("first")),
)
ONE: tuple[tuple[Step, ...], ...] = (
    (Step("write", lambda files: files.write("new.txt", text(6))),),
    (Step("overwrite", lambda files: files.write("a.txt", text(7), if_version=2)),),
    (Step("large", lambda files: files.write("large.bin", large(8))),),
    (Step("create", lambda files: files.create("made.txt", text(9))),),
    (Step("append", lambda files: files.append("a.txt", text(10))),),
    (Step("delete", lambda files: files.delete("a.txt")),),
    (Step("rename", lambda files: files.move("a.txt", "d/moved.txt")),),
    (Step("rename-directory", lambda files: files.move("d", "e"), loose=True),),
    (Step("copy", lambda files: files.copy("a.txt", "copy.txt")),),
    (Step("tag", lambda files: files.tag("second")),),
    (Step("untag", lambda files: files.untag("first")),),
    (Step("undo", lambda files: files.undo(run="r1"), loose=True),),
    (Step("rollback", lambda files: files.rollback("a.txt", 1)),),
    (Step("lock", lambda files: files.lock("a.txt", FAR)),),
    (Step("unlock", _relock, loose=True),),
    (Step("share", _share),),
    (Step("link", lambda files: ShareLinks(files.version_store).save("mine", "agent", "alpha", 0.0)),),
    (
        Step(
            "transaction",
            lambda files: files.transaction(
                [Put("a.txt", text(11)), Put("n.txt", text(12)), Drop("b.txt"), Rename("d/c.txt", "r.txt")]
            ),
        ),
    ),
    (Step("prune", lambda files: files.prune(Retention(count=1)), loose=True),),
    (Step("purge", lambda files: files.purge("d/c.txt", "d/c.txt"), loose=True),),
)
"""Each operation that changes a store, by itself."""


def mix(seed: int, many: int = 7) -> tuple[Step, ...]:
    """Random steps on a few names, each of which can be taken after those before it."""
    dice = random.Random(seed)
    there: list[str] = []
    steps: list[Step] = []
    for number in range(many):
        steps.append(_random(dice, there, seed * 1000 + number))
    return tuple(steps)


def _random(dice: random.Random, there: list[str], number: int) -> Step:
    fresh, data = f"f{number}.txt", text(number)
    if len(there) < 2 or dice.random() < 0.2:
        there.append(fresh)
        return Step("write", lambda files: files.write(fresh, data))
    old = dice.choice(there)
    match dice.randrange(9):
        case 0 | 1:
            return Step("overwrite", lambda files: files.write(old, data))
        case 2:
            return Step("append", lambda files: files.append(old, data))
        case 3:
            there.remove(old)
            return Step("delete", lambda files: files.delete(old))
        case 4:
            there[there.index(old)] = fresh
            return Step("rename", lambda files: files.move(old, fresh))
        case 5:
            return Step("tag", lambda files: files.tag(f"t{number}"))
        case 6:
            return Step("rollback", lambda files: files.rollback(old, 1))
        case 7:
            there.append(fresh)
            return Step("transaction", lambda files: files.transaction([Put(fresh, data), Put(old, data + b" ")]))
        case _:
            return Step("lock", lambda files: files.lock(old, FAR))


class StoreWork:
    """Steps on a store, whose every state in between is known from when nothing disturbed them."""

    def __init__(self, name: str, before: Sequence[Step], steps: Sequence[Step]) -> None:
        self.name = name
        self._before, self.steps = before, steps
        self.views: list[View] = []
        """What is right before the first step, and after each."""

    def before(self, place: Path) -> None:
        if self._before:
            self._take(place, self._before, lambda _: None)

    def run(self, place: Path, acknowledge: Acknowledge) -> None:
        self._take(place, self.steps, acknowledge)

    def know(self) -> None:
        if self.views:
            return
        place = disk.scratch()
        try:
            self.before(place)
            self.views = [view(place)[0]]
            for number in range(len(self.steps)):
                with Library(place, author=_author(number)) as library:
                    self.steps[number].do(library.files)
                self.views.append(view(place)[0])
        finally:
            shutil.rmtree(place)

    def endure(self, place: Path, acknowledge: Acknowledge, mended: Callable[[], None]) -> list[Fault]:
        try:
            library = Library(place, author=_author(0))
        except AiosError:
            mended()
            library = Library(place, author=_author(0))
        with library:
            for number, step in enumerate(self.steps):
                files = library.files.by(_author(number))
                try:
                    step.do(files)
                except AiosError:
                    faults = self._reads(library, number)
                    mended()
                    found, others = view(place)
                    faults += others + compare(found, self.views, number, loose=step.loose)
                    if faults or (step.loose and found not in self.views):
                        return faults
                    if found != self.views[number + 1]:
                        step.do(files)
                acknowledge(number + 1)
        return []

    def _reads(self, library: Library, number: int) -> list[Fault]:
        """Whether files can be read while the disk takes nothing."""
        allowed = [each["files"] for each in self.views[number : number + 2]]
        for path in allowed[0].keys() & allowed[1].keys():
            digest = hashlib.sha256(library.files.read(path)).hexdigest()
            if digest not in [each[path] for each in allowed]:
                return [Fault("wrong", f"{path} is read as something else while the disk fails")]
        return []

    def judge(self, place: Path, acknowledged: int) -> list[Fault]:
        found, faults = view(place)
        loose = acknowledged < len(self.steps) and self.steps[acknowledged].loose
        return faults + compare(found, self.views, acknowledged, loose=loose) + goes_on(place)

    def _take(self, place: Path, steps: Sequence[Step], acknowledge: Acknowledge) -> None:
        with Library(place, author=_author(0)) as library:
            for number, step in enumerate(steps):
                step.do(library.files.by(_author(number)))
                acknowledge(number + 1)


def _author(number: int) -> Author:
    return Author("agent", "r1", 1, number)


def view(place: Path) -> tuple[View, list[Fault]]:
    """All that a store answers, and what is wrong with the answers by themselves."""
    faults: list[Fault] = []
    with Library(place) as library, library.files.version_store.told():
        library.refresh()
        files = library.files
        found: View = {"files": _on_disk(place)}
        connection = files.version_store.read()
        versions = {each.seq: each for each in files.changes_since(0, 100_000)}
        # By path: what one step does to several files has no order.
        found["history"] = sorted(
            (each.path, each.number, each.op, each.sha256 or "", each.author.name, each.note)
            for each in versions.values()
        )
        for each in versions.values():
            if each.sha256 is not None:
                data = files.content(each.sha256)
                if hashlib.sha256(data).hexdigest() != each.sha256:
                    faults.append(Fault("wrong", f"other bytes are served for {each.path} in version {each.number}"))
        found["heads"] = {head.path: head.sha256.hex() for head in files.heads()}
        tagged = connection.execute("SELECT name, seq FROM tag").fetchall()
        found["tags"] = sorted((name, *_named(versions, seq)) for name, seq in tagged)
        found["locks"] = sorted(path for (path,) in connection.execute("SELECT path FROM lease"))
        found["links"] = sorted((link.name, link.owner, link.query) for link in ShareLinks(files.version_store).all())
        shared = connection.execute("SELECT seq FROM share").fetchall()
        found["shares"] = sorted(_named(versions, seq) for (seq,) in shared)
        found["answers"] = {word: sorted({hit.path for hit in library.search(word).hits}) for word in WORDS[:3]}
        faults += [Fault("dangling", problem) for problem in files.fsck().problems]
        faults += _dangling(connection)
    return found, faults


def _named(versions: Mapping[int, Version], seq: int) -> tuple[str, int]:
    """Of a version its path and number; of one that is not there, which `_dangling` finds, its seq."""
    return (versions[seq].path, versions[seq].number) if seq in versions else ("nothing", seq)


def _dangling(connection: Any) -> list[Fault]:
    rows = {
        "tag": "SELECT name FROM tag WHERE seq NOT IN (SELECT seq FROM version)",
        "share": "SELECT token FROM share WHERE seq NOT IN (SELECT seq FROM version)",
        "head": "SELECT path FROM head WHERE seq NOT IN (SELECT seq FROM version)",
        "delta": "SELECT hex(sha256) FROM blob WHERE base IS NOT NULL AND base NOT IN (SELECT sha256 FROM blob)",
    }
    return [
        Fault("dangling", f"{name} {who!r} speaks of nothing")
        for name, sql in rows.items()
        for (who,) in connection.execute(sql)
    ]


def goes_on(place: Path) -> list[Fault]:
    """Whether a store takes a change, of whoever may hold a lock, and gives it back."""
    with Library(place, author=_author(0)) as library:
        library.files.write(AFTER, b"it goes on")
        if library.files.read(AFTER) != b"it goes on":
            return [Fault("wrong", "a file that was written since is another")]
        return [Fault("dangling", problem) for problem in library.files.fsck().problems]


def _on_disk(place: Path) -> dict[str, str]:
    found = {}
    for above, directories, names in os.walk(place):
        with suppress(ValueError):
            directories.remove(".aios")
        for name in names:
            if not name.startswith(".aios-"):
                path = Path(above, name)
                found[str(path.relative_to(place))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def works() -> list[StoreWork]:
    """Every operation by itself."""
    return [StoreWork(f"store {steps[0].name}", BEFORE, steps) for steps in ONE]


def fresh() -> StoreWork:
    """The first things in a store, none of which is a change of a file."""
    query = Step("link", lambda files: ShareLinks(files.version_store).save("mine", "agent", "alpha", 0.0))
    return StoreWork("store fresh", (), (Step("lock", lambda files: files.lock(".", FAR)), query))


def mixed(seed: int) -> StoreWork:
    """Random steps, from where nothing is there."""
    return StoreWork(f"store mix {seed}", (), mix(seed))
