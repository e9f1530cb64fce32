"""Where the states of sequences go that lost their place in the KV cache: memory, then disk, then nowhere.

Pure policy over bytes: who fills and reads them is not known here. A state that is gone or altered is never an error:
its owner computes it again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aios_syscalls import StorageFailed

GRAIN = 1 << 20
"""Buffers are multiples of this many bytes, so that a state that has grown a little fits where it was."""


@dataclass(slots=True)
class TierCounts:
    """What became of states since the start, and the bytes held now."""

    saved: int = 0
    memory_hits: int = 0
    disk_hits: int = 0
    lost: int = 0
    """States that went away before they were asked for again."""
    altered: int = 0
    """Those of them whose file had other contents."""
    memory_bytes: int = 0
    """Buffers in use or kept for reuse."""
    disk_bytes: int = 0


class Tiers:
    """States by key. When memory is full the least recently used goes to disk; when that is full, away.

    `on_lost` hears the key of each state that went away.
    """

    def __init__(
        self, memory_bytes: int, disk_bytes: int, directory: Path, on_lost: Callable[[int], None] = lambda _key: None
    ) -> None:
        self.counts = TierCounts()
        self.on_lost = on_lost
        self._memory_bytes, self._disk_bytes = memory_bytes, disk_bytes
        self._directory = directory
        self._memory: OrderedDict[int, memoryview] = OrderedDict()
        self._free: list[bytearray] = []
        self._disk: OrderedDict[int, tuple[int, bytes]] = OrderedDict()

    def save(self, key: int, size: int, fill: Callable[[memoryview], int]) -> bool:
        """Keep a state of at most `size` bytes, which `fill` writes and says the length of; false without room."""
        self.drop(key)
        buffer = self._buffer(size)
        if buffer is None:
            return False
        self._memory[key] = memoryview(buffer)[: fill(memoryview(buffer)[:size])]
        self.counts.saved += 1
        return True

    def load(self, key: int, use: Callable[[memoryview], bool], keep: bool = False) -> bool:
        """Hand a state to `use`, and forget it unless `keep`; false if it is gone or `use` refuses it.

        What is kept counts as used now, and comes up from disk.
        """
        state = self._memory.get(key)
        if state is not None:
            self.counts.memory_hits += 1
            used = use(state)
        else:
            data = self._read(key)
            if data is None:
                return False
            self.counts.disk_hits += 1
            used = use(memoryview(data))
            if keep:
                self.save(key, len(data), lambda buffer: _copied(data, buffer))
        if keep:
            self._memory.move_to_end(key)
        else:
            self.drop(key)
        return used

    def tier(self, key: int) -> Literal["memory", "disk"] | None:
        """Where a state is."""
        return "memory" if key in self._memory else "disk" if key in self._disk else None

    def leave_first(self, key: int) -> None:
        """Let a state be the next that goes down from where it is."""
        for tier in (self._memory, self._disk):
            if key in tier:
                tier.move_to_end(key, last=False)

    def drop(self, key: int) -> None:
        """Forget a state, if there is one."""
        if (state := self._memory.pop(key, None)) is not None:
            self._recycle(state)
        self._forget_file(key)

    def close(self) -> None:
        """Forget everything."""
        for key in [*self._memory, *self._disk]:
            self.drop(key)
        self._free.clear()
        self.counts.memory_bytes = 0

    def _buffer(self, size: int) -> bytearray | None:
        """A buffer for `size` bytes within the cap: one used before if any fits, for new pages are slow."""
        needed = -(-size // GRAIN) * GRAIN
        if needed > self._memory_bytes:
            return None
        while True:
            fitting = [buffer for buffer in self._free if needed <= len(buffer) <= 2 * needed]
            if fitting:
                best = min(fitting, key=len)
                self._free = [buffer for buffer in self._free if buffer is not best]
                return best
            if self.counts.memory_bytes + needed <= self._memory_bytes:
                self.counts.memory_bytes += needed
                return bytearray(needed)
            if self._free:
                self.counts.memory_bytes -= len(self._free.pop(0))
            else:
                self._sink(*self._memory.popitem(last=False))

    def _recycle(self, state: memoryview) -> None:
        buffer = state.obj
        assert isinstance(buffer, bytearray)
        self._free.append(buffer)

    def _sink(self, key: int, state: memoryview) -> None:
        """Write a state to disk if it fits there, and free its buffer."""
        while self._disk and self.counts.disk_bytes + len(state) > self._disk_bytes:
            self._lose(next(iter(self._disk)))
        # A full disk costs time, never an answer.
        with suppress(OSError):
            if self.counts.disk_bytes + len(state) <= self._disk_bytes:
                self._write(key, state)
        self._recycle(state)
        if key not in self._disk:
            self._lose(key)

    def _lose(self, key: int) -> None:
        self._forget_file(key)
        self.counts.lost += 1
        self.on_lost(key)

    def _forget_file(self, key: int) -> None:
        if (found := self._disk.pop(key, None)) is not None:
            self.counts.disk_bytes -= found[0]
            with suppress(OSError):
                self._path(key).unlink()

    def _write(self, key: int, state: memoryview) -> None:
        try:
            handle = os.open(self._path(key), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(handle, "wb", buffering=0) as file:
                if file.write(state) != len(state):
                    raise OSError("the disk is full")
        except OSError:
            with suppress(OSError):
                self._path(key).unlink()
            raise
        self._disk[key] = len(state), _digest(state)
        self.counts.disk_bytes += len(state)

    def _read(self, key: int) -> bytes | None:
        if key not in self._disk:
            return None
        size, digest = self._disk[key]
        data = b""
        with suppress(OSError):
            data = self._path(key).read_bytes()
        if len(data) == size and _digest(data) == digest:
            return data
        self.counts.altered += 1
        self._lose(key)
        return None

    def _path(self, key: int) -> Path:
        return self._directory / f"{key}.state"


def _copied(data: bytes, buffer: memoryview) -> int:
    buffer[:] = data
    return len(data)


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class PrivateDirectory:
    """A new directory for this process alone, gone at `close`; one that a killed process left is removed by the next.

    A lock on the directory, which ends with its process however that dies, tells who is alive. Raises StorageFailed.
    """

    def __init__(self, parent: Path) -> None:
        try:
            self._make(parent)
        except OSError as error:
            raise StorageFailed(
                f"no directory can be made in {parent}: {error.strerror}; make it writable, or set AIOS_HOME to one "
                "that is"
            ) from error

    def _make(self, parent: Path) -> None:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in parent.iterdir():
            self._sweep(other)
        while True:
            self.path = Path(tempfile.mkdtemp(dir=parent))
            with suppress(FileNotFoundError):
                self._lock = os.open(self.path, os.O_RDONLY)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                if self.path.exists():
                    break  # else another process swept it before it was locked
                os.close(self._lock)

    @staticmethod
    def _sweep(path: Path) -> None:
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)

    def close(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
