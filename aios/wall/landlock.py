"""Landlock: a domain that a process cannot leave, nor anything that it starts.

Its calls are made by number, the same on every architecture, since C libraries do not have them.
"""

from __future__ import annotations

import ctypes
import functools
import os
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aios.dumpable import libc

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
GET_VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_CHAR, MAKE_SOCK, MAKE_BLOCK = 1 << 5, 1 << 6, 1 << 9, 1 << 11
TRUNCATE, IOCTL_DEVICE = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
"""Rights that a rule for something else than a directory can have."""
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""What there is to allow from a version on."""
TRUNCATES = 3
"""The version from which cutting a file is a right."""
ALL_TCP, SCOPE_ABSTRACT, SCOPE_SIGNAL = 3, 1, 1 << 1


@functools.cache
def version() -> int:
    """That of Landlock here, 0 where the system has none."""
    if sys.platform != "linux":
        return 0
    found = libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(GET_VERSION))
    return max(0, int(found))


def separate() -> None:
    """Give this process a domain of its own: it may trace, look into or signal its own children at most."""
    # A ruleset has to restrict something: signals, or where they cannot be, the making of block devices.
    if version() >= 6:
        _enter(_ruleset(0, 0, SCOPE_SIGNAL))
    elif version():
        _enter(_ruleset(MAKE_BLOCK))


def confine(
    read: Iterable[Path],
    write: Iterable[Path],
    *,
    exec: bool,
    special: Iterable[tuple[Path, int]] = (),
    tcp: bool = False,
) -> None:
    """The same, with no files but these, no TCP and no abstract sockets. Paths that are not there are left out.

    `special` are further paths with exactly the rights that are given; `tcp` leaves TCP open.

    Programs that lie in `read`, and with `exec` in `write` too, can be executed as far as nothing else forbids it.
    Raises OSError; where there is no Landlock, nothing is done.
    """
    if not version():
        return
    rights = RIGHTS[max(each for each in RIGHTS if each <= version())]
    ruleset = _ruleset(rights, 0 if tcp else ALL_TCP, SCOPE_ABSTRACT | SCOPE_SIGNAL)
    writing = rights & ~(MAKE_CHAR | MAKE_BLOCK | MAKE_SOCK | IOCTL_DEVICE | (0 if exec else EXECUTE))
    for path in read:
        _allow(ruleset, path, rights & (EXECUTE | READ_FILE | READ_DIR))
    for path in write:
        _allow(ruleset, path, writing)
    for path, wanted in special:
        _allow(ruleset, path, rights & wanted)
    _enter(ruleset)


def _ruleset(files: int, tcp: int = 0, scope: int = 0) -> int:
    rights = struct.pack("=QQQ", files, tcp, scope)[: 8 if version() < 4 else 16 if version() < 6 else 24]
    return _done(libc().syscall(CREATE_RULESET, rights, ctypes.c_size_t(len(rights)), ctypes.c_uint32(0)))


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # it cannot be read without a wall either
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= OF_FILES
            _done(
                libc().syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", rights, place), ctypes.c_uint32(0))
            )
        finally:
            os.close(place)


def _enter(ruleset: int) -> None:
    try:
        _done(libc().syscall(RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)


def _done(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return answer
