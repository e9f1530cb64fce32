"""Names that are written alike: `é` is one character or two, and file systems keep what they were given.

Who types a name means the file that is there, whichever of Unicode's canonically equivalent forms its name has (macOS
gives files NFD names, keyboards NFC ones). The exact name comes first; of several others none is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from unicodedata import normalize


def canonical(name: str) -> str:
    """The one form of all names that are written alike."""
    return name if name.isascii() else normalize("NFC", name)


def only(name: str, names: Iterable[str]) -> str | None:
    """The one of some names that is written like this one; None for none, or several."""
    wanted = canonical(name)
    found = {each for each in names if canonical(each) == wanted}
    return found.pop() if len(found) == 1 else None


def as_written(path: str, there: Callable[[str], bool], names: Callable[[str], Iterable[str]]) -> str:
    """A path as its parts are written on the disk, as far as they are there.

    `there` says whether a path is, `names` what is in a directory.
    """
    if path.isascii():
        return path
    done = PurePosixPath("/" if path.startswith("/") else ".")
    for part in PurePosixPath(path.lstrip("/")).parts:
        exact = str(done / part)
        other = None if part.isascii() or there(exact) else only(part, names(str(done)))
        done /= other or part
    return str(done)
