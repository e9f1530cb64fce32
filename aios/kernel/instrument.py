"""Everything that happens in a kernel, as one stream of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """What happened. The last five end a syscall; each syscall has exactly one of them."""

    RUN = "run"
    SPAWNED = "spawned"
    EXITED = "exited"
    ACCEPTED = "accepted"
    STARTED = "started"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Event(NamedTuple):
    """One transition; `at` in seconds since the run began, `call` 0 where no syscall is meant.

    Data: spawned {parent program task}, exited {state result error}, accepted {name call}, started {},
    paused {tokens}, done {tokens model reply}, failed and the like {error}.
    """

    at: float
    kind: Kind
    pid: int
    call: int
    data: Mapping[str, Any]


Observer = Callable[[Event], None]
"""Called in the event loop for each event, in order; must be quick and must not raise."""
