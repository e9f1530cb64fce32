"""A second wall around agents: an empty network, and System V's shared memory, queues and semaphores of their own.

Behind it a flaw in the first one leads to no server, to no neighbour on the network and to no abstract socket of the
machine. An ordinary user gets it by way of a user namespace, in which he is who he is and has no capability; root does
without one, since there root would lose its rights over the files of others.

*Once for the process that starts agents, not for each of them*: a network takes the system 0.5 to 0.8 ms to make, a
twelfth of an agent's start, and more to take down, which it does later, one after the other; a thousand at once pile
up. Against the machine one that agents share is as good, for there is nothing in it; siblings are kept apart by the
first wall. There is no PID namespace: /proc would have to be mounted anew, by which a process knows itself.

Where the system refuses - a container's filter, a setting, a limit - it is left out, which is said. This file is a
program as well, that finds out, and imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
import subprocess
import sys
from pathlib import Path

USER, NETWORK, IPC = 0x10000000, 0x40000000, 0x08000000
"""CLONE_NEWUSER, CLONE_NEWNET and CLONE_NEWIPC."""
CAPABILITIES_VERSION = 0x20080522
ASK_S = 10.0
"""For which the answer is waited for."""


@functools.cache
def namespaces_available() -> bool:
    """Whether a process of this user can have namespaces of its own here; asked of the system once, by a child."""
    if sys.platform != "linux":
        return False
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def enter_namespaces() -> None:
    """Move this process, and all that it starts, into namespaces of its own. It has one thread. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(NETWORK | IPC | (USER if user else 0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"namespaces: {os.strerror(number)}")
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        if (os.geteuid(), os.getegid()) != (user, group):
            raise OSError(errno.EPERM, "namespaces: the system maps no user into them")
        _drop_all_capabilities(library)


def _drop_all_capabilities(library: ctypes.CDLL) -> None:
    """Whoever makes a user namespace has all of them in it."""
    header = struct.pack("=Ii", CAPABILITIES_VERSION, 0)
    if library.capset(header, bytes(24)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capabilities: {os.strerror(number)}")


if __name__ == "__main__":
    try:
        enter_namespaces()
    except OSError as error:
        sys.exit(str(error))
