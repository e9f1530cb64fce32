"""Scheduling policies, one a file, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aios.scheduler.admission import READ_US, AdmissionControl
from aios.scheduler.atlas import Atlas
from aios.scheduler.base import Job, Maker, SchedulingPolicy
from aios.scheduler.fair_gittins import FairGittins
from aios.scheduler.fifo import Fifo, Resuming
from aios.scheduler.gittins import Gittins
from aios.scheduler.histogram import ServiceDistributions
from aios.scheduler.mlfq import Mlfq
from aios.scheduler.plas import Plas
from aios.scheduler.priority import Priority
from aios.scheduler.program_fcfs import ProgramFcfs
from aios.scheduler.quantum import Quantum
from aios.scheduler.round_robin import RoundRobin
from aios.scheduler.srpt import SrptOracle
from aios.scheduler.vtc import Vtc


def _by_slice(make: Callable[[int], SchedulingPolicy]) -> Maker:
    return lambda slice, slots=1, weights=None, learnt=None: make(slice)  # noqa: ARG005


POLICIES: Mapping[str, Maker] = {
    "fifo": _by_slice(lambda _slice: Fifo()),
    "round_robin": _by_slice(RoundRobin),
    "priority": _by_slice(Priority),
    "mlfq": _by_slice(Mlfq),
    "program_fcfs": _by_slice(lambda _slice: ProgramFcfs()),
    "plas": _by_slice(Plas),
    "atlas": _by_slice(Atlas),
    "vtc": lambda slice, slots=1, weights=None, learnt=None: Vtc(slice, weights, inner=Resuming),  # noqa: ARG005
    "gittins": lambda slice, slots=1, weights=None, learnt=None: Gittins(slice, slots, learnt=learnt),  # noqa: ARG005
    "fair_gittins": FairGittins,
}
"""Name -> maker. SrptOracle has no name: it knows what only a simulator can."""

__all__ = [
    "POLICIES",
    "READ_US",
    "AdmissionControl",
    "Atlas",
    "FairGittins",
    "Fifo",
    "Gittins",
    "Job",
    "Maker",
    "Mlfq",
    "Plas",
    "Priority",
    "ProgramFcfs",
    "Quantum",
    "Resuming",
    "RoundRobin",
    "SchedulingPolicy",
    "ServiceDistributions",
    "SrptOracle",
    "Vtc",
]
