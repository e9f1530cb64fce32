"""Events on their way to who watches a run: as the journal keeps them, without their payloads."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from aios.record.event import Event, Kind
from aios.record.row import KEPT_APART, row


def event_to_object(event: Event) -> list[Any]:
    """An event as JSON values, long ones cut."""
    data = from_json(row(event).data)
    data.pop(KEPT_APART, None)
    return [event.at, event.kind, event.pid, event.n, data, event.node, event.run]


def event_from_object(values: list[Any]) -> Event:
    """The event."""
    at, kind, pid, n, data, node, run = values
    return Event(at, Kind(kind), pid, n, data, node, run)
