"""What an asker may see of a root: all of it, but for what is private to others, and what the root is kept in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath

from aios_storage.index.filters import Filters
from aios_storage.versions.store import STORE_DIRECTORY
from aios_syscalls.errors import Denied


@dataclass(frozen=True, slots=True)
class Scope:
    """The directories, or files, that are hidden from an asker, and those below them that are not, being its own.

    A hidden name that ends in `/` is a directory that is seen itself, while what is below it is not. Of two that lie
    in each other the inner one counts.
    """

    hidden: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        program: str,
        pid: int,
        private: Mapping[str, str],
        homes: str | None = None,
        real: Callable[[str], str] = lambda path: path,
    ) -> Scope:
        """Of a process: `private` has the directory of each program that has one for itself, and in the directory
        `homes` each process has one. `real` follows links, for a path is hidden by where it leads."""
        places = {name: _tidy(path) for name, path in private.items()}
        own = {places[program]} if program in places else set()
        others = set(places.values()) - own
        if homes is not None:
            own.add(home_of(homes, program, pid))
            others.add(f"{_tidy(homes)}/")
        ends = {place: f"{real(place.rstrip('/'))}{'/' if place.endswith('/') else ''}" for place in own | others}
        return cls(
            tuple(sorted(others | {ends[place] for place in others})),
            tuple(sorted(own | {ends[place] for place in own})),
        )

    def sees(self, path: str) -> bool:
        """Whether a real path below the root may be seen."""
        if any(part.casefold() == STORE_DIRECTORY for part in path.split("/")):
            return False
        return not any(_within(path, hidden) and not self._mine(path, hidden) for hidden in self.hidden)

    def check(self, path: str, whole: bool = False) -> str:
        """The path. Raises Denied where it is hidden or, with `whole`, where something below it is."""
        inside = whole and any(path == "." or hidden.startswith(f"{path}/") for hidden in self.hidden)
        if inside or not self.sees(path):
            what = "is, or holds, what is private to another agent, or what this root is kept in"
            raise Denied(f"{path} {what}; choose another path", field="path")
        return path

    def filters(self, filters: Filters) -> Filters:
        """The same conditions on what may be seen."""
        if not self.hidden:
            return filters
        return replace(filters, without=(*filters.without, *self.hidden), but=self.own)

    def _mine(self, path: str, hidden: str) -> bool:
        return any(own.startswith(f"{hidden.rstrip('/')}/") and _within(path, own) for own in self.own)


def home_of(homes: str, program: str, pid: int) -> str:
    """The directory that a process has for itself."""
    return f"{_tidy(homes)}/{PurePath(program).stem}-{pid}"


def _tidy(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip('/')}/")
