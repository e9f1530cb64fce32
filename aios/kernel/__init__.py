"""The kernel: requests, lanes, processes, the journal. It knows no model, tool or file."""

from aios.kernel.core import Core, Route, RoutedCall, Turn, by_family
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
    "Route",
    "RoutedCall",
    "Turn",
    "by_family",
]
