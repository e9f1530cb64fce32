"""The kernel: requests, lanes, processes, the journal. It knows no model, tool or file."""

from aios.kernel.core import Core, Passage, Route, Turn, by_family
from aios.kernel.kernel import Kernel, Limits
from aios.kernel.lane import Lane
from aios.kernel.process import USER, Host

__all__ = [
    "USER",
    "Core",
    "Host",
    "Kernel",
    "Lane",
    "Limits",
    "Passage",
    "Route",
    "Turn",
    "by_family",
]
