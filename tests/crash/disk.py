"""The disk of a process, through a small library that stands between both: it counts, kills, fails or writes down.

It is exact for whatever the process does, through SQLite, Python or C, for it takes the place of the C library's own
functions (LD_PRELOAD). A process that is to have it is started by `command`; in it, `armed` and `off` rule it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from struct import Struct

SOURCE = Path(__file__).with_name("disk.c")
HEAD = Struct("<IIIIQq")
NEVER = 2**62


class Op(IntEnum):
    """A durable operation; MARK is none, but what the program has acknowledged."""

    CREATE = 0
    WRITE = 1
    TRUNCATE = 2
    SYNC = 3
    RENAME = 4
    UNLINK = 5
    MKDIR = 6
    RMDIR = 7
    LINK = 8
    MARK = 9


ALL_OPS = frozenset(Op)


class Mode(IntEnum):
    """What happens at the chosen operations: a part of a write and then the end, an error, a part of a write."""

    OFF = 0
    COUNT = 1
    KILL = 2
    TORN = 3
    FAIL = 4
    SHORT = 5


@dataclass(frozen=True, slots=True)
class Done:
    """An operation that was made; `offset` is the size of a truncation, or the number of a mark."""

    op: Op
    inode: int
    offset: int
    path: str
    target: str
    data: bytes


def scratch() -> Path:
    """Where files are quick: in memory where there is such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="aios-crash-", dir=memory if os.access(memory, os.W_OK) else None))


@cache
def built() -> Path:
    """The library, compiled once for each state of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"aios-crash-{os.getuid()}-{digest}"
    place.mkdir(mode=0o700, exist_ok=True)
    if place.stat().st_uid != os.getuid():
        raise PermissionError(f"{place} belongs to somebody else; remove it")
    library = place / "disk.so"
    if not library.exists():
        fresh = place / f"{os.getpid()}.so"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", fresh, SOURCE, "-ldl", "-lpthread"], check=True)
        fresh.replace(library)
    return library


def command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """How to start `tests.crash.warm` with its disk ruled: what to run, in which environment."""
    environment = dict(os.environ) | {"LD_PRELOAD": str(built()), "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    return [sys.executable, "-m", "tests.crash.warm", *arguments], environment


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(built()))
    library.disk_count.restype = ctypes.c_long
    library.disk_arm.argtypes = (
        *(ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_int, ctypes.c_uint, ctypes.c_int),
    )
    library.disk_mark.argtypes = (ctypes.c_long,)
    if str(built()) not in os.environ.get("LD_PRELOAD", ""):
        raise RuntimeError("the disk of this process is its own; start it by disk.command")
    return library


def arm(
    place: Path,
    mode: Mode,
    first: int = 1,
    last: int | None = None,
    *,
    error: int = 0,
    ops: frozenset[Op] = ALL_OPS,
    record: int = -1,
) -> None:
    """From now on count what happens below `place`; at the operations from `first` to `last` do as `mode` says.

    Every operation is written down to the descriptor `record`, where there is one.
    """
    kinds = sum(1 << op for op in ops)
    until = first if last is None else last
    _library().disk_arm(os.fsencode(place.resolve()), mode, first, until, error, kinds, record)


def off() -> None:
    """Let everything pass, uncounted."""
    _library().disk_off()


def count() -> int:
    """How many operations there were since it was armed."""
    return int(_library().disk_count())


def mark(number: int) -> None:
    """Write down that the program has acknowledged so many steps."""
    _library().disk_mark(number)


def recorded(file: Path) -> Iterator[Done]:
    """The operations that were written down, in order."""
    data, at = file.read_bytes(), 0
    while at < len(data):
        op, a, b, size, inode, offset = HEAD.unpack_from(data, at)
        at += HEAD.size
        path, target = os.fsdecode(data[at : at + a]), os.fsdecode(data[at + a : at + a + b])
        at += a + b
        yield Done(Op(op), inode, offset, path, target, data[at : at + size])
        at += size
