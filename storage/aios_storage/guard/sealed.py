"""What a kernel's callers may read but not change, beside the protected names: what programs are started from.

An agent that could write it would decide what the next run of aios is, or what the user's other programs run, and with
whose keys. The user's own commands change it freely.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aios_storage.disk.path import folded
from aios_storage.guard.executed import Executed, Folded, parts_of
from aios_syscalls.errors import Denied


@dataclass(frozen=True, slots=True)
class Sealed:
    """Names that are sealed in every directory, paths below the root, and names that get executed.

    What lies below a sealed name is sealed. What leads to a sealed path cannot be moved away or made anew, either.
    """

    anywhere: frozenset[str] = frozenset()
    paths: tuple[Folded, ...] = ()
    executed: Executed | None = None

    @classmethod
    def of(
        cls, root: Path, paths: Iterable[Path], anywhere: Iterable[str] = (), executed: Executed | None = None
    ) -> Sealed:
        """`paths` count where they lead to something in the root, as they are called and as links resolve them."""
        base = os.path.realpath(root)
        found = {below for path in paths for below in _below(base, path)}
        return cls(frozenset(map(folded, anywhere)), tuple(sorted(found)), executed)

    def reason(self, path: str, directory: bool = False) -> str:
        """Why a path below the root, to be a directory if so, may not be changed; empty where it may."""
        if self.executed and (why := self.executed.reason(path, directory)):
            return why
        parts = parts_of(path)
        if not self.anywhere.isdisjoint(parts) or any(_meet(parts, each) for each in self.paths):
            return f"{path} is read-only for agents: it is, or holds, what aios is started from; use another"
        return ""

    def refuse(self, path: str, field: str = "path", directory: bool = False) -> str:
        """The path. Raises Denied where it may not be changed."""
        return _refuse(self.reason(path, directory), path, field)

    def refuse_executed(self, path: str, field: str = "path", directory: bool = False) -> str:
        """The path. Raises Denied where its name is one that gets executed."""
        return _refuse(self.executed.named(path, directory) if self.executed else "", path, field)


def _refuse(why: str, path: str, field: str) -> str:
    if why:
        raise Denied(why, field=field)
    return path


def _below(base: str, path: Path) -> Iterable[Folded]:
    for place in {os.path.abspath(path), os.path.realpath(path)}:
        relative = os.path.relpath(place, base)
        parts = tuple(folded(part) for part in relative.split(os.sep))
        if parts[0] not in ("..", "."):
            yield parts


def _meet(parts: Folded, sealed: Folded) -> bool:
    """Whether one leads to the other. The root itself is for others to refuse."""
    return bool(parts) and (parts[: len(sealed)] == sealed or sealed[: len(parts)] == parts)


NOTHING = Sealed()
