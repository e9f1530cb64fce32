"""The record of what happens in a kernel: its events, the journal that keeps them, the history that they tell."""

from aios.record.event import Event, Kind, Observer
from aios.record.history import ENDINGS, Bill, CallRecord, History, ProcessRecord, model_of
from aios.record.journal import Journal, SqliteJournal, read_events

__all__ = [
    "ENDINGS",
    "Bill",
    "CallRecord",
    "Event",
    "History",
    "Journal",
    "Kind",
    "Observer",
    "ProcessRecord",
    "SqliteJournal",
    "model_of",
    "read_events",
]
