"""The kernel: requests, lanes, processes, the journal. It knows no model, tool or file."""

from aios.kernel.core import Core, Passage, Route, Turn, by_family
from aios.kernel.instrument import Event, Kind, Observer
from aios.kernel.journal import Journal, SqliteJournal, read_events
from aios.kernel.kernel import Kernel, Limits
from aios.kernel.lane import Lane
from aios.kernel.process import USER, Host

__all__ = [
    "USER",
    "Core",
    "Event",
    "Host",
    "Journal",
    "Kernel",
    "Kind",
    "Lane",
    "Limits",
    "Observer",
    "Passage",
    "Route",
    "SqliteJournal",
    "Turn",
    "by_family",
    "read_events",
]
