"""Scheduling policies, one a file, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aios.scheduler.base import Job, Scheduler
from aios.scheduler.fifo import Fifo
from aios.scheduler.round_robin import RoundRobin

POLICIES: Mapping[str, Callable[[int], Scheduler]] = {
    "fifo": lambda _slice: Fifo(),
    "round_robin": RoundRobin,
}
"""Name -> maker, which takes the slice in tokens."""

__all__ = ["POLICIES", "Fifo", "Job", "RoundRobin", "Scheduler"]
