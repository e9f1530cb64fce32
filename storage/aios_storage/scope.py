"""What an asker may see of a root: all of it, but for what is private to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aios_storage.filters import Filters
from aios_syscalls.errors import Denied


@dataclass(frozen=True, slots=True)
class Scope:
    """The directories, or files, that are hidden from an asker."""

    hidden: tuple[str, ...] = ()

    @classmethod
    def of(cls, program: str, private: Mapping[str, str]) -> Scope:
        """Of a program, where `private` has the directory of each program that has one of its own."""
        return cls(tuple(sorted(path.strip("/") for name, path in private.items() if name != program)))

    def sees(self, path: str) -> bool:
        """Whether a real path below the root may be seen."""
        return not any(path == hidden or path.startswith(f"{hidden}/") for hidden in self.hidden)

    def check(self, path: str, whole: bool = False) -> str:
        """The path. Raises Denied where it is hidden or, with `whole`, where something below it is."""
        if not self.sees(path) or (whole and any(path == "." or h.startswith(f"{path}/") for h in self.hidden)):
            raise Denied(f"{path} is, or holds, what is private to another agent; choose another path", field="path")
        return path

    def filters(self, filters: Filters) -> Filters:
        """The same conditions on what may be seen."""
        return replace(filters, without=(*filters.without, *self.hidden)) if self.hidden else filters
