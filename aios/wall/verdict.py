"""Whether the wall around an agent would refuse an act of Python's, as its audit events tell of it (PEP 578).

The events are those of the table in Python's documentation; files are judged by the very lists that a wall opens. What
C code does, and what a child of the process does, raises no event here.
"""

from __future__ import annotations

import ipaddress
import os
import resource
import shlex
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from aios.wall import wall_calls
from aios.wall.agent import LIMITS

ActKind = Literal[
    "read",
    "list",
    "write",
    "remove",
    "mode",
    "owner",
    "network",
    "program",
    "process",
    "reach",
    "limit",
    "system",
    "unjudged",
]
MOST_GENERATIONS = 64
"""Parents of a process that are looked at."""
TMPFILE = getattr(os, "O_TMPFILE", 0)
O_PATH = getattr(os, "O_PATH", 0)


class Act(NamedTuple):
    """What would be refused, and of what: a path, an address, a command."""

    kind: ActKind
    object: str


Rule = Callable[..., Act | None]


class WallJudge:
    """Judges the acts of this process by a wall of its own."""

    def __init__(self, read: Sequence[Path], write: Sequence[Path], *, exec: bool) -> None:
        self._write = tuple(_real(str(path)) for path in write)
        self._read = (*(_real(str(path)) for path in read), *self._write)
        self._exec = exec
        self._pid = os.getpid()
        self._rules = self._table()

    def refused(self, event: str, arguments: tuple[Any, ...], frame: FrameType) -> Act | None:
        """The act that a wall would refuse; None if it would not, or if this is no event of an act."""
        rule = self._rules.get(event)
        if rule is None:
            return None
        if event == "socket.__new__":
            return rule(arguments[1], frame)
        return rule(*arguments)

    def judges(self, event: str) -> bool:
        """Whether there is anything to judge of an event of this name."""
        return event in self._rules

    def _table(self) -> Mapping[str, Rule]:
        return {
            "open": self._open,
            "import": lambda _module, file, *_: self._reads(file),
            "ctypes.dlopen": lambda name: self._reads(name) if name and "/" in os.fsdecode(name) else None,
            "sqlite3.connect": self._database,
            "os.listdir": self._lists,
            "os.scandir": self._lists,
            "os.mkdir": lambda path, _mode, at: self._makes(_name(path, at)),
            "os.rmdir": lambda path, at: self._removes(_name(path, at)),
            "os.remove": lambda path, at: self._removes(_name(path, at)),
            "os.rename": self._moves,
            "os.link": self._links,
            "os.symlink": lambda _to, path, at: self._makes(_name(path, at)),
            "os.truncate": lambda path, _length: self._open(path, None, os.O_WRONLY),
            "os.chmod": lambda path, _mode, at: self._marks(path, at),
            "os.utime": lambda path, _times, _ns, at: self._marks(path, at),
            "os.chown": lambda path, _user, _group, at: _there("owner", _name(path, at)),
            "os.setxattr": lambda path, *_: _there("owner", _name(path)),
            "os.removexattr": lambda path, *_: _there("owner", _name(path)),
            "socket.__new__": self._socket,
            "socket.connect": lambda _socket, address: Act("network", f"connect to {_address(address)}"),
            "socket.bind": lambda _socket, address: Act("network", f"listen at {_address(address)}"),
            "socket.sendto": lambda _socket, address: Act("network", f"send to {_address(address)}"),
            "socket.sendmsg": lambda _socket, address: address and Act("network", f"send to {_address(address)}"),
            "socket.getaddrinfo": lambda host, port, *_: _looks_up(host, port),
            "socket.gethostbyname": lambda host: _looks_up(host, None),
            "socket.gethostbyaddr": lambda host: Act("network", f"look up {_text(host)}"),
            "socket.getnameinfo": lambda address: Act("network", f"look up {_address(address)}"),
            "socket.getservbyname": lambda *_: self._reads("/etc/services"),
            "socket.getservbyport": lambda *_: self._reads("/etc/services"),
            "socket.sethostname": lambda name: Act("system", f"the machine's name: {_text(name)}"),
            "os.fork": self._forks,
            "os.forkpty": self._forks,
            "os.exec": lambda path, words, _environment: self._starts(path, words),
            "os.posix_spawn": lambda path, words, _environment: self._starts(path, words),
            "os.system": lambda command: self._starts("/bin/sh", [command]),
            "subprocess.Popen": lambda program, words, _cwd, environment: self._starts(program, words, environment),
            "os.kill": lambda pid, _signal: self._signals(pid),
            "os.killpg": lambda group, _signal: None if self._exec else Act("reach", f"signal to group {group}"),
            "resource.setrlimit": _limits,
            "resource.prlimit": lambda pid, *_: Act("reach", f"limits of process {pid}") if pid else None,
            "fcntl.fcntl": lambda _file, what, _value: _controls(what, wall_calls.FCNTL_OWNERS),
            "fcntl.ioctl": lambda _file, what, _value: _controls(what, wall_calls.TERMINAL_AND_OWNERS),
            "os.unshare": lambda *_: Act("system", "a namespace"),
            "os.setns": lambda *_: Act("system", "a namespace"),
        }

    # -- files

    def _open(self, path: Any, mode: Any, flags: int) -> Act | None:
        if flags & O_PATH or (name := _name(path)) is None:
            return None
        if not flags and isinstance(mode, str) and set(mode) & set("wax+"):
            flags = os.O_WRONLY | os.O_CREAT  # C's fopen says no flags
        real = _real(name)
        if flags & TMPFILE == TMPFILE and TMPFILE:
            return None if self._may_write(real) else Act("write", real)
        if flags & os.O_CREAT and not _is_there(real, follow=False):
            return self._makes(real)
        return None if flags & os.O_CREAT and flags & os.O_EXCL else self._opens(real, flags)

    def _opens(self, real: str, flags: int) -> Act | None:
        """A file that is there."""
        access = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
        if not _is_there(real):
            return None
        if (access != os.O_RDONLY or flags & os.O_TRUNC) and not self._may_write(real):
            return Act("write", real)
        if access != os.O_WRONLY and not self._may_read(real):
            return Act("list" if os.path.isdir(real) else "read", real)
        return None

    def _reads(self, path: Any) -> Act | None:
        return None if path is None else self._open(path, None, os.O_RDONLY)

    def _lists(self, path: Any = None) -> Act | None:
        name = _name("." if path is None else path)
        if name is None:
            return None
        real = _real(name)
        refused = _is_there(real) and not os.path.isfile(real) and not self._may_read(real)
        return Act("list", real) if refused else None

    def _database(self, path: Any) -> Act | None:
        """SQLite opens a file that it may not write to for reading."""
        name = os.fsdecode(path)
        if name.startswith("file:"):
            parts = urlsplit(name)
            name = ":memory:" if parse_qs(parts.query).get("mode") == ["memory"] else unquote(parts.path)
        if name in ("", ":memory:"):
            return None
        return self._reads(name) if os.path.exists(name) else self._open(name, None, os.O_RDWR | os.O_CREAT)

    def _makes(self, name: str | None) -> Act | None:
        """An entry of a directory that is to be new; one that is there already is refused by nobody's wall."""
        if name is None or _is_there(name, follow=False):
            return None
        place = _real(os.path.dirname(name))
        return Act("write", _entry(name)) if os.path.isdir(place) and not self._may_write(place) else None

    def _removes(self, name: str | None) -> Act | None:
        if name is None or not _is_there(name, follow=False):
            return None
        return None if self._may_write(_real(os.path.dirname(name))) else Act("remove", _entry(name))

    def _moves(self, old: Any, new: Any, old_at: int, new_at: int) -> Act | None:
        source, target = _name(old, old_at), _name(new, new_at)
        if source is None or target is None or not _is_there(source, follow=False):
            return None
        place = _real(os.path.dirname(target))
        there = os.path.isdir(place) and not self._may_write(place)
        return self._removes(source) or (Act("write", _entry(target)) if there else None)

    def _links(self, old: Any, new: Any, old_at: int, new_at: int) -> Act | None:
        source, target = _name(old, old_at), _name(new, new_at)
        if source is None or target is None or not _is_there(source, follow=False) or _is_there(target, follow=False):
            return None
        inside = self._may_write(_real(os.path.dirname(source)))
        return self._makes(target) or (None if inside else Act("write", _entry(target)))

    def _marks(self, path: Any, at: int) -> Act | None:
        """Modes and times; nobody sees those of a scratch directory but its agent."""
        name = _name(path, at, opened=True)
        real = _real(name) if name else ""
        return _there("mode", real) if name and not self._may_write(real) else None

    def _may_read(self, real: str) -> bool:
        return _is_within(real, self._read)

    def _may_write(self, real: str) -> bool:
        return _is_within(real, self._write)

    # -- network

    def _socket(self, family: int, frame: FrameType) -> Act | None:
        # A socket object around a descriptor that is there, as one of a pair or an accepted one, makes no socket.
        own = frame.f_code.co_filename == socket.__file__ and frame.f_code.co_name == "__init__"
        if own and frame.f_locals.get("fileno") is not None:
            return None
        with suppress(ValueError):
            return Act("network", f"a socket of {socket.AddressFamily(family).name}")
        return Act("network", f"a socket of family {family}")

    # -- programs and processes

    def _forks(self) -> Act | None:
        return None if self._exec else Act("process", "fork")

    def _starts(self, program: Any, words: Any, environment: Any = None) -> Act | None:
        command = _command(program, words)
        if not self._exec:
            return Act("program", command)
        found = self._found(program, words, environment)
        return None if found is None or self._may_read(_real(found)) else Act("program", command)

    def _found(self, program: Any, words: Any, environment: Any) -> str | None:
        """The program's file; None where there is none, which is then what the act ends with."""
        if isinstance(program, int):
            return _name(program, opened=True)
        name = os.fsdecode(program if program is not None else words[0])
        path = environment.get("PATH") if isinstance(environment, Mapping) else None
        return shutil.which(name, path=path)

    def _signals(self, pid: int) -> Act | None:
        if pid == self._pid or (self._exec and (pid <= 0 or self._is_below(pid))):
            return None
        return Act("reach", f"signal to process {pid}" if pid > 0 else "signal to processes of a group, or to all")

    def _is_below(self, pid: int) -> bool:
        """Whether a process is one that this one has started, or is not there."""
        if not os.path.exists(f"/proc/{pid}"):
            return True
        for _ in range(MOST_GENERATIONS):
            if pid in (self._pid, 0):
                break
            with suppress(OSError):
                pid = int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        return pid == self._pid


