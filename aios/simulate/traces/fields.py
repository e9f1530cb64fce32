"""What a field of a trace says, or where and why it says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from datetime import UTC, datetime
from typing import Any

from aios_syscalls import BadRequest


def whole(row: Mapping[str, Any], name: str, where: str) -> int:
    """A length. Raises BadRequest for what is no whole number, or negative."""
    value = row[name]
    try:
        # A float would lose what is behind its point, and a bool is a number to Python alone.
        number = None if isinstance(value, bool | float) else int(value)
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise BadRequest(f"{where}: {name} is {value!r}, which is no whole number; correct the row")
    if number < 0:
        raise BadRequest(f"{where}: {name} is {number}; a length is never negative, correct the row")
    return number


def seconds(row: Mapping[str, Any], name: str, where: str) -> int:
    """A time in seconds, as microseconds. Raises BadRequest for anything else."""
    try:
        return int(float(row[name]) * 1e6)
    except (TypeError, ValueError, OverflowError):
        raise BadRequest(f"{where}: {name} is {row[name]!r}, which is no time in seconds; correct the row") from None


def moment(value: object, where: str) -> datetime:
    """A date with a time, UTC unless it says otherwise. Raises BadRequest for anything else."""
    try:
        if not isinstance(value, str):
            raise ValueError
        at = datetime.fromisoformat(value)
    except ValueError:
        raise BadRequest(f"{where}: {value!r} is no time; write 2023-11-16 18:17:03.979") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def expect(session: Sized, row: Mapping[str, Any], name: str, where: str) -> None:
    """Raises BadRequest where a row is not the next round of its session."""
    if whole(row, name, where) != len(session):
        raise BadRequest(
            f"{where}: round {row[name]} of session {row['session_id']} is not its next, which is {len(session)}; "
            "put its rounds in order, from 0"
        )
