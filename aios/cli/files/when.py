"""Versions and times as they are typed."""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import datetime

from aios.fs.dates import moment


def at(text: str, tags: Container[str] = (), now: datetime | None = None) -> int | str | datetime:
    """Which version `text` names: a number (-1: the one before), a tag, or a time, of which a day is its end.

    Raises BadRequest for what is none of them.
    """
    if re.fullmatch(r"[+-]?\d{1,9}", text.strip()):
        return int(text)
    return text if text in tags else moment(text, now or here(), end=True)


def since(text: str, now: datetime | None = None) -> float:
    """A time, of which a day is its beginning, in seconds since the epoch. Raises BadRequest."""
    return moment(text, now or here()).timestamp()


def here() -> datetime:
    """Now, in the time zone of this machine."""
    return datetime.now().astimezone()
