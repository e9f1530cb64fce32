"""Where the daemon of a home is found: its socket, its lock, its token, its log."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from aios.config import home
from aios.private import private_directory
from aios.record import NO_LOCKS, lives
from aios_syscalls import Conflict, NoKernel, StorageFailed

MAX_ADDRESS = 107
"""Bytes that the path of a Unix socket may have."""


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of one home's daemon, closed to other users."""

    directory: Path

    @classmethod
    def of_home(cls) -> Place:
        """That of this user's home."""
        return cls(home("state") / "daemon")

    @property
    def address(self) -> Path:
        """Of the Unix socket."""
        return self.directory / "socket"

    @property
    def lock(self) -> Path:
        """Locked by the daemon as long as it lives; holds its process and when that began."""
        return self.directory / "lock"

    @property
    def token(self) -> Path:
        return self.directory / "token"

    @property
    def port(self) -> int:
        """The TCP port that the last daemon of this home served HTTP on; 0 where none has."""
        try:
            port = int(self._port_file.read_text())
        except (OSError, ValueError):
            return 0
        return port if 0 < port < 65_536 else 0

    def remember_port(self, port: int) -> None:
        """Keep a port for the next daemon, so that what clients were told stays true."""
        with suppress(OSError), open(self._port_file, "w", opener=_private) as file:
            file.write(f"{port}\n")

    @property
    def _port_file(self) -> Path:
        return self.directory / "port"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def make(self) -> None:
        """Make the directory, for this user alone. Raises StorageFailed."""
        try:
            private_directory(self.directory, home("state"))
        except OSError as error:
            raise StorageFailed(
                f"the daemon's directory {self.directory} cannot be made: {error.strerror}; set AIOS_HOME to a "
                "directory that you can write"
            ) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """The home as this daemon's alone. Raises Conflict where another daemon has it, StorageFailed."""
        with open(self.lock, "a+", opener=_private) as file:
            if not _locked(file.fileno()) or self._owner_without_locks():
                raise Conflict(
                    f"a daemon serves {self.directory.parent} already, process {self.owner()}; see it with: aios status"
                )
            file.truncate(0)
            json.dump({"os_pid": os.getpid(), "began": psutil.Process().create_time()}, file)
            file.flush()
            try:
                yield
            finally:
                # Not the lock: who has opened it meanwhile would lock a file that is gone, and somebody else a new one.
                with suppress(OSError):
                    self.address.unlink()
                file.truncate(0)

    def owner(self) -> int | None:
        """The process that the lock file names, if it lives."""
        try:
            said = json.loads(self.lock.read_text())
            return int(said["os_pid"]) if lives(said["os_pid"], said["began"] + 1) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _owner_without_locks(self) -> bool:
        """Whether another process holds the home on a file system that has no locks."""
        owner = self.owner()
        return owner is not None and owner != os.getpid() and _answers(self)

    def listen(self) -> socket.socket:
        """The daemon's socket, in the place of one that nobody listens at any more. Raises StorageFailed."""
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(self.address.lstat().st_mode):
                self.address.unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(self.address) as address:
                sock.bind(address)
            self.address.chmod(0o600)
            sock.listen(1024)
        except OSError as error:
            sock.close()
            raise StorageFailed(
                f"the daemon cannot listen at {self.address}: {error.strerror}; set AIOS_HOME elsewhere"
            ) from error
        return sock

    def check(self) -> None:
        """Raises NoKernel where no daemon listens."""
        if not _answers(self):
            raise NoKernel(f"no daemon runs at {self.directory.parent}; start one: aios up")

    def dial(self) -> socket.socket | None:
        """A connection to the daemon; None where none listens."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(self.address) as address:
                sock.connect(address)
        except OSError:
            sock.close()
            return None
        return sock


def _answers(place: Place) -> bool:
    if (sock := place.dial()) is not None:
        sock.close()
    return sock is not None


def _locked(file: int) -> bool:
    """Lock a file for as long as this process lives; whether nobody else has it locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """A path to a socket that is short enough for one, by way of a descriptor where it is too long."""
    if len(os.fsencode(path)) <= MAX_ADDRESS:
        yield str(path)
        return
    if sys.platform != "linux":
        raise OSError(errno.ENAMETOOLONG, f"its path has more than {MAX_ADDRESS} bytes")
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
