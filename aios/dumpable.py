"""Whether other processes of the same user may look into this one."""

from __future__ import annotations

import ctypes
import functools
import sys

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library, loaded once: a process that has forked need not do it again."""
    return ctypes.CDLL(None, use_errno=True)


def set_dumpable(dumpable: bool) -> bool:
    """Open or close this process's memory, environment and descriptors to other processes; whether it was open.

    A closed one cannot be traced, and `/proc/PID/{environ,mem,maps,fd}` cannot be read, but by whoever has
    CAP_SYS_PTRACE. `exec` opens it again, so each program of ours closes itself first of all. On Linux; else nothing.
    """
    if sys.platform != "linux":
        return True
    prctl = libc().prctl
    before = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
    prctl(PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)
    return bool(before == 1)
