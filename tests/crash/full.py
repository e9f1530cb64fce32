"""A disk that is really full: a small file system of this process alone as root, a limit on files elsewhere."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aios_storage import Library
from aios_syscalls.errors import StorageFailed
from tests.crash import disk
from tests.crash.apart import apart
from tests.crash.counts import Counts, Fault, Report
from tests.crash.store_work import view

NEW_MOUNTS, RECURSIVE, PRIVATE = 0x20000, 0x4000, 0x40000
SIZE_KIB = 1536
Free = Callable[[], None]


def small_disk(place: Path) -> bool:
    """Mount a small file system at a place, for this process alone; False where it may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) or libc.mount(b"none", b"/", None, ctypes.c_ulong(RECURSIVE | PRIVATE), None):
        return False
    options = f"size={SIZE_KIB}k".encode()
    return not libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", ctypes.c_ulong(0), options)


def fill(place: Path) -> Free:
    """Leave no room on the disk; what is returned frees it."""
    ballast = place / ".aios" / "ballast"
    size = 1 << 16
    with ballast.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return ballast.unlink


def limit(place: Path) -> Free:
    """Let no file grow; what is returned lifts that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def lived(tell: Callable[[Any], None]) -> list[Fault]:
    """A store on a disk that becomes full and is freed: what it says meanwhile, and what is left."""
    place = disk.scratch()
    try:
        mounted = small_disk(place)
        tell("a small tmpfs" if mounted else "RLIMIT_FSIZE")
        faults = _full(place, fill if mounted else limit)
        return faults + view(place)[1]
    finally:
        if not mounted:
            shutil.rmtree(place)


def _full(place: Path, filled: Callable[[Path], Free]) -> list[Fault]:
    faults = []
    with Library(place) as library:
        library.files.write("before.txt", b"before")
        free = filled(place)
        for name in ("before.txt", "new.txt"):
            try:
                library.files.write(name, os.urandom(4096))
            except StorageFailed:
                continue
            faults.append(Fault("wrong", f"{name} is said to be written on a full disk"))
        if library.files.read("before.txt") != b"before" or len(library.files.history("before.txt")) != 1:
            faults.append(Fault("wrong", "what was there is not, while the disk is full"))
        free()
        library.files.write("after.txt", b"after")
        if library.files.read("after.txt") != b"after" or library.files.stat("before.txt").size != len(b"before"):
            faults.append(Fault("lost", "it does not go on once there is room"))
    return faults


def run(_budget_s: float, _seed: int, report: Report) -> Counts:
    """One full disk; which kind it was is noted."""
    counts = Counts(io_errors=1)
    end = apart(lived)
    counts.notes.append(f"the full disk was {end.said[0] if end.said else 'not made'}")
    counts.take(end.result if end.well else [Fault("wrong", end.error or "it hangs")], "a full disk")
    report(1)
    return counts
