"""The kernel: requests, lanes, processes, the journal. It knows no model, tool or file."""

from aios.kernel.core import Core, Turn
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
    "SqliteJournal",
    "Turn",
    "read_events",
]
