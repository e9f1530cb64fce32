"""Directories that agents have for themselves, and their removal: however deep, with whatever modes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path


def make_scratch() -> Path:
    """A new one that only this user can open."""
    return Path(os.path.realpath(tempfile.mkdtemp(prefix="aios-")))


def remove_scratch(place: Path) -> None:
    """Remove a directory and all that is in it; what cannot be removed stays. Only once nobody works in it any more.

    What lies deeper is brought up first, so that no path gets too long and no recursion too deep.
    """
    numbers = (f"aios-{number}" for number in count())
    with suppress(OSError):
        while names := _names(place):
            before = len(names)
            for name in names:
                _take(place / name, place, numbers)
            if _names(place) == names and before:
                return  # none of them can be removed
        place.rmdir()


def _take(path: Path, top: Path, numbers: Iterator[str]) -> None:
    with suppress(OSError):
        if not path.is_dir() or path.is_symlink():
            path.unlink()
            return
        path.chmod(0o700)
        for name in _names(path):
            with suppress(OSError):
                inner = path / name
                if inner.is_dir() and not inner.is_symlink():
                    inner.chmod(0o700)
                    inner.rename(_free(top, numbers))
                else:
                    inner.unlink()
        path.rmdir()


def _free(top: Path, numbers: Iterator[str]) -> Path:
    return next(path for number in numbers if not os.path.lexists(path := top / number))


def _names(place: Path) -> list[str]:
    place.chmod(0o700)
    return sorted(os.listdir(place))
