"""Points of a file's history, as programs write them."""

from __future__ import annotations

from datetime import datetime

from aios_syscalls import BadRequest, Point

At = int | datetime | str | Point
"""A version's number (-1 is the one before the last), the last version at or before a time, or a tag's name."""


def point(at: At) -> Point:
    """The ABI's form; a time without a zone is local."""
    match at:
        case Point():
            return at
        case bool():
            raise BadRequest(f"{at} is no point of a file's history; give a number, a time or a tag", "at")
        case int():
            return Point(number=at)
        case datetime():
            return Point(time=_timestamp(at))
        case _:
            return Point(tag=at)


def _timestamp(at: datetime) -> float:
    try:
        return at.timestamp()
    except (OverflowError, ValueError, OSError) as error:
        raise BadRequest(f"{at} is no time that can be looked up: {error}; give one between 1970 and today") from None