def _real(path: str) -> str:
    """A path without links, or, where one may not be looked at, as it is."""
    try:
        return os.path.realpath(path)
    except OSError:
        return os.path.abspath(path)


def _is_there(path: str, *, follow: bool = True) -> bool:
    """Whether something is at a path; what may not be looked at is taken to be."""
    try:
        os.stat(path, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _is_within(real: str, places: Sequence[str]) -> bool:
    return any(real == place or real.startswith(f"{place}/") for place in places)


def _name(path: Any, at: int = -1, *, opened: bool = False) -> str | None:
    """An absolute path, its last part as it is; None for what is no path.

    A descriptor is a file that was judged when it was opened; `opened` asks for its path all the same.
    """
    if isinstance(path, int):
        return _opened(path) if opened else None
    name = os.fsdecode(path)
    if "\0" in name or not name:
        return None
    base = (_opened(at) if at >= 0 else None) or os.getcwd()
    return os.path.join(base, name.rstrip("/") or "/")


def _opened(descriptor: int) -> str | None:
    """The path of an open file."""
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return None
    return path if os.path.isabs(path) else None


def _entry(name: str) -> str:
    return os.path.join(_real(os.path.dirname(name)), os.path.basename(name))


def _there(kind: ActKind, name: str | None) -> Act | None:
    return Act(kind, _entry(name)) if name and _is_there(name, follow=False) else None


def _looks_up(host: Any, port: Any) -> Act | None:
    """Numbers need no network, and no file of names."""
    named = host is not None and not _is_number(_text(host))
    serves = port is not None and not isinstance(port, int) and not _text(port).isdecimal()
    return Act("network", f"look up {_text(host if named else port)}") if named or serves else None


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return not host
    return True


def _address(address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2 and isinstance(address[1], int):
        host = _text(address[0])
        return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
    return _text(address).replace("\0", "@")  # as an abstract socket is written


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else repr(value)


def _command(program: Any, words: Any) -> str:
    said = [words] if isinstance(words, (str, bytes)) else list(words or [program])
    return shlex.join(map(_text, said))


def _limits(which: int, limits: Any) -> Act | None:
    most = LIMITS.get(which)
    above = most is not None and any(bound == resource.RLIM_INFINITY or bound > most for bound in limits)
    return Act("limit", f"limit {which} to {max(limits)}") if above else None


def _controls(what: int, denied: Sequence[int]) -> Act | None:
    return Act("reach", f"control {what:#x} of a descriptor") if what & 0xFFFFFFFF in denied else None
