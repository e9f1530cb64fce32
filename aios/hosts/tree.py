"""Which processes there are below another one, read from /proc; none where there is no /proc."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress

PARENT, SESSION = 1, 3
"""Fields of /proc/PID/stat behind the command's name; see proc_pid_stat(5)."""


def children() -> list[int]:
    """The children of this process, which has one thread; zombies among them."""
    own = os.getpid()
    with suppress(OSError), open(f"/proc/self/task/{own}/children") as file:
        return [int(pid) for pid in file.read().split()]
    return [pid for pid, fields in _processes() if int(fields[PARENT]) == own]


def in_sessions(sessions: Collection[int]) -> list[int]:
    """The processes whose session is one of these."""
    return [pid for pid, fields in _processes() if int(fields[SESSION]) in sessions]


def _processes() -> Iterator[tuple[int, list[str]]]:
    with suppress(FileNotFoundError):
        for name in os.listdir("/proc"):
            if name.isdecimal():
                with suppress(OSError), open(f"/proc/{name}/stat", errors="replace") as file:
                    yield int(name), file.read().rpartition(")")[2].split()
