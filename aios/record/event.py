"""Everything that happens in a kernel, as one stream of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from aios_syscalls import CallId

EVENT_VERSION = 1
"""Of the form that an event's data have on the disk."""


class Kind(StrEnum):
    """What happened: a run begins with `run` and ends with `closed`; `resumed` takes the end back.

    From done to unknown they end a syscall; each syscall has exactly one of them in each life of its run. A call that
    was `refused` never was one. `resolved` is what the user says of an unknown outcome.
    """

    RUN = "run"
    SPAWNED = "spawned"
    EXITED = "exited"
    CLOSED = "closed"
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
    REFUSED = "refused"
    RESUMED = "resumed"
    RESOLVED = "resolved"


class Event(NamedTuple):
    """One transition; `at` in seconds since the run began, in whole microseconds.

    `pid` and `n` are the call's identity, with `node` where it is a node of the graph that call `n` is; `n` is 0 where
    no call is meant. `run` is the id of the run that it belongs to.

    Data: run {facts of it}, closed {} or, where its kernel died under it, {error}, spawned {parent program task},
    exited {state result error}, accepted {name call}, and of a graph's node {depth}, routed {strategy chosen reason
    candidates}, started {lane}, paused {lane tokens}, left {lane why model}, done {tokens model reply}, failed and the
    like {error}. What was paid for is in
    left and in the end: {usd usage}, usd None where nobody knows the price, usage {prompt_tokens completion_tokens}.
    What a caller who hears the text as it comes has heard since the last event of its call is in `text` of paused,
    left and the ends that bring no reply.
    """

    at: float
    kind: Kind
    pid: int
    n: int
    data: Mapping[str, Any]
    node: str = ""
    run: str = ""

    @property
    def id(self) -> CallId:
        """Of the call that it is about."""
        return CallId(self.pid, self.n, self.node)


Observer = Callable[[Event], None]
"""Called in the event loop for each event, in order; must be quick. One that raises is told nothing more."""
