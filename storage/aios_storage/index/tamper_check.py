"""Whether a database file is as SQLite left it: its pages have no checksums, so damage in them would be answered with.

In WAL mode the file itself is written by checkpoints alone (what is in the WAL has checksums). So checkpoints are made
here, one at a time, and what the file looks like after each is written beside it: a file that looks otherwise was
changed by somebody else. A change that also restores the file's time, to the nanosecond, is not seen.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aios_storage.disk.failpoint import reach
from aios_storage.versions.database import BUSY_S
from aios_storage.versions.store import open_own

READERS_MS = 50
OPEN = "open"
"""In the seal while a checkpoint is under way: one that a crash cut short is done again by SQLite."""
FileState = tuple[int, int, int]
"""Inode, size in bytes, time of the last change in ns."""


class TamperCheck:
    """The look of a file and of its seal, for any number of threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seal = path.with_name(f"{path.name}.seal")
        self._lock = path.with_name(f"{path.name}.lock")
        self._local = threading.local()
        self._known: FileState | None = None
        self._enough = 0

    def whole(self, inode: int | None = None) -> bool:
        """Whether nobody else changed the file, nor, where `inode` is given, put another in its place."""
        now = self._state()
        if now is not None and now != self._known:
            with self.locked():
                now, sealed = self._state(), self._read()
                if now is None or sealed not in (OPEN, _text(now)):
                    return False
                if sealed == OPEN:  # nobody is at it now: a crash was
                    self._write(_text(now))
                self._known = now
        return now is not None and inode in (None, now[0])

    def inode(self) -> int | None:
        """Of the file there is."""
        state = self._state()
        return state[0] if state else None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the file and its seal; nested blocks of a thread are one."""
        if getattr(self._local, "locked", False):
            yield
            return
        fd = open_own(self._lock, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._local.locked = True
            yield
        finally:
            self._local.locked = False
            os.close(fd)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """For a block that may write the file: a checkpoint, or the end of the last connection. Sealed afterwards."""
        with self.locked():
            # What was damaged before must not be sealed as if it were ours.
            before = self.whole() or self._read() is None
            if before:
                self._write(OPEN)
            yield
            reach("sealing")
            state = self._state()
            if before and state is not None:
                self._known = state
                self._write(_text(state))

    def checkpoint(self, connection: sqlite3.Connection, most: int) -> None:
        """Move the WAL into the file when it has more than `most` bytes; readers are waited for a moment only."""
        size = self._wal()
        if size < self._enough:
            self._enough = 0
        if size <= max(most, self._enough):
            return
        with self.opened():
            connection.execute(f"PRAGMA busy_timeout = {READERS_MS}")
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
        # A reader kept it from being emptied: not again for the next write.
        self._enough = left + most if (left := self._wal()) else 0

    def remove(self, keep: Callable[[Path], None]) -> None:
        """Take the file and its companions away; `keep` may look at them, under another name, before they go."""
        with self.locked():
            bad = self.path.with_name(f"{self.path.name}.damaged")
            for suffix in ("-shm", "-journal", "-wal", ""):
                _gone(Path(f"{bad}{suffix}"))
            for suffix in ("-wal", ""):
                if os.path.exists(f"{self.path}{suffix}"):
                    os.replace(f"{self.path}{suffix}", f"{bad}{suffix}")
            for rest in (f"{self.path}-shm", f"{self.path}-journal", str(self._seal)):
                _gone(Path(rest))
            self._known = None
            if bad.exists():
                keep(bad)
            for suffix in ("-shm", "-journal", "-wal", ""):
                _gone(Path(f"{bad}{suffix}"))

    def _wal(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    def _state(self) -> FileState | None:
        try:
            info = os.stat(self.path)
        except FileNotFoundError:
            return None
        return info.st_ino, info.st_size, info.st_mtime_ns

    def _read(self) -> str | None:
        try:
            return self._seal.read_text("ascii", "replace")
        except FileNotFoundError:
            return None

    def _write(self, text: str) -> None:
        with open(open_own(self._seal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w", encoding="ascii") as seal:
            seal.write(text)


def _text(state: FileState) -> str:
    return " ".join(map(str, state))


def _gone(path: Path) -> None:
    path.unlink(missing_ok=True)
