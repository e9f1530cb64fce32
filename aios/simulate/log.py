"""What happened in a simulation, counted, and if wanted down to the last bit."""

from __future__ import annotations

import hashlib
import sys
from array import array
from enum import IntEnum

ROWS = 1 << 16
"""Numbers that are gathered until they are hashed."""


class SimulatedEvent(IntEnum):
    """What happens; each is a row (time, kind, id) of the log."""

    BEGAN = 1
    READY = 2
    STARTED = 3
    FIRST = 4
    PAUSED = 5
    RESUMED = 6
    DONE = 7
    ENDED = 8


class SimulationLog:
    """Counts events, and hashes them if it is to keep them."""

    __slots__ = ("_digest", "_rows", "events")

    def __init__(self, keep: bool) -> None:
        self.events = 0
        self._digest = hashlib.sha256() if keep else None
        self._rows = array("q")

    def record(self, now: int, kind: SimulatedEvent, number: int) -> None:
        """Something happens to a process or a call."""
        self.events += 1
        if self._digest is not None:
            self._rows.extend((now, kind, number))
            if len(self._rows) > ROWS:
                self.digest()

    def digest(self) -> str:
        """SHA-256 of all rows so far, the same on every machine; empty where none are kept."""
        if self._digest is None:
            return ""
        if sys.byteorder == "big":
            self._rows.byteswap()
        self._digest.update(self._rows.tobytes())
        self._rows = array("q")
        return self._digest.hexdigest()
