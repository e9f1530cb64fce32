"""Power cuts: from what a program asked of its disk, the states in which a cut could have left it.

What was not synced may be there or not, in any choice: writes, sizes, parts of writes by sectors of 512 bytes; and the
names in a directory, in their order, until the directory is synced. That a file was synced says nothing of its name.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.crash import disk
from tests.crash.apart import apart, each_apart, join_threads
from tests.crash.counts import Counts, Fault, Report
from tests.crash.disk import Done, Op
from tests.crash.journal_work import works as journal_works
from tests.crash.judge import Acknowledge, Work
from tests.crash.store_work import fresh, mixed
from tests.crash.store_work import works as store_works

SECTOR = 512
NOTHING = "nothing of the unsynced"
STATES_S = 25.0
"""States that are judged in a second, about."""
Tree = dict[str, bytes | None]
"""What is below a place: by path the bytes of a file, None for a directory."""
Change = tuple[int, bytes | None]
"""Bytes at an offset; or with None a size."""


@dataclass(eq=False, slots=True)
class Node:
    """A file or a directory: what is on the disk of it, and of a file what was asked since."""

    directory: bool
    data: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)
    names: dict[str, Node] = field(default_factory=dict)
    """As a program sees them now."""
    kept: dict[str, Node] = field(default_factory=dict)
    """As they are on the disk."""


@dataclass(frozen=True, slots=True)
class Naming:
    """A change of names: in which directories, and what becomes of each name there (None: it goes)."""

    changes: tuple[tuple[Node, str, Node | None], ...]

    def make(self, names: Callable[[Node], dict[str, Node]]) -> None:
        """Change the names that `names` says a directory has."""
        for above, name, node in self.changes:
            if node is None:
                names(above).pop(name, None)
            else:
                names(above)[name] = node

    @property
    def above(self) -> list[Node]:
        """The directories."""
        return [above for above, _, _ in self.changes]


def applied(data: bytearray, changes: Sequence[Change]) -> bytearray:
    """Bytes after some changes."""
    data = bytearray(data)
    for at, piece in changes:
        if piece is None:
            del data[at:]
            data.extend(bytes(at - len(data)))
        else:
            data.extend(bytes(max(0, at - len(data))))
            data[at : at + len(piece)] = piece
    return data


class Model:
    """A disk below one place, that takes operations as they were recorded."""

    def __init__(self, place: Path, inode: int) -> None:
        self._place = PurePosixPath(place)
        self.root = Node(directory=True)
        self._nodes = {inode: self.root}
        self.pending: list[Naming] = []
        """Changes of names that are not on the disk for sure."""

    def take(self, done: Done) -> None:
        """One operation more."""
        match done.op:
            case Op.CREATE | Op.MKDIR:
                node = self._nodes[done.inode] = Node(directory=done.op is Op.MKDIR)
                self._name((*self._at(done.path), node))
            case Op.WRITE:
                self._nodes[done.inode].pending.append((done.offset, done.data))
            case Op.TRUNCATE:
                self._nodes[done.inode].pending.append((done.offset, None))
            case Op.SYNC:
                self._sync(self._nodes[done.inode])
            case Op.UNLINK | Op.RMDIR:
                self._name((*self._at(done.path), None))
            case Op.LINK | Op.RENAME:
                above, name = self._at(done.path)
                target = (*self._at(done.target), above.names[name])
                self._name(target, *([(above, name, None)] if done.op is Op.RENAME else []))
            case Op.MARK:
                pass

    def settle(self) -> None:
        """Everything so far is on the disk."""
        for naming in self.pending:
            naming.make(lambda node: node.kept)
        self.pending.clear()
        for node in self._nodes.values():
            node.data, node.pending = applied(node.data, node.pending), []

    def _at(self, path: str) -> tuple[Node, str]:
        *above, name = PurePosixPath(path).relative_to(self._place).parts
        node = self.root
        for part in above:
            node = node.names[part]
        return node, name

    def _name(self, *changes: tuple[Node, str, Node | None]) -> None:
        naming = Naming(changes)
        naming.make(lambda node: node.names)
        self.pending.append(naming)

    def _sync(self, node: Node) -> None:
        if not node.directory:
            node.data, node.pending = applied(node.data, node.pending), []
            return
        # With a name goes all that was done before in the same directories: a journal of metadata keeps the order.
        wanted, rest = {id(node)}, []
        for naming in reversed(self.pending):
            if wanted & {id(above) for above in naming.above}:
                wanted |= {id(above) for above in naming.above}
            else:
                rest.append(naming)
        kept = set(map(id, rest))
        for naming in self.pending:
            if id(naming) not in kept:
                naming.make(lambda node: node.kept)
        self.pending = rest[::-1]

    def unsure(self) -> bool:
        """Whether a cut could leave more than one state."""
        return bool(self.pending) or any(node.pending for node in self._nodes.values())

    def state(self, choose: Choice) -> Tree:
        """What a cut would leave, by a choice of what reached the disk."""
        names = {id(node): dict(node.kept) for node in self._nodes.values()}
        stopped: set[int] = set()
        for naming in self.pending:
            above = {id(each) for each in naming.above}
            if stopped & above or not choose.naming():
                stopped |= above
            else:
                naming.make(lambda node: names.setdefault(id(node), {}))
        tree: Tree = {}
        left = [("", self.root)]
        while left:
            path, node = left.pop()
            for name, below in sorted(names[id(node)].items()):
                full = f"{path}{name}"
                if below.directory:
                    tree[full] = None
                    left.append((f"{full}/", below))
                else:
                    tree[full] = bytes(applied(below.data, choose.data(below.pending)))
        return tree


class Choice:
    """What of the unsynced reaches the disk: nothing (0), everything (1), or by dice, with that chance."""

    def __init__(self, chance: float, dice: random.Random, *, torn: bool = False) -> None:
        self._chance, self._dice, self._torn = chance, dice, torn

    def naming(self) -> bool:
        """Whether the next change of names does."""
        return self._dice.random() < self._chance

    def data(self, pending: Sequence[Change]) -> list[Change]:
        """Which changes of a file do."""
        if not self._torn:
            return [change for change in pending if self._dice.random() < self._chance]
        return [part for change in pending for part in _sectors(change) if self._dice.random() < self._chance]


def _sectors(change: Change) -> Iterator[Change]:
    at, data = change
    if data is None:
        yield change
        return
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR - (at + start) % SECTOR)
        yield at + start, data[start:end]
        start = end


@dataclass(frozen=True, slots=True)
class Cut:
    """A state after a cut: behind how many operations, how many steps were acknowledged by then.

    The telling ones are those right after something was acknowledged, with nothing on the disk that need not be.
    """

    after: int
    acknowledged: int
    how: str
    tree: Tree
    telling: bool

    def put(self, place: Path) -> None:
        """Make the state real in a directory that is empty then but for it."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for path, data in self.tree.items():
            file = place / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                file.mkdir(exist_ok=True)
            else:
                file.write_bytes(data)


