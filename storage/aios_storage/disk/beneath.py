"""System calls that never leave a directory, and some that Python lacks.

Directories are held as descriptors, so that what was checked is what is used, whoever renames what in between.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import PurePath

from aios_storage.disk.path import Parts
from aios_syscalls.errors import Denied

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

SYS_OPENAT2 = 437  # on every architecture
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
RENAME_NOREPLACE = 1
DELETED = " (deleted)"
"""What Linux adds to the name of an open file that the name does not lead to any more."""

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(root: int, parts: Parts, flags: int, resolve: int = 0) -> int:
    """A descriptor of what lies at `parts` below `root`, by openat2(2); links that leave `root` fail with EXDEV."""
    path = os.fsencode("/".join(parts) or ".")
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    while True:
        fd = int(_libc.syscall(SYS_OPENAT2, root, path, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        # EAGAIN: a rename raced with the kernel's own check, which openat2(2) says to repeat.
        if code not in (errno.EAGAIN, errno.EINTR):
            raise OSError(code, os.strerror(code), "/".join(parts))


def openat2_supported(root: int) -> bool:
    """Whether this system has openat2(2) and /proc; old kernels, macOS and strict sandboxes have not."""
    try:
        os.close(openat2(root, (), DIRECTORY))
        return bool(os.readlink(f"/proc/self/fd/{root}"))
    except OSError:
        return False


def real(root: int, parts: Parts) -> Parts:
    """Where `parts` leads once every symbolic link in it is followed. Raises Denied where it leaves `root`."""
    try:
        while True:
            fd = openat2(root, parts, os.O_PATH)
            try:
                base, place = (os.readlink(f"/proc/self/fd/{each}") for each in (root, fd))
                if not place.endswith(DELETED) or _is_at(fd, place):
                    return PurePath(place).relative_to(base).parts
            finally:
                os.close(fd)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.EXDEV:
            raise
        raise Denied(f"{'/'.join(parts)} leads out of the root by a symbolic link; name what lies inside") from error


def _is_at(fd: int, place: str) -> bool:
    """Whether a file really has a name that looks like that of one deleted, or replaced, while it was looked at."""
    try:
        there, here = os.lstat(place), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def walk(root: int, parts: Parts) -> int:
    """A descriptor of the directory at `parts` below `root`, one component at a time; no symbolic links."""
    fd = os.dup(root)
    for part in parts:
        try:
            deeper = os.open(part, DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        except NotADirectoryError:
            # Linux says so of a link too, when it is not to follow it.
            if stat.S_ISLNK(os.lstat(part, dir_fd=fd).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part) from None
            raise
        finally:
            os.close(fd)
        fd = deeper
    return fd


def _renameat2(source_dir: int, source: str, target_dir: int, target: str) -> None:
    if not hasattr(_libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    names = (source_dir, os.fsencode(source), target_dir, os.fsencode(target))
    if _libc.renameat2(*names, ctypes.c_uint(RENAME_NOREPLACE)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)


def rename_new(source_dir: int, source: str, target_dir: int, target: str) -> None:
    """Rename, but never over something that exists: that fails with EEXIST."""
    try:
        return _renameat2(source_dir, source, target_dir, target)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise
    if not stat.S_ISDIR(os.lstat(source, dir_fd=source_dir).st_mode):
        os.link(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir, follow_symlinks=False)
        return os.unlink(source, dir_fd=source_dir)
    # A directory cannot be linked, but it may replace an empty one, and mkdir claims the name for that.
    os.mkdir(target, dir_fd=target_dir)
    try:
        os.rename(source, target, src_dir_fd=source_dir, dst_dir_fd=target_dir)
    except OSError:
        os.rmdir(target, dir_fd=target_dir)
        raise
