"""Files that an agent may read behind its wall: what Python and its libraries need, and its own program."""

from __future__ import annotations

import glob
import os
import ssl
import stat
import sys
import sysconfig
import zoneinfo
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
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
MOST_ENTRIES, MOST_DEEP, MOST_SEARCHED = 10_000, 8, 64
"""Of one directory that are looked at; packages within packages; directories in which code of a package is sought."""
CODE = (".py", ".so")
INSTALLED = (*CODE, ".dist-info", ".egg-info", ".egg")
"""Ends of the names of what can be imported, and of what says which distributions there are."""
SITES = ("site-packages", "dist-packages")


def of_python(closed: Iterable[Path]) -> Iterator[Path]:
    """The interpreter, its modules and the system's libraries, but nothing that lies in a closed directory.

    Of other directories on the search path, as those of editable installations, what can be imported: what else lies
    in a checkout, such as `.git` and `.env`, is nobody's library.
    """
    around = tuple(Path(os.path.realpath(path)) for path in closed)
    yield from map(Path, (*SETTINGS, *DEVICES, *MACHINE, *zoneinfo.TZPATH, *_certificates()))
    yield from map(Path, glob.glob("/etc/python3*"))
    for own in (aios, aios_syscalls):
        yield Path(own.__file__ or "").parent
    system = tuple(Path(os.path.realpath(path)) for path in (*LIBRARIES, *_standard()))
    holes = tuple(hole for hole in around if not any(path.is_relative_to(hole) for path in system))
    for place in system:
        yield from _without(place, holes)
    for prefix in (sys.base_prefix, sys.prefix):
        yield from _without(Path(os.path.realpath(prefix)), around)
    yield Path(sys.executable)
    for entry in filter(os.path.isabs, sys.path):
        yield from _importable(Path(os.path.realpath(entry)), around)
    for package in _editable():
        yield from _package(Path(package), around)


def of_process() -> Iterator[Path]:
    """What this process may know of itself."""
    return (Path("/proc/self", name) for name in OWN)


def of_program(program: Path, closed: Iterable[Path]) -> Iterator[Path]:
    """A program's file, without links, and what lies beside it.

    Of a directory that holds a closed one, modules and the modules of packages alone; of one that anybody can write
    to, as /tmp, nothing.
    """
    yield program
    place = program.parent
    if is_anybodys(place):
        return
    around = tuple(Path(os.path.realpath(path)) for path in closed)
    if is_apart(place, around):
        yield place
    else:
        yield from islice(_code(place, place, MOST_DEEP), MOST_MODULES)


def is_apart(place: Path, closed: Iterable[Path]) -> bool:
    """Whether a directory neither is nor holds a closed one, nor the root."""
    return place != Path(place.anchor) and not any(other.is_relative_to(place) for other in closed)


def is_anybodys(place: Path) -> bool:
    """Whether everybody on this machine can put files into a directory; one that cannot be looked at counts as such."""
    try:
        return bool(place.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return True


def _standard() -> Iterator[str]:
    """Where the interpreter has its own modules, and those that were installed."""
    paths = sysconfig.get_paths()
    return (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def _editable() -> Iterator[str]:
    """What setuptools' editable installations lead to without the search path; modules are told without their ends."""
    for name, module in tuple(sys.modules.items()):
        if name.startswith("__editable__"):
            yield from map(str, getattr(module, "MAPPING", {}).values())
            yield from map(str, chain.from_iterable(getattr(module, "NAMESPACES", {}).values()))


def _without(place: Path, holes: Iterable[Path]) -> Iterator[Path]:
    """A directory, or what is in it but the holes; a link in it leads to where it is allowed by itself, or not."""
    inside = [hole for hole in holes if hole.is_relative_to(place)]
    if not inside:
        yield place
    elif place not in inside:
        for each in _entries(place):
            if not each.is_symlink():
                yield from _without(Path(each.path), inside)


def _importable(place: Path, around: Sequence[Path]) -> Iterator[Path]:
    """What Python can import from an entry of the search path."""
    if place.name in SITES or not place.is_dir():
        yield from _package(place, around)
        return
    found = [each for each in _entries(place) if each.name.endswith(INSTALLED) or _is_package(each)]
    if len(found) > MOST_MODULES:
        yield from _package(place, around)
        return
    for each in found:
        yield from _package(Path(each.path), around)


def _package(place: Path, around: Sequence[Path]) -> Iterator[Path]:
    """All of a package, or where that holds something closed, its modules."""
    target = Path(os.path.realpath(place))
    if not target.is_dir():
        yield from (target, target.with_suffix(".py"))
    elif is_apart(target, around):
        yield target
    else:
        yield from islice(_code(target, target, MOST_DEEP), MOST_MODULES)


def _is_package(entry: os.DirEntry[str]) -> bool:
    """Whether a directory has code of its name, in itself or in packages within it."""
    waiting = deque([entry.path] if entry.name.isidentifier() and entry.is_dir() else [])
    for _ in range(MOST_SEARCHED):
        if not waiting:
            return False
        inside = _entries(Path(waiting.popleft()))
        if any(each.name.endswith(CODE) for each in inside):
            return True
        waiting += [each.path for each in inside if each.name.isidentifier() and each.is_dir(follow_symlinks=False)]
    return False


def _code(place: Path, top: Path, depth: int) -> Iterator[Path]:
    """Modules in a directory and in its packages, if these are not too many to be named; no link that leads out."""
    for each in _entries(place):
        path = Path(each.path)
        if each.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(top):
            continue
        if each.name.endswith(CODE):
            yield path
        elif depth and each.name.isidentifier() and each.is_dir() and (path / "__init__.py").is_file():
            yield from _code(path, top, depth - 1)


def _entries(place: Path) -> list[os.DirEntry[str]]:
    """What lies in a directory that can be listed."""
    try:
        with os.scandir(place) as found:
            return sorted(islice(found, MOST_ENTRIES), key=lambda entry: entry.name)
    except OSError:
        return []


def _certificates() -> Iterator[str]:
    paths = ssl.get_default_verify_paths()
    return (path for path in (paths.openssl_cafile, paths.openssl_capath) if path)
