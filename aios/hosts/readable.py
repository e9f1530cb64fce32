"""Files that an agent may read behind its wall: what Python and its libraries need, and its own program."""

from __future__ import annotations

import glob
import os
import ssl
import stat
import sys
import zoneinfo
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import aios
import aios_syscalls

LIBRARIES = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store")
SETTINGS = (
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload"),
    *("/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/os-release", "/etc/nsswitch.conf"),
    *("/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf"),
    *("/etc/pki/ca-trust", "/etc/pki/tls/cert.pem", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/fonts"),
)
"""Of libraries; none holds a secret. /etc/ssl has more than that: `/etc/ssl/private`."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
OWN = ("auxv", "cgroup", "cmdline", "comm", "fd", "io", "limits", "maps", "smaps", "stat", "statm", "status")
"""In /proc/self, which also has `net`, `mountinfo` and `root`."""
MACHINE = (
    *("/proc/cpuinfo", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/version"),
    *("/proc/filesystems", "/proc/sys/kernel/osrelease", "/proc/sys/vm/overcommit_memory"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage"),
)
"""What numeric libraries and `os.cpu_count` look at."""
MOST_MODULES = 512
"""Of one directory that are allowed one by one."""


def of_python(closed: Iterable[Path]) -> Iterator[Path]:
    """The interpreter, its modules, the system's libraries; of a directory that holds a closed one, modules alone."""
    yield from map(Path, (*LIBRARIES, *SETTINGS, *DEVICES, *MACHINE, *zoneinfo.TZPATH, *_certificates()))
    yield from map(Path, glob.glob("/etc/python3*"))
    for package in (aios, aios_syscalls):
        yield Path(package.__file__ or "").parent
    around = tuple(map(os.path.realpath, closed))
    for entry in (sys.base_prefix, sys.prefix, *filter(os.path.isabs, sys.path)):
        place = Path(os.path.realpath(entry))
        if is_apart(place, around):
            yield place
        else:
            yield from _modules(place, packages=True)


def of_process() -> Iterator[Path]:
    """What this process may know of itself."""
    return (Path("/proc/self", name) for name in OWN)


def of_program(program: Path, closed: Iterable[Path]) -> Iterator[Path]:
    """A program's file and what lies beside it.

    Of a directory that others share, or that holds a closed one, modules alone; of one that anybody can write to, as
    /tmp, nothing.
    """
    yield program
    place = program.parent
    if _is_anybodys(place):
        return
    if is_apart(Path(os.path.realpath(place)), tuple(map(os.path.realpath, closed))):
        yield place
    else:
        yield from _modules(place, packages=False)


def is_apart(place: Path, closed: Iterable[str]) -> bool:
    """Whether a directory neither is nor holds a closed one, nor the root."""
    return place != Path(place.anchor) and not any(Path(other).is_relative_to(place) for other in closed)


def _modules(place: Path, *, packages: bool) -> Iterator[Path]:
    """What can be imported from a directory, if that is not too much to be named."""
    try:
        found = list(islice(os.scandir(place), MOST_MODULES + 1))
    except OSError:
        return
    if len(found) > MOST_MODULES:
        return
    for each in found:
        is_package = packages and os.path.isfile(os.path.join(each.path, "__init__.py"))
        if is_package or each.name.endswith((".py", ".so")):
            yield Path(each.path)


def _is_anybodys(place: Path) -> bool:
    try:
        return bool(place.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return True


def _certificates() -> Iterator[str]:
    paths = ssl.get_default_verify_paths()
    return (path for path in (paths.openssl_cafile, paths.openssl_capath) if path)
