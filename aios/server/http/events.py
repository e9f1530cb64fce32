"""Server-sent events as bytes."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

COMMENT = b": waiting\n\n"
"""What keeps a connection open while there is nothing to say; clients skip it."""


def data_event(data: Any) -> bytes:
    """An event without a name."""
    return b"data: " + to_json(data) + b"\n\n"


def named_event(name: str, **data: Any) -> bytes:
    """An event whose name is its type too."""
    return b"event: " + name.encode() + b"\ndata: " + to_json({"type": name, **data}) + b"\n\n"
