"""Reading what is on the disk while others may be writing it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

from aios_storage.disk import directory
from aios_storage.versions.rows import FileStamp

PIECE = 1024 * 1024
TRIES = 5
RACY_NS = 50_000_000
"""A file that was written within this time may be written again without looking different: clocks of file systems
tick. (The problem and its remedy are git's: `Documentation/technical/racy-git.txt`.)"""


def digest(fd: int) -> bytes:
    """The SHA-256 of an open file."""
    state, offset = hashlib.sha256(), 0
    while piece := os.pread(fd, PIECE, offset):
        state.update(piece)
        offset += len(piece)
    return state.digest()


def steady(fd: int, most: int, pause: Callable[[float], None] = time.sleep) -> tuple[bytes, bytes | None, FileStamp]:
    """A file's SHA-256, its bytes unless they are more than `most`, and how it looked all the while.

    A file that goes on changing is taken as it was read last, and counts as not surely recorded.
    """
    for _ in range(TRIES - 1):
        same, found = _read_once(fd, most)
        if same:
            return found
        pause(0.01)
    return _read_once(fd, most)[1]


def _read_once(fd: int, most: int) -> tuple[bool, tuple[bytes, bytes | None, FileStamp]]:
    """What `steady` gives, and whether the file looked alike before and after."""
    before = os.fstat(fd)
    data = directory.read(fd, 0, before.st_size + 1) if before.st_size <= most else None
    key = digest(fd) if data is None else hashlib.sha256(data).digest()
    after = os.fstat(fd)
    same = FileStamp.of(before) == FileStamp.of(after) and (data is None or len(data) == after.st_size)
    sure = same and time.time_ns() - after.st_mtime_ns > RACY_NS
    size = after.st_size if data is None else len(data)
    return same, (key, data, FileStamp(size, after.st_mtime_ns, after.st_ino, sure))
