"""An event as the journal keeps it: a row with its short values as JSON, and its large ones as payloads beside it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from aios.record.database import EventRow
from aios.record.event import EVENT_VERSION, Event

LARGE = 4 * 1024
"""Bytes of an event's data, as JSON, above which its long values become payloads."""
SHORT = 1_000
"""Characters of a text, or bytes of another value's JSON, that stay in the row of such an event."""
LARGEST = 16 * 1024 * 1024
"""Bytes of one payload; of what is larger only the size is kept. No reply of the kernel is."""
KEPT_APART = "payloads"
"""Where a row names its payloads: one that is lost is missed, and its beginning not taken for the whole."""


@dataclass(slots=True)
class Row:
    """An event on its way to the disk."""

    event: Event
    data: bytes
    """The data as JSON, in which a payload is the beginning of its text, or its size."""
    payloads: Mapping[str, bytes]
    """By their keys in the data, each as JSON."""

    @property
    def size(self) -> int:
        """Bytes that it takes on the disk, about."""
        return len(self.data) + self.large if self.payloads else len(self.data)

    @property
    def large(self) -> int:
        """Bytes of its payloads."""
        return sum(map(len, self.payloads.values()))

    def without_payloads(self, why: str) -> Row:
        """The same with `why` in the place of every long value."""
        return Row(self.event, _described(self.event, why), {})

    def values(self, boot: int, seq: int, previous: int, run: str, number: int, at: int) -> EventRow:
        """What the table's columns hold; `number` is the run's, `at` in microseconds."""
        _, kind, pid, n, _, node, _ = self.event
        crc = checksum((seq, previous), run, at, kind, pid, n, node, self.data)
        return boot, seq, previous, number, at, kind, pid, n, node, EVENT_VERSION, crc, self.data.decode()


def row(event: Event) -> Row:
    """The row of an event; what JSON cannot hold, or is too large, is described in its place."""
    if event.node:
        event = event._replace(node=event.node.encode("utf-8", "backslashreplace").decode())
    try:
        data = to_json(event.data, inf_nan_mode="null")
    except Exception as error:  # whatever a value that an agent sent makes its serializer raise
        return Row(event, _described(event, f"not JSON: {type(error).__name__}"), {})
    if len(data) <= LARGE:
        return Row(event, data, {})
    return _split(event)


def checksum(
    place: tuple[int, int] | None, run: str, at: int, kind: str, pid: int, n: int, node: str, data: bytes
) -> int:
    """The CRC-32 of what a row says and where it stands: its own place and that of the run's event before.

    Rows of older versions do not say where they stand.
    """
    stands = "" if place is None else f"{place[0]}|{place[1]}|"
    said = f"{stands}{run}|{at}|{kind}|{pid}|{n}|{node}|"
    return zlib.crc32(data, zlib.crc32(said.encode("utf-8", "backslashreplace")))


def _split(event: Event) -> Row:
    """A row whose long values are payloads."""
    kept: dict[str, Any] = {}
    payloads = {}
    for key, value in event.data.items():
        encoded = to_json(value, inf_nan_mode="null")
        if len(encoded) > SHORT:
            kept[key] = _in_place_of(value, f"{len(encoded)} bytes")
            if len(encoded) <= LARGEST:
                payloads[key] = encoded
        else:
            kept[key] = value
    if payloads:
        kept[KEPT_APART] = sorted(payloads)
    return Row(event, to_json(kept, inf_nan_mode="null"), payloads)


def _described(event: Event, why: str) -> bytes:
    """The data as JSON with its short values only, and why the others are left out."""
    try:
        return to_json({key: _short(value, why) for key, value in event.data.items()}, inf_nan_mode="null")
    except Exception:  # a value that is short, and too deep within an event
        return to_json({key: _in_place_of(value, why) for key, value in event.data.items()})


def _short(value: object, why: str) -> object:
    """A value that is short enough to keep, the beginning of a text, or why it is left out."""
    if value is None or isinstance(value, str | float):
        return _in_place_of(value, why)
    try:
        return value if len(to_json(value)) <= SHORT else {"omitted": why}
    except Exception:  # whatever a value that an agent sent makes its serializer raise
        return {"omitted": why}


def _in_place_of(value: object, why: str) -> object:
    """The beginning of a text, a number that JSON has, or why a value is left out."""
    match value:
        case str():
            return value[:SHORT].encode("utf-8", "backslashreplace").decode()
        case None | bool():
            return value
        case float() if math.isfinite(value):
            return value
        case int() if abs(value) < 2**63:
            return value
        case float():
            return None
        case _:
            return {"omitted": why}
