"""What Python's import system knows of directories that an agent may not list: the names that it may read there.

An ordinary finder lists its directory anew whenever something in it has changed, as by the `__pycache__` of another
program; once that is refused, it knows of nothing there. And the names that it remembers lie in the agent's own memory,
whether or not it may know them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import machinery
from pathlib import Path

LOADERS = (
    (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
    (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
    (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
)
"""In the order in which Python itself tries them."""
UNKNOWN = "no module of this name"

Names = Mapping[Path, frozenset[str]]
"""By a directory that is open in part: what is open of it."""


class NamedFinder(machinery.FileFinder):
    """Finds modules among these names of a directory, which it never lists."""

    def __init__(self, directory: str, names: Iterable[str]) -> None:
        super().__init__(directory, *LOADERS)
        self._names = frozenset(names)

    def _fill_cache(self) -> None:
        """What it asks the system for in its base."""
        self._path_cache = set(self._names)
        self._relaxed_path_cache = {name.lower() for name in self._names}


def install(names: Names) -> None:
    """Have this process find modules of these directories by these names alone, from now on."""
    for directory, known in names.items():
        sys.path_importer_cache[str(directory)] = NamedFinder(str(directory), known)


def beside(place: Path, allowed: Iterable[Path], others: Names) -> Names:
    """Of a program's directory and the packages in it, where the `allowed` files are all that is open there.

    It may be on the search path too, so it is told with `others`.
    """
    paths = set(allowed)
    if place in paths:
        return {directory: names for directory, names in others.items() if not directory.is_relative_to(place)}
    found: dict[Path, set[str]] = {place: set()}
    for path in paths:
        for each in (path, *path.parents):
            if each != place and each.is_relative_to(place):
                found.setdefault(each.parent, set()).add(each.name)
    return {**others, **{directory: others.get(directory, frozenset()) | names for directory, names in found.items()}}


def on_search_path(allowed: Sequence[Path]) -> Names:
    """Of the directories on the search path that are not among the `allowed`, though some of what is in them is.

    Those that are, Python has listed afterwards, so that processes that are forked from this one need not do it.
    """
    machinery.PathFinder.find_spec(UNKNOWN)
    places = [str(path) for path in allowed]
    return {
        directory: names
        for entry in filter(os.path.isdir, filter(os.path.isabs, sys.path))
        if not _is_below(os.path.realpath(entry), places)
        for directory, names in _known(Path(entry), places)
    }


def _known(directory: Path, places: Sequence[str]) -> Iterator[tuple[Path, frozenset[str]]]:
    """The names that are open in a directory, and in those of its directories that are open in part."""
    names = set()
    with suppress(OSError):
        for name in os.listdir(directory):
            real = os.path.realpath(path := directory / name)
            if _is_below(real, places):
                names.add(name)
            elif not path.is_symlink() and any(_is_below(place, (real,)) for place in places):
                names.add(name)
                yield from _known(path, places)
    yield directory, frozenset(names)


def _is_below(path: str, places: Iterable[str]) -> bool:
    """Whether it is one of these or lies in one; all without links."""
    return any(path == place or path.startswith(place + os.path.sep) for place in places)
