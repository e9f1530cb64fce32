"""The kernel: requests, lanes, processes, the journal. It knows no model, tool or file."""

from aios.kernel.account import UNLIMITED
from aios.kernel.core import Core, Route, RoutedCall, Turn, by_family
from aios.kernel.kernel import Kernel, lone_run
from aios.kernel.lane import Lane
from aios.kernel.limits import Limits
from aios.kernel.process import USER
from aios.kernel.process_table import Host
from aios.kernel.run import Run, RunSettings

__all__ = [
    "UNLIMITED",
    "USER",
    "Core",
    "Host",
    "Kernel",
    "Lane",
    "Limits",
    "Route",
    "RoutedCall",
    "Run",
    "RunSettings",
    "Turn",
    "by_family",
    "lone_run",
]