def traced(work: Work, place: Path, prelude: Callable[[], None] = lambda: None) -> tuple[list[Done], int]:
    """What a work asks of its disk, all of it, and the inode of the place. `prelude` goes first, in its process."""
    log = place.with_name(f"{place.name}-log")

    def live(_: Acknowledge) -> None:
        prelude()
        with log.open("wb", buffering=0) as sink:
            disk.arm(place, disk.Mode.COUNT, record=sink.fileno())
            work.before(place)
            disk.mark(0)
            work.run(place, disk.mark)
            disk.off()

    end = apart(live)
    try:
        if not end.well:
            raise RuntimeError(f"{work.name} does not come to its end undisturbed: {end}")
        return [*disk.recorded(log)], place.stat().st_ino
    finally:
        log.unlink()


def cuts(
    done: Sequence[Done], place: Path, inode: int, dice: random.Random, choices: int, chance: float = 1.0
) -> Iterator[Cut]:
    """States after cuts behind each operation, or some by chance, each state once.

    Beside nothing and all of what was not synced, `choices` of it are made by dice at each.
    """
    model, acknowledged, begun = Model(place, inode), 0, False
    seen: set[bytes] = set()
    for after, each in enumerate(done, 1):
        model.take(each)
        if each.op is Op.MARK:
            acknowledged = each.offset
            if not begun:
                begun = True
                model.settle()
        if not begun or (each.op is not Op.MARK and dice.random() > chance):
            continue
        ways = [(NOTHING, Choice(0.0, dice)), ("everything", Choice(1.0, dice))]
        for number in range(choices if model.unsure() else 0):
            torn, share = number % 2 == 1, dice.choice((0.2, 0.5, 0.8))
            ways.append((f"{share} of the unsynced{', torn' if torn else ''}", Choice(share, dice, torn=torn)))
        for how, choice in ways:
            tree = model.state(choice)
            key = _digest(tree, acknowledged)
            if key not in seen:
                seen.add(key)
                yield Cut(after, acknowledged, how, tree, each.op is Op.MARK and how == NOTHING)


