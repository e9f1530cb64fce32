"""What the operating system says went wrong, as the ABI's errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from aios_syscalls.errors import AiosError, BadRequest, Denied, Exists, NotFound, StorageFailed

NO_LINK = "it is, or passes through, a symbolic link that cannot be followed; name the file that it stands for"
NO_FILE = "it is a socket, FIFO or device, and only regular files and directories are served; name one"

DENIED = {
    errno.EACCES: "the operating system forbids it; choose another, or change its mode",
    errno.EPERM: "the operating system forbids it; choose another, or change its mode",
    errno.ELOOP: NO_LINK,
    errno.ENXIO: NO_FILE,
    errno.ENODEV: NO_FILE,
    errno.ENOTEMPTY: "the directory is not empty; delete what is in it first",
}
MALFORMED = {
    errno.EISDIR: "it is a directory; name a file in it",
    errno.ENOTDIR: "it, or a part of it, is not a directory; check with file.stat",
    errno.ENAMETOOLONG: "it is longer than the file system can name; shorten it",
    errno.EINVAL: "the file system cannot do this, such as moving a directory into itself; choose another",
}
FAILED = {
    errno.ENOSPC: "the disk is full; delete something, then try again",
    errno.EDQUOT: "the disk quota is used up; delete something, then try again",
    errno.EFBIG: "the file would be larger than allowed; split it",
    errno.EROFS: "the file system is read-only; choose another root",
    errno.EXDEV: "source and target are on different file systems; write a copy, then delete",
}


def typed(error: OSError, path: str, field: str = "path") -> AiosError:
    """The ABI's error for an OSError on `path`, which the call has in `field`."""
    code = error.errno or 0
    if code == errno.ENOENT:
        return NotFound(f"{path} does not exist, or its directory does not; list or create it first", field=field)
    if code == errno.EEXIST:
        return Exists(f"{path} exists already; choose another name, or delete it first", field=field)
    if code in DENIED:
        return Denied(f"{path}: {DENIED[code]}", field=field)
    if code in MALFORMED:
        return BadRequest(f"{path}: {MALFORMED[code]}", field)
    why = FAILED.get(code, f"{os.strerror(code)}; check the disk, then try again")
    return StorageFailed(f"{path}: {why}", field=field, errno=code)


@contextmanager
def faults(path: str, field: str = "path") -> Iterator[None]:
    """Turns every OSError of the block into the ABI's error about `path`."""
    try:
        yield
    except OSError as error:
        raise typed(error, path, field) from error
