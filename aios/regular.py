"""Reads a file that anybody may have put there: once, bounded, and without waiting for what is no regular file."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from aios_syscalls.errors import BadRequest, NotFound

LARGEST = 1024 * 1024
"""Bytes; a configuration or a tool's source with more is none."""
PIECE = 64 * 1024


@dataclass(frozen=True)
class RegularFile:
    """A file's bytes, and what its open descriptor said of it when they were read."""

    path: Path
    """Absolute, with the links of its directory followed."""
    data: bytes
    info: os.stat_result

    @cached_property
    def sha256(self) -> str:
        """Of the bytes, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def read_regular(path: Path, *, follow: bool = True, most: int = LARGEST) -> RegularFile:
    """The bytes of a regular file; `follow` says whether it may be a symbolic link to one.

    Never waits: a FIFO or a device is not opened. Raises NotFound where there is nothing, BadRequest for all else.
    """
    try:
        # Looked at before it is opened, for opening some devices does something.
        _regular(os.stat(path, follow_symlinks=follow), path)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
        try:
            info = _regular(os.fstat(fd), path)
            data = _bytes(fd, path, most)
        finally:
            os.close(fd)
        return RegularFile(path.parent.resolve() / path.name, data, info)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}; check the path") from None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise BadRequest(f"{path} cannot be read: {why}; mend that, or give another file") from None


def _regular(info: os.stat_result, path: Path) -> os.stat_result:
    """What is known of a regular file. Raises BadRequest for any other."""
    if stat.S_ISREG(info.st_mode):
        return info
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFLNK: "a symbolic link, which is not followed here",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    what = kinds.get(stat.S_IFMT(info.st_mode), "no regular file")
    raise BadRequest(f"{path} is {what}; put a regular file there, or remove it")


def _bytes(fd: int, path: Path, most: int) -> bytes:
    """All of an open file. Raises BadRequest for more than `most` bytes, however much it says that it has."""
    data = bytearray()
    while piece := os.read(fd, min(PIECE, most + 1 - len(data))):
        data += piece
        if len(data) > most:
            raise BadRequest(f"{path} is larger than {most:,} bytes, which is too much; make it smaller, or remove it")
    return bytes(data)
