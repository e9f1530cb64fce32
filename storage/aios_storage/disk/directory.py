"""What is done to one name in an open directory: never through a symbolic link, never to a device."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from aios_storage.disk.beneath import DIRECTORY
from aios_storage.disk.errors import NO_FILE, NO_LINK
from aios_storage.disk.path import TEMPORARY
from aios_syscalls.errors import Denied

Kind = Literal["file", "directory"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a path; size in bytes (0 for a directory), modified in seconds since the epoch."""

    path: str
    kind: Kind
    size: int
    modified: float


def kind(info: os.stat_result, path: str, links: bool = False) -> Kind:
    """What `path` is; with `links` a symbolic link counts as a file. Raises Denied for anything else."""
    if stat.S_ISDIR(info.st_mode):
        return "directory"
    if stat.S_ISREG(info.st_mode) or (links and stat.S_ISLNK(info.st_mode)):
        return "file"
    raise Denied(f"{path}: {NO_LINK if stat.S_ISLNK(info.st_mode) else NO_FILE}", field="path")


def entry(info: os.stat_result, path: str) -> Entry:
    """`info` as an Entry. Raises Denied for what is neither a file nor a directory."""
    what = kind(info, path)
    return Entry(path, what, info.st_size if what == "file" else 0, info.st_mtime)


def _require_file(info: os.stat_result, path: str) -> os.stat_result:
    if kind(info, path) == "directory":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return info


@contextmanager
def opened(parent: int, name: str, flags: int, path: str) -> Iterator[int]:
    """A descriptor of a regular file. Raises Denied for a socket, FIFO or device, and never waits for one."""
    _require_file(os.lstat(name, dir_fd=parent), path)
    fd = os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY, dir_fd=parent)
    try:
        _require_file(os.fstat(fd), path)  # the name may stand for something else by now
        yield fd
    finally:
        os.close(fd)


def read(fd: int, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`, fewer where the file ends before."""
    chunks = bytearray()
    while len(chunks) < length:
        chunk = os.pread(fd, length - len(chunks), offset + len(chunks))
        if not chunk:
            break
        chunks += chunk
    return bytes(chunks)


def append(parent: int, name: str, data: bytes, path: str) -> None:
    """Add bytes at the end of a file, durably; what a full disk let through is taken back."""
    with opened(parent, name, os.O_WRONLY | os.O_APPEND, path) as fd:
        if os.fstat(fd).st_nlink > 1:
            raise Denied(f"{path} has other names, perhaps outside the root; write it whole instead", field="path")
        written = 0
        try:
            while written < len(data):
                written += os.write(fd, data[written:])
            os.fsync(fd)
        except OSError:
            end = os.lseek(fd, 0, os.SEEK_CUR)
            # Somebody else may have added to ours since: theirs must stay.
            if written and os.fstat(fd).st_size == end:
                os.ftruncate(fd, end - written)
            raise


def mode_to_replace(parent: int, name: str, path: str) -> int | None:
    """The permission bits of the file that is to be replaced, None where there is none. Raises as writing would."""
    try:
        info = _require_file(os.lstat(name, dir_fd=parent), path)
    except FileNotFoundError:
        return None
    # The rename that replaces it would succeed on a read-only file.
    if not os.access(name, os.W_OK, dir_fd=parent, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return stat.S_IMODE(info.st_mode) & 0o777


@contextmanager
def temporary(parent: int, data: bytes, mode: int | None = None) -> Iterator[str]:
    """The name of a file that holds `data` durably, for the block to rename; gone after it otherwise."""
    name = TEMPORARY + secrets.token_hex(8)
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666, dir_fd=parent)
    try:
        with open(fd, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if mode is not None:
                os.fchmod(fd, mode)
            os.fsync(fd)
        yield name
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)


def remove(parent: int, name: str) -> None:
    """Remove an empty directory; one that holds nothing but what crashed writes left behind is empty."""
    try:
        return os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
    fd = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        left = os.listdir(fd)
        for file in left if all(file.startswith(TEMPORARY) for file in left) else ():
            os.unlink(file, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=parent)
