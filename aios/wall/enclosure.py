"""What keeps one agent's process from acting as another, or as the kernel.

| means | binds | against |
|---|---|---|
| not dumpable (`aios.dumpable`) | ordinary users | /proc/PID/{environ,mem,maps,fd}, ptrace, pidfd_getfd |
| fewer capabilities | root, who else passes the line above | the same, and loading code into the system's kernel |
| seccomp | both | every call that reaches into a process, also into what an agent has started |
| a Landlock domain of its own | both | /proc and ptrace of every process but its own children; from ABI 6 signals |

The first three are put on the zygote, from which every agent inherits them; a domain is each agent's own
(`landlock.py`), and part of its wall where it has one (`agent.py`). What the system does not have is left out; the rest
holds without it.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from contextlib import suppress

from aios.dumpable import libc, set_dumpable
from aios.wall import seccomp

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITIES_VERSION = 0x20080522
KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 10, 29})
"""What a program of root's needs for files and users: chown, dac_override, fowner, fsetid, kill, setgid, setuid,
net_bind_service, audit_write. The usual set of containers, without what makes devices, raw packets or new roots; above
all without sys_ptrace, sys_admin, sys_module, sys_rawio, bpf, perfmon and checkpoint_restore."""


def enclose() -> None:
    """Close this process, and let neither it nor what it starts reach into others."""
    set_dumpable(False)
    if sys.platform != "linux":
        return
    libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    drop_capabilities()
    seccomp.install(seccomp.REACHING_INTO_PROCESSES)


def drop_capabilities() -> None:
    """Keep KEPT_CAPABILITIES at most, for good; an ordinary user has none of them anyway."""
    library = libc()
    for capability in range(64):
        if capability not in KEPT_CAPABILITIES:
            library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = struct.pack("=Ii", CAPABILITIES_VERSION, 0)
    held = ctypes.create_string_buffer(24)
    with suppress(AttributeError):  # a C library that does not export them
        if library.capget(header, held) == 0:
            kept = sum(1 << capability for capability in KEPT_CAPABILITIES)
            low, high = kept & 0xFFFFFFFF, kept >> 32
            # Effective, permitted, inheritable: of capabilities 0 to 31, then of 32 to 63.
            words = struct.unpack("=6I", held.raw)
            less = [word & (low if at < 3 else high) for at, word in enumerate(words)]
            library.capset(header, struct.pack("=6I", *less))
