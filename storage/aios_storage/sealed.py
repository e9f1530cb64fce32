"""What a kernel's callers may read but not change, beside the protected names: what the next run is started from.

An agent that could write it would decide what runs then, and with whose keys. The user's own commands change it freely.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aios_storage.path import folded
from aios_syscalls.errors import Denied

Folded = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """Names that are sealed in every directory, names that are at the top of the root, and paths below the root.

    What lies below a sealed name is sealed. What leads to a sealed path cannot be moved away or made anew, either.
    """

    anywhere: frozenset[str] = frozenset()
    top: frozenset[str] = frozenset()
    paths: tuple[Folded, ...] = ()

    @classmethod
    def of(cls, root: Path, paths: Iterable[Path], anywhere: Iterable[str] = (), top: Iterable[str] = ()) -> Sealed:
        """`paths` count where they lead to something in the root, as they are called and as links resolve them."""
        base = os.path.realpath(root)
        found = {below for path in paths for below in _below(base, path)}
        return cls(frozenset(map(folded, anywhere)), frozenset(map(folded, top)), tuple(sorted(found)))

    def reason(self, path: str) -> str:
        """Why a real path below the root may not be changed; empty where it may."""
        parts = tuple(folded(part) for part in path.split("/") if part not in ("", "."))
        named = not self.anywhere.isdisjoint(parts) or not self.top.isdisjoint(parts[:1])
        if not named and not any(_meet(parts, each) for each in self.paths):
            return ""
        return f"{path} is read-only for agents: it is, or holds, what aios is started from; use another"

    def refuse(self, path: str, field: str = "path") -> str:
        """The path. Raises Denied where it may not be changed."""
        if why := self.reason(path):
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
