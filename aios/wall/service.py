"""The wall around the kernel's own helpers: the process that holds a local model, the owner of an index.

They read what others made (a model's file, documents), in large libraries of C. So each gets the wall of an agent, but
for what its work takes, which a ServiceWall lists. Their code is ours: what the machine does not have of a wall is left
out, and the helper starts without that part.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aios.wall import finders, landlock, readable, seccomp, wall_calls
from aios.wall.agent import python_files, search_path
from aios.wall.enclosure import enclose
from aios.wall.seccomp import Condition, SeccompRule

SOCK_STREAM, SOCK_TYPE_MASK = 1, 0xF
NAMES = ("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/run/systemd/resolve")
"""What finding a server by its name reads."""
HARDWARE = ("/sys/bus/pci", "/sys/devices", "/sys/fs/cgroup")
"""Where libraries that compute look for processors, cards and their share of them."""
LISTENING = ("socket", "bind", "listen", "accept", "accept4")
WATCHING = ("inotify_init", "inotify_init1")
NICE = SeccompRule("setpriority", (141, 140), unless_zero=0), SeccompRule("setpriority", (141, 140), unless_zero=1)
"""Only PRIO_PROCESS, and only of the caller; each is a filter of its own, for a rule tests one argument."""
LISTENING_SOCKETS = (
    SeccompRule("socket", (41, 198), condition=Condition(0, (wall_calls.AF_UNIX,))),
    SeccompRule("socket", (41, 198), condition=Condition(1, (SOCK_STREAM,), mask=SOCK_TYPE_MASK)),
)
"""Unix sockets, and no datagrams: those reach a socket without connecting to it."""


@dataclass(frozen=True)
class ServiceWall:
    """What one helper may do beside running Python and its libraries."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    """Directories, with everything below them."""
    devices: tuple[str, ...] = ()
    """Opened for reading, writing and ioctl. With some, Unix sockets may be made: CUDA listens on one of its own."""
    sockets: tuple[str, ...] = ()
    """Directories where it may listen on a Unix socket."""
    programs: bool = False
    """Whether it may start programs of Python's and the system's, behind the same wall."""
    network: bool = False
    watches: bool = False
    """Whether it may have the system tell it of changed files."""
    temporary: str = ""
    """Where SQLite puts what does not fit into memory; empty for one that has none."""
    closed: tuple[str, ...] = ()
    """As in `Walls`: of a directory on Python's path that is or holds one of these, modules alone are read."""

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Self:
        """One that came as JSON."""
        fields: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in wire.items()}
        return cls(**fields)


def put_up_service(wall: ServiceWall) -> None:
    """Put the wall around this process, for good, as far as the machine has it. Only before it has other threads.

    Raises OSError where the machine has a part of it and refuses to put it up.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    enclose()
    finders.install(search_path(wall.closed))
    names = NAMES if wall.network else ()
    landlock.confine(
        map(Path, (*python_files(wall.closed), *readable.of_process(), *HARDWARE, *names, *wall.read)),
        map(Path, ("/dev/null", *wall.write)),
        exec=False,
        special=_special(wall),
        tcp=wall.network,
    )
    for rules in _filters(wall):
        if seccomp.available() and not seccomp.install(rules):
            raise OSError("the system has seccomp, but takes no filter")


def _special(wall: ServiceWall) -> Iterator[tuple[Path, int]]:
    for device in wall.devices:
        yield Path(device), landlock.READ_FILE | landlock.WRITE_FILE | landlock.READ_DIR | landlock.IOCTL_DEVICE
    for place in wall.sockets:
        yield Path(place), landlock.MAKE_SOCK | landlock.REMOVE_FILE | landlock.READ_DIR


def _filters(wall: ServiceWall) -> Iterator[tuple[SeccompRule, ...]]:
    """The filters, all of which a call has to pass."""
    allowed = {
        "setpriority",
        *(LISTENING if wall.sockets or wall.devices else ()),
        *(WATCHING if wall.watches else ()),
        *(rule.name for rule in wall_calls.NETWORK if wall.network),
    }
    users = wall_calls.USERS if wall.programs else ()
    rules = (*wall_calls.rules(os.getpid(), exec=wall.programs), *users)
    yield tuple(rule for rule in rules if rule.name not in allowed)
    yield (NICE[0],)
    yield (NICE[1],)
    if (wall.sockets or wall.devices) and not wall.network:
        for rule in LISTENING_SOCKETS:
            yield (rule,)
