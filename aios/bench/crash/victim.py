"""A program that changes files at random and says so, until it is killed.

Before each change it says what paths will hold, after it that this is acknowledged; the one that listens knows from
that what may be on the disk when the program dies.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

from aios_storage import Change, Drop, Library, Put, Rename, Retention

NAMES = 12
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]


class Victim:
    """Changes files below a root, at random but for the seed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.library = Library(root)
        self.files = self.library.files
        self.dice = random.Random(seed)

    def step(self, count: int) -> None:
        """One change."""
        there = [head.path for head in self.files.heads()]
        free = [path for path in (f"f{number}.txt" for number in range(NAMES)) if path not in there]
        path = self.dice.choice(there) if there else ""
        kind = self.dice.choice(["put", "put", "append", "several", "move", "drop", "rollback", "outside", "prune"])
        data = self._data(count)
        if kind == "prune" and there:
            self._say("begin", {})
            self.files.prune(Retention(count=10))
            self._say("done", {})
        elif kind == "outside" and there:
            # Another program's change is no promise of ours; that the next change keeps it, is.
            before = self.files.read(path)
            self._say("begin", {path: [before, before + data]})
            # In one step: what another program leaves half written when it is killed is its own affair.
            beside = self.files.path / ".aios" / "outside"
            beside.write_bytes(before + data)
            beside.replace(self.files.path / path)
            self.files.scan([path])
            self._say("done", {path: [before + data]})
        elif kind == "append" and there:
            self._do({path: self.files.read(path) + data}, lambda: self.files.append(path, data))
        elif kind == "rollback" and there and len(self.files.history(path)) > 1:
            target = self.dice.choice([each for each in self.files.history(path) if not each.deleted])
            after = self.files.show(path, target.number)
            self._do({path: after}, lambda: self.files.rollback(path, target.number))
        elif kind == "drop" and len(there) > 2:
            self._do({path: None}, lambda: self.files.delete(path))
        elif kind == "move" and there and free:
            target_path = self.dice.choice(free)
            self._do({path: None, target_path: self.files.read(path)}, lambda: self.files.move(path, target_path))
        elif kind == "several" and len(there) > 3 and free:
            a, b, c = self.dice.sample(there, 3)
            changes: list[Change] = [Put(a, data), Drop(b), Rename(c, free[0])]
            after = self.files.read(c)
            self._do({a: data, b: None, c: None, free[0]: after}, lambda: self.files.transaction(changes))
        else:
            path = path if there and self.dice.random() < 0.5 else self.dice.choice(free or there)
            self._do({path: data}, lambda: self.files.write(path, data))

    def _do(self, effect: dict[str, bytes | None], act: Any) -> None:
        self._say("begin", {path: [data] for path, data in effect.items()})
        act()
        self._say("done", {path: [data] for path, data in effect.items()})

    def _data(self, count: int) -> bytes:
        words = " ".join(self.dice.choices(WORDS, k=self.dice.randrange(400)))
        big = self.dice.randbytes(1_200_000) if self.dice.random() < 0.05 else b""
        return f"{count} {words}\n".encode() + big

    def _say(self, what: str, effect: dict[str, list[bytes | None]]) -> None:
        said = {path: [_digest(data) for data in states] for path, states in effect.items()}
        print(json.dumps([what, said]), flush=True)


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    victim = Victim(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps(["ready", {}]), flush=True)
    for number in range(10_000):
        victim.step(number)
