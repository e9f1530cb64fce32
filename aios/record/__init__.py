"""The record of what happens in a kernel: its events, the journal that keeps them, the history that they tell."""

from aios.record.database import NO_LOCKS, lives
from aios.record.event import Event, Kind, Observer
from aios.record.history import ENDINGS, Bill, CallRecord, History, ProcessRecord, model_of
from aios.record.journal import Journal
from aios.record.memory import MemoryJournal
from aios.record.past import Past, PastProcess, Spent, past
from aios.record.reading import (
    ALL_KINDS,
    OUTLINE_KINDS,
    LivingRun,
    RunRecord,
    living_runs,
    read_events,
    run_of_process,
    runs,
)
from aios.record.replay import AskedCall, Heard, ReplayScript
from aios.record.sqlite import SqliteJournal
from aios.record.stream import event_from_object, event_to_object
from aios.record.unknown import Decision, UnknownCall, record_decision, unknown_calls

__all__ = [
    "ALL_KINDS",
    "ENDINGS",
    "NO_LOCKS",
    "OUTLINE_KINDS",
    "AskedCall",
    "Bill",
    "CallRecord",
    "Decision",
    "Event",
    "Heard",
    "History",
    "Journal",
    "Kind",
    "LivingRun",
    "MemoryJournal",
    "Observer",
    "Past",
    "PastProcess",
    "ProcessRecord",
    "ReplayScript",
    "RunRecord",
    "Spent",
    "SqliteJournal",
    "UnknownCall",
    "event_from_object",
    "event_to_object",
    "lives",
    "living_runs",
    "model_of",
    "past",
    "read_events",
    "record_decision",
    "run_of_process",
    "runs",
    "unknown_calls",
]
