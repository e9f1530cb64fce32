"""Which root a command means, and what a path on the command line is called in there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aios_syscalls.errors import BadRequest, NotFound

KEPT = ".aios"
"""The directory by which a root is known."""


@dataclass(frozen=True, slots=True)
class OpenedRoot:
    """A root, and a path in it that a command was given; `.` is the root itself."""

    root: Path
    path: str

    @property
    def indexed(self) -> bool:
        """Whether the root has been indexed before."""
        return (self.root / KEPT / "truth.db").is_file()


def place(path: str | os.PathLike[str] = ".") -> OpenedRoot:
    """Where `path`, which need not exist, lies: in the nearest directory at or above it that is indexed.

    Where none is, the root is the path itself when it is a directory, else its directory. A symbolic link in `path`
    is not followed at its end: it is the link that has a name in the root. Raises BadRequest for an empty path.
    """
    if not os.fspath(path):
        raise BadRequest("the path is empty; use . for the directory you are in", "path")
    given = Path(alike(path)).expanduser()
    whole = Path(os.path.normpath(given.parent.resolve() / given.name)) if given.name else given.resolve()
    if whole.is_dir():
        whole = whole.resolve()
    start = whole if whole.is_dir() else whole.parent
    root = next((above for above in (start, *start.parents) if (above / KEPT).is_dir()), start)
    return OpenedRoot(root, whole.relative_to(root).as_posix())


def alike(path: str | os.PathLike[str]) -> str:
    """A path as it is written on the disk, where a canonically equivalent one is there and it is not."""
    given = os.fspath(path)
    if given.isascii():
        return given
    from aios_storage import as_written  # with all of the store, which most paths do not need

    return as_written(given, lambda at: os.path.lexists(os.path.expanduser(at)), _names)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(os.path.expanduser(directory))
    except OSError:
        return []


def indexed(path: str | os.PathLike[str] = ".") -> OpenedRoot:
    """As `place`. Raises NotFound, with what to do, where nothing is indexed."""
    found = place(path)
    if not found.indexed:
        where = found.root if found.root.is_dir() else found.root.parent
        if not where.is_dir():
            raise NotFound(f"there is no directory {where}; check the path", field="path")
        raise NotFound(
            f"nothing is indexed in {where} or above it; index it first: aios index {shown(where)}", field="path"
        )
    return found


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    with_dots = os.path.relpath(path)
    return str(path) if with_dots.startswith("..") else with_dots


def spelled(root: Path, path: str) -> str:
    """A path of the root as it is called from the working directory, so that it can be pasted into other commands."""
    whole = root / path
    relative = os.path.relpath(whole)
    return str(whole) if relative.startswith("../../..") else relative
