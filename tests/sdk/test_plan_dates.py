"""Times in words, read on a fixed Wednesday."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from aios.fs.dates import duration, moment, span
from aios_syscalls import BadRequest

NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
DAY = timedelta(days=1) - timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("today", "2026-11-25"),
        ("yesterday", "2026-11-24"),
        ("the day before yesterday", "2026-11-23"),
        ("last Tuesday", "2026-11-24"),
        ("Wednesday", "2026-11-18"),
        ("on Thu", "2026-11-19"),
        ("tuesday last week", "2026-11-17"),
        ("two days ago", "2026-11-23"),
        ("2d", "2026-11-23"),
        ("a week ago", "2026-11-18"),
        ("two months ago", "2026-09-25"),
        ("the 3rd of May", "2026-05-03"),
        ("3 May", "2026-05-03"),
        ("May 3rd, 2025", "2025-05-03"),
        ("Nov 30", "2025-11-30"),
        ("29 February", "2024-02-29"),
        ("2026-05-03", "2026-05-03"),
        ("3.5.2026", "2026-05-03"),
        ("23/05/2026", "2026-05-23"),
    ],
)
def test_a_day_lasts_from_its_first_to_its_last_instant(said: str, day: str) -> None:
    first = datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert span(said, NOW) == (first, first + DAY)
    assert moment(said, NOW) == first
    assert moment(said, NOW, end=True) == first + DAY


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("last week", "2026-11-16 00:00", "2026-11-22 23:59"),
        ("this morning", "2026-11-25 00:00", "2026-11-25 11:59"),
        ("last night", "2026-11-24 18:00", "2026-11-24 23:59"),
        ("May", "2026-05-01 00:00", "2026-05-31 23:59"),
        ("in 2025", "2025-01-01 00:00", "2025-12-31 23:59"),
        ("yesterday at 5pm", "2026-11-24 17:00", "2026-11-24 17:00"),
        ("5:30 pm on Monday", "2026-11-23 17:30", "2026-11-23 17:30"),
        ("3h", "2026-11-25 12:00", "2026-11-25 12:00"),
        ("before the 3rd of May", "2026-05-02 23:59", "2026-05-02 23:59"),
        ("2026-05-03 14:30", "2026-05-03 14:30", "2026-05-03 14:30"),
    ],
)
def test_longer_and_shorter_times(said: str, first: str, last: str) -> None:
    assert [f"{edge:%Y-%m-%d %H:%M}" for edge in span(said, NOW)] == [first, last]


@pytest.mark.parametrize(
    "said",
    [
        "tomorrow",
        "next tuesday",
        "16:00",
        "a few days ago",
        "31 February",
        "03/05/2026",
        "last week at noon",
        "soon",
        "",
    ],
)
def test_what_is_unclear_or_has_not_come_is_refused(said: str) -> None:
    with pytest.raises(BadRequest):
        moment(said, NOW)


def test_days_are_those_of_the_zone_over_a_change_to_summer_time() -> None:
    now = datetime(2026, 11, 25, 15, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    assert moment("1 July", now).isoformat() == "2026-07-01T00:00:00+02:00"


def test_durations() -> None:
    assert duration("two hours") == timedelta(hours=2)
    assert duration("for a day") == timedelta(days=1)
    assert duration("30 min") == timedelta(minutes=30)
    assert duration("a month") is None
    assert duration("long") is None
