"""Directories of the user alone, for what aios keeps."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077


def private_directory(path: Path, base: Path | None = None) -> Path:
    """Make `path`, and what is missing above it, for this user alone; what is there from `base` down becomes so.

    `base` is `path` where it is not given. What belongs to somebody else stays as it is. Raises OSError.
    """
    path, base = path.absolute(), (base or path).absolute()
    make_directories(path)
    for directory in [*reversed(path.parents), path]:
        if directory == base or base in directory.parents:
            _close_to_others(directory)
    return path


def make_directories(path: Path) -> None:
    """Make `path`, and what is missing above it, so that a power cut takes none of them away again. Raises OSError."""
    path = path.absolute()
    for directory in [*reversed(path.parents), path]:
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
            sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Put the names in a directory on the disk: until then a power cut may undo their changes. Raises OSError.

    One that may be entered and not read cannot be: it is left.
    """
    with suppress(PermissionError):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _close_to_others(directory: Path) -> None:
    info = os.lstat(directory)
    if stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and info.st_mode & OTHERS:
        os.chmod(directory, stat.S_IMODE(info.st_mode) & ~OTHERS)
