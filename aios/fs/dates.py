"""Times as people say them: `yesterday`, `last tuesday`, `two days ago`, `before the 3rd of May`, `2026-05-03 14:30`.

Exact or a BadRequest: what can be read in two ways, such as 03/05/2026, is not read at all. A time of day alone is
today's. A weekday alone, or after `last`, is the latest one before today; a day and month without a year, or a month
alone, the latest that has begun. Weeks begin on Monday.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import NamedTuple

from aios_syscalls import BadRequest

EXAMPLES = "yesterday, last tuesday, 2 days ago, 3h, 2026-05-03, 3 May, yesterday at 17:30, before the 3rd of May"
INSTANT = timedelta(microseconds=1)
NUMBERS = {
    **{"a": 1, "an": 1, "one": 1, "two": 2, "a couple of": 2, "three": 3, "four": 4, "five": 5, "six": 6},
    **{"seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12},
}
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAYTIMES = {"morning": (0, 12), "afternoon": (12, 18), "evening": (18, 24), "night": (18, 24)}
UNITS = {
    **dict.fromkeys(("second", "sec", "s"), "seconds"),
    **dict.fromkeys(("minute", "min"), "minutes"),
    **dict.fromkeys(("hour", "hr", "h"), "hours"),
    **dict.fromkeys(("day", "d"), "days"),
    **dict.fromkeys(("week", "w"), "weeks"),
    "month": "months",
    **dict.fromkeys(("year", "y"), "years"),
}


class Span(NamedTuple):
    """From the first to the last instant of what was said, both included; equal for a point in time."""

    start: datetime
    end: datetime


class _Unread(Exception):
    """Not in these words."""


def moment(text: str, now: datetime, end: bool = False) -> datetime:
    """The time that `text` says, aware; of a day or a longer time its first instant, or with `end` its last.

    Raises BadRequest for what cannot be read, is ambiguous or has not begun yet.
    """
    found = span(text, now)
    return found.end if end else found.start


def span(text: str, now: datetime) -> Span:
    """The time that `text` says, from its first to its last instant. Raises BadRequest as `moment` does.

    Days are those of `now`'s zone; a fixed offset that is the machine's present one means the machine's zone.
    """
    words = " ".join(text.lower().replace(",", " ").split()).strip(" .?!")
    now = now if now.tzinfo else now.astimezone()
    try:
        found = _read(words, now)
    except _Unread:
        raise BadRequest(f"{text!r} is no time that can be read; write for example: {EXAMPLES}", "time") from None
    except (ValueError, OverflowError):
        raise BadRequest(f"there is no {text!r} in the calendar; write for example: {EXAMPLES}", "time") from None
    if found.start > now:
        raise BadRequest(f"{text!r} has not come yet ({found.start:%Y-%m-%d %H:%M}); name a time that is over", "time")
    return found


def number(word: str) -> int | None:
    """`7`, `seven`, `a`: the number, if it is one."""
    return int(word) if re.fullmatch(r"\d{1,6}", word) else NUMBERS.get(word)


def duration(text: str) -> timedelta | None:
    """`two hours`, `a day`, `30 min`, `1h`: how long, if it says that; months and years are no fixed time."""
    found = re.fullmatch(rf"(?:for )?({_N}) ?({_U})", text.lower().strip())
    count, unit = (number(found[1]), UNITS[found[2].removesuffix("s") or "s"]) if found else (None, "")
    return None if count is None or unit in ("", "months", "years") else timedelta(**{unit: count})


_N = r"\d{1,6}|" + "|".join(sorted(NUMBERS, key=len, reverse=True))
_U = "|".join(f"{unit}s?" for unit in sorted(UNITS, key=len, reverse=True))
_W = "|".join(f"{day}|{day[:3]}" for day in WEEKDAYS)
_M = "|".join(f"{month}|{month[:3]}|{month[:4]}" for month in MONTHS)
_T = r"\d{1,2}:\d{2}(?::\d{2})?(?: ?[ap]m)?|\d{1,2} ?[ap]m|noon|midnight"
_HEAD = r"(?:on |in |at |from |during )?(?:the )?"


def _read(words: str, now: datetime) -> Span:
    if found := re.fullmatch(r"(?:just )?before (.+)", words):
        before = _read(found[1], now).start - INSTANT
        return Span(before, before)
    if found := re.fullmatch(rf"{_HEAD}(end|start|beginning) of (.+)", words):
        whole = _read(found[2], now)
        edge = whole.end if found[1] == "end" else whole.start
        return Span(edge, edge)
    if words in ("now", "right now"):
        return Span(now, now)
    if found := re.fullmatch(r"(\d{4}-\d\d-\d\d[t ]\d\d:\d\d\S*)", words):
        said = datetime.fromisoformat(found[1].upper())
        return _point(said if said.tzinfo else _aware(said.date(), said.time(), now), found[1])
    for pattern, reader in _TIMED:
        if found := re.fullmatch(pattern, words):
            return reader(found, now)
    return _days(words, now)


def _ago(found: re.Match[str], now: datetime) -> Span:
    count, unit = number(found[1]), UNITS[found[2].removesuffix("s") or "s"]
    assert count is not None
    if unit in ("seconds", "minutes", "hours"):
        then = now - timedelta(**{unit: count})
        return Span(then, then)
    if unit in ("months", "years"):
        months = now.year * 12 + now.month - 1 - count * (12 if unit == "years" else 1)
        last = (_month_after(date(months // 12, months % 12 + 1, 1)) - timedelta(days=1)).day
        return _whole(date(months // 12, months % 12 + 1, min(now.day, last)), None, now)
    return _whole(now.date() - timedelta(**{unit: count}), None, now)


def _at(found: re.Match[str], now: datetime) -> Span:
    clock, day = found["time"], found.groupdict().get("day")
    where = now.date() if day is None else _single(_days(day, now), day)
    return _point(_aware(where, _clock(clock), now), clock)


def _daytime(found: re.Match[str], now: datetime) -> Span:
    word, part = found[1], found[2]
    day = now.date() - timedelta(days=word in ("yesterday", "last"))
    if word == "last" and part != "night":
        raise _Unread
    first, last = DAYTIMES[part]
    after = _aware(day, time(last), now) if last < 24 else _aware(day + timedelta(days=1), time(), now)
    return Span(_aware(day, time(first), now), after - INSTANT)


_TIMED: tuple[tuple[str, Callable[[re.Match[str], datetime], Span]], ...] = (
    (rf"({_N}) ?({_U}) ago", _ago),
    (rf"(\d{{1,6}}) ?({'|'.join(u for u in UNITS if len(u) < 3)})", _ago),
    (r"(this|yesterday|last) (morning|afternoon|evening|night)", _daytime),
    (rf"(?:today )?(?:at )?(?P<time>{_T})", _at),
    (rf"(?P<day>.+?) (?:at )?(?P<time>{_T})", _at),
    (rf"(?:at )?(?P<time>{_T}) (?P<day>.+)", _at),
)


def _days(words: str, now: datetime) -> Span:
    today = now.date()
    week = today - timedelta(days=today.weekday())
    month = today.replace(day=1)
    named: dict[str, tuple[date, date]] = {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1),) * 2,
        "the day before yesterday": (today - timedelta(days=2),) * 2,
        "day before yesterday": (today - timedelta(days=2),) * 2,
        "this week": (week, week + timedelta(days=6)),
        "last week": (week - timedelta(days=7), week - timedelta(days=1)),
        "this month": (month, _month_after(month) - timedelta(days=1)),
        "last month": ((month - timedelta(days=1)).replace(day=1), month - timedelta(days=1)),
        "this year": (date(today.year, 1, 1), date(today.year, 12, 31)),
        "last year": (date(today.year - 1, 1, 1), date(today.year - 1, 12, 31)),
    }
    if words in named:
        return _whole(*named[words], now)
    if found := re.fullmatch(rf"{_HEAD}(last |past |this )?({_W})( last week| this week)?", words):
        return _weekday(found, week, now)
    return _calendar(words, now)


def _weekday(found: re.Match[str], week: date, now: datetime) -> Span:
    index = next(place for place, day in enumerate(WEEKDAYS) if day.startswith(found[2][:3]))
    if found[3] or found[1] == "this ":
        return _whole(week + timedelta(days=index - 7 * (found[3] == " last week")), None, now)
    back = (now.weekday() - index - 1) % 7 + 1
    return _whole(now.date() - timedelta(days=back), None, now)


def _calendar(words: str, now: datetime) -> Span:
    if found := re.fullmatch(rf"{_HEAD}(\d{{4}})-(\d\d)-(\d\d)", words):
        return _whole(date(int(found[1]), int(found[2]), int(found[3])), None, now)
    if found := re.fullmatch(rf"{_HEAD}(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}})", words):
        return _whole(date(int(found[3]), int(found[2]), int(found[1])), None, now)
    if found := re.fullmatch(rf"{_HEAD}(\d{{1,2}})/(\d{{1,2}})/(\d{{4}})", words):
        first, second = int(found[1]), int(found[2])
        if first <= 12 and second <= 12 and first != second:
            raise BadRequest(f"{words!r}: day and month can be read either way round; write it as YYYY-MM-DD", "time")
        day, month = (first, second) if first > 12 else (second, first)
        return _whole(date(int(found[3]), month, day), None, now)
    day_first = rf"{_HEAD}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<month>{_M})\.?(?: (?:of )?(?P<year>\d{{4}}))?"
    month_first = rf"{_HEAD}(?P<month>{_M})\.? (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: (?P<year>\d{{4}}))?"
    for pattern in (day_first, month_first, rf"{_HEAD}(?:last )?(?P<month>{_M})(?: (?P<year>\d{{4}}))?"):
        if found := re.fullmatch(pattern, words):
            return _named_date(found.groupdict(), now)
    if found := re.fullmatch(r"(?:in )?((?:19|20)\d\d)", words):
        return _whole(date(int(found[1]), 1, 1), date(int(found[1]), 12, 31), now)
    raise _Unread


def _named_date(said: dict[str, str | None], now: datetime) -> Span:
    month = next(place for place, name in enumerate(MONTHS, 1) if name.startswith((said["month"] or "")[:3]))
    day = said.get("day")
    for year in [int(said["year"])] if said["year"] else range(now.year, now.year - 9, -1):
        try:
            first = date(year, month, int(day) if day else 1)
        except ValueError:  # the 29th of February of most years
            if said["year"]:
                raise
            continue
        if said["year"] or first <= now.date():
            return _whole(first, None if day else _month_after(first) - timedelta(days=1), now)
    raise ValueError


def _month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _whole(first: date, last: date | None, now: datetime) -> Span:
    after = (last or first) + timedelta(days=1)
    return Span(_aware(first, time(), now), _aware(after, time(), now) - INSTANT)


def _single(found: Span, said: str) -> date:
    if (found.end - found.start) > timedelta(hours=26):
        raise BadRequest(f"{said!r} is no single day, so a time of day does not fit; name the day", "time")
    return found.start.date()


def _point(start: datetime, said: str) -> Span:
    """A time given to the minute lasts until the minute is over, one to the second a second."""
    seconds = 1 if re.search(r"\d:\d\d:\d\d", said) else 60
    return Span(start, start + timedelta(seconds=seconds) - INSTANT)


def _clock(words: str) -> time:
    if words in ("noon", "midnight"):
        return time(12 if words == "noon" else 0)
    half = words[-2:] if words.endswith("m") else ""
    parts = [int(part) for part in words.removesuffix(half).strip().split(":")]
    if half and not 1 <= parts[0] <= 12:
        raise ValueError
    if half:
        parts[0] = parts[0] % 12 + 12 * (half == "pm")
    hour, minute, second = [*parts, 0, 0][:3]
    return time(hour, minute, second)


def _aware(day: date, clock: time, now: datetime) -> datetime:
    naive = datetime.combine(day, clock)
    zone = now.tzinfo
    if isinstance(zone, timezone) and zone is not UTC and now.astimezone().utcoffset() == now.utcoffset():
        return naive.astimezone()  # summer time may have begun or ended since
    return naive.replace(tzinfo=zone)
