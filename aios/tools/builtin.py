"""Tools that are useful as they are; all are fast and have no effect."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from aios.tools.arithmetic import evaluate
from aios.tools.tool import tool
from aios.tools.unit import convert
from aios_syscalls import BadRequest

WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
# Looking behind and `++` keep a long row of dots from being tried from each of its dots.
SENTENCE_END = re.compile(r"(?<![.!?\u2026])[.!?\u2026]++(?=\s|$)|[\u3002\uff01\uff1f]+")
WORDS_PER_MINUTE = 238
"""Silent reading of English: Brysbaert, Journal of Memory and Language 109 (2019)."""

Text = Annotated[str, Field(description="the text")]


@tool
def calculator(
    expression: Annotated[str, Field(description="such as 2 * (3 + 4) ** 2 or sqrt(2) * pi")],
) -> int | float:
    """Evaluate arithmetic: + - * / // % **, parentheses, abs ceil cos exp floor log log10 log2 max min round sin sqrt
    tan, and the constants pi, e and tau."""
    return evaluate(expression)


@tool
def clock(zone: Annotated[str, Field(description="an IANA time zone such as Europe/Berlin")] = "UTC") -> str:
    """Tell the current date and time in ISO 8601."""
    try:
        place = UTC if zone == "UTC" else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequest(
            f"no time zone {zone!r}; use an IANA name such as Asia/Tokyo, or UTC", "arguments.zone"
        ) from None
    return datetime.now(place).isoformat(timespec="seconds")


@tool
def text_stats(text: Text) -> dict[str, int]:
    """Count the characters, words, sentences and lines of a text, and estimate the seconds it takes to read."""
    words = len(WORD.findall(text))
    ends = list(SENTENCE_END.finditer(text))
    unfinished = bool(WORD.search(text, ends[-1].end() if ends else 0))
    return {
        "characters": len(text),
        "words": words,
        "sentences": len(ends) + unfinished,
        "lines": len(text.splitlines()),
        "reading_time_s": round(words * 60 / WORDS_PER_MINUTE),
    }


@tool
def word_frequency(
    text: Text, top: Annotated[int, Field(ge=1, le=1000, description="how many words to list")] = 10
) -> list[dict[str, str | int]]:
    """List the most frequent words of a text, in lower case, with their counts."""
    counts = Counter(word.lower() for word in WORD.findall(text))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"word": word, "count": count} for word, count in ranked[:top]]


@tool
def convert_units(
    value: float,
    from_unit: Annotated[str, Field(description="a symbol or name such as km, pound, C or GiB")],
    to_unit: Annotated[str, Field(description="another unit of the same kind")],
) -> float:
    """Convert between units of length, mass, temperature, time and data size."""
    return convert(value, from_unit, to_unit)


@tool
def date_diff(
    start: Annotated[date, Field(description="such as 2026-01-31")], end: Annotated[date, Field(description="likewise")]
) -> int:
    """Count the days from one date to another; negative when the second is earlier."""
    return (end - start).days


BUILTIN = (calculator, clock, convert_units, date_diff, text_stats, word_frequency)
