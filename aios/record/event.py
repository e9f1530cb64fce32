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
    ROUTED = "routed"
    STARTED = "started"
    PAUSED = "paused"
    LEFT = "left"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Event(NamedTuple):
    """One transition; `at` in seconds since the run began, `call` 0 where no syscall is meant.

    Data: spawned {parent program task}, exited {state result error}, accepted {name call}, and of a graph's node {graph
    node depth}, routed {strategy chosen reason candidates}, started {lane}, paused {lane tokens}, left {lane why
    model}, done {tokens model reply}, failed and the like {error}. What was paid for is in left and in the end: {usd
    usage}, usd None where nobody knows the price, usage {prompt_tokens completion_tokens}.
    """

    at: float
    kind: Kind
    pid: int
    call: int
    data: Mapping[str, Any]


Observer = Callable[[Event], None]
"""Called in the event loop for each event, in order; must be quick and must not raise."""
