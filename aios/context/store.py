"""Where the states of paused generations go that lost their place in the KV cache: memory, then disk."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIGEST = 32


State = NDArray[np.uint8]


class StateStore:
    """States by key under two byte caps; the least recently put goes from memory to disk, and from disk away.

    What is gone, altered or did not fit is None when it is asked for: its owner computes it again.
    """

    def __init__(self, directory: Path, memory_bytes: int, disk_bytes: int) -> None:
        self._directory = directory
        self._caps = memory_bytes, disk_bytes
        self._memory: OrderedDict[int, State] = OrderedDict()
        self._disk: OrderedDict[int, int] = OrderedDict()
        self.bytes = {"memory": 0, "disk": 0}
        self.hits = {"memory": 0, "disk": 0, "lost": 0}

    def put(self, key: int, state: State) -> None:
        """Keep a state as the most recent one."""
        self.discard(key)
        self._memory[key] = state
        self.bytes["memory"] += state.nbytes
        while self.bytes["memory"] > self._caps[0]:
            oldest, buffer = self._memory.popitem(last=False)
            self.bytes["memory"] -= buffer.nbytes
            self._sink(oldest, buffer)

    def take(self, key: int) -> State | None:
        """A state, which the store forgets; None when it is not whole any more."""
        buffer = self._memory.pop(key, None)
        if buffer is not None:
            self.bytes["memory"] -= buffer.nbytes
            self.hits["memory"] += 1
            return buffer
        data = self._read(key) if key in self._disk else None
        self.hits["lost" if data is None else "disk"] += 1
        self.discard(key)
        return data

    def discard(self, key: int) -> None:
        """Forget a state."""
        if (buffer := self._memory.pop(key, None)) is not None:
            self.bytes["memory"] -= buffer.nbytes
        if (size := self._disk.pop(key, None)) is not None:
            self.bytes["disk"] -= size
            self._path(key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all of them."""
        for key in [*self._memory, *self._disk]:
            self.discard(key)

    def _sink(self, key: int, buffer: State) -> None:
        size = buffer.nbytes + DIGEST
        if size > self._caps[1]:
            return
        while self.bytes["disk"] + size > self._caps[1]:
            self.discard(next(iter(self._disk)))
        data = buffer.tobytes()
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path(key).write_bytes(hashlib.blake2b(data, digest_size=DIGEST).digest() + data)
        except OSError:
            # A full disk costs time, never an answer: the state is computed again from its tokens.
            with suppress(OSError):
                self._path(key).unlink()
            return
        self._disk[key] = size
        self.bytes["disk"] += size

    def _read(self, key: int) -> State | None:
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        digest, data = data[:DIGEST], data[DIGEST:]
        whole = hashlib.blake2b(data, digest_size=DIGEST).digest() == digest
        return np.frombuffer(data, np.uint8) if whole else None

    def _path(self, key: int) -> Path:
        return self._directory / f"{key}.state"