def _digest(tree: Tree, acknowledged: int) -> bytes:
    found = hashlib.blake2b(str(acknowledged).encode(), digest_size=16)
    for path, data in tree.items():
        found.update(f"{path}\0{'d' if data is None else len(data)}\0".encode())
        found.update(data or b"")
    return found.digest()


def chosen(every: Sequence[Cut], most: int) -> list[Cut]:
    """At most so many states, evenly from all, and all telling ones."""
    telling, others = [cut for cut in every if cut.telling], [cut for cut in every if not cut.telling]
    few = min(len(others), max(0, most - len(telling)))
    return telling + [others[number * len(others) // few] for number in range(few)]


def judged(work: Work, some: Sequence[Cut], place: Path) -> Iterator[tuple[Cut, list[Fault]]]:
    """What is wrong with each of some states."""

    def look(cut: Cut) -> list[Fault]:
        cut.put(place)
        return work.judge(place, cut.acknowledged)

    return each_apart(some, look)


def swept(
    work: Work,
    counts: Counts,
    report: Report,
    dice: random.Random,
    most: int,
    *,
    choices: int = 3,
    until: float = float("inf"),
) -> None:
    """Judge at most so many states of a work, evenly from all of it."""
    work.know()
    join_threads()
    place = disk.scratch()
    try:
        done, there, inode = _asked(work, place)
        chance = 1.5 * most / (len(done) * (choices + 1))
        every = [*cuts(done, there, inode, dice, choices, chance)]
        some = chosen(every, most)
        for cut, faults in judged(work, some, place / "cut"):
            counts.take(faults, f"{work.name}, power cut after {cut.after}, {cut.how} on the disk")
            counts.power_cut_states += 1
            report(1)
            if time.monotonic() > until:
                return
    finally:
        shutil.rmtree(place)


def _asked(work: Work, place: Path) -> tuple[list[Done], Path, int]:
    there = place / "asked"
    there.mkdir()
    done, inode = traced(work, there)
    shutil.rmtree(there)
    return done, there, inode


def run(budget_s: float, seed: int, report: Report, most: int = 0) -> Counts:
    """Cut the power of every work once, then of mixes until the time is over.

    `most` states of each that is one step, and eight times as many of each that is more; else as the time allows.
    """
    counts, until, dice = Counts(), time.monotonic() + budget_s, random.Random(seed)
    long: list[Work] = [mixed(seed), mixed(-seed), *journal_works(seed)]
    short: list[Work] = [fresh(), *store_works()]
    most = most or max(8, round(budget_s * STATES_S / (len(short) + 8 * len(long))))
    for work in long:
        swept(work, counts, report, dice, 8 * most)
    for work in short:
        swept(work, counts, report, dice, most)
    while time.monotonic() < until:
        seed += 1
        swept(mixed(seed), counts, report, dice, 100_000, until=until)
    return counts
