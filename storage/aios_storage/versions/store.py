"""The directory that a root keeps its versions and its index in: trusted only as this user's own, without links.

Whoever made the root may have put one there, as with a checkout or an archive. A link in it would have us write, or
show, files that lie elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from aios_syscalls.errors import StorageFailed

STORE_DIRECTORY = ".aios"
"""Its name; a protected one, which no caller reads or writes."""
_IGNORED = b"*\n"


def own(root: Path) -> Path:
    """The directory, made where there is none. Raises StorageFailed for one that is not ours alone, OSError."""
    place = root / STORE_DIRECTORY
    place.mkdir(mode=0o700, exist_ok=True)
    _refuse_foreign(place)
    for odd in _odd(place):
        raise _refused(place, f"{os.path.relpath(odd, root)} in it is neither a file nor a directory")
    if not (place / ".gitignore").exists():
        settle(root)  # or a power cut takes the directory, with what was acknowledged of what is in it
    with suppress(FileExistsError):
        fd = open_own(place / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with open(fd, "wb") as ignore:
            ignore.write(_IGNORED)
    return place


def open_own(path: Path, flags: int) -> int:
    """A descriptor of a file in there, of this user alone where it is new. Raises OSError for a link."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def settle(directory: Path) -> None:
    """The names in a directory are on the disk; one that may be entered and not read cannot be synced."""
    with suppress(PermissionError):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _refuse_foreign(place: Path) -> None:
    info = place.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise _refused(place, "it is a symbolic link, or no directory")
    if info.st_uid not in (os.geteuid(), 0):
        raise _refused(place, f"it belongs to another user (uid {info.st_uid})")
    if info.st_mode & stat.S_IWOTH:
        raise _refused(place, "everybody may write in it")


def _odd(place: Path) -> Iterator[str]:
    """What in a directory, at any depth, is a link, a FIFO or a device. What vanishes meanwhile is not."""
    pending = [os.fspath(place)]
    while pending:
        with suppress(FileNotFoundError), os.scandir(pending.pop()) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    pending.append(item.path)
                elif not item.is_file(follow_symlinks=False):
                    yield item.path


def _refused(place: Path, why: str) -> StorageFailed:
    return StorageFailed(
        f"{place} is not used, for {why}; if you did not make it so, move it away, and it is made anew; the files "
        "themselves are not touched by that"
    )
