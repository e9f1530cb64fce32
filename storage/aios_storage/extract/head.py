"""The fields that a text's own head states: RFC 822 headers, YAML front matter, reStructuredText's field list."""

from __future__ import annotations

import re

Fields = tuple[tuple[str, str], ...]

MAX_HEAD_LINES = 64
"""Lines that are looked at."""
_FIELD = re.compile(r":?([A-Za-z][\w .-]{0,39}?)\s*:(?:[ \t]+(.*))?$")
_BRACKETS = re.compile(r"(?<!\s)\s*+[<(]([^<>()]*+)[>)]")
_YEAR = re.compile(r"\b(1[89]\d\d|20\d\d)\b")
_DATES = ("created", "date", "published", "updated", "modified")
_LISTS = re.compile(r"[,;]")
_SINGLE = frozenset(("title", "subject", "description", "summary", "abstract", "created", "date", "published"))


def fields(text: str) -> Fields:
    """Pairs of a key, in lower case, and a value; lists are several pairs, and dates give a `year` as well."""
    found: list[tuple[str, str]] = []
    for key, value in _pairs(text):
        for one in [value] if key in _SINGLE else _LISTS.split(value):
            clean = _BRACKETS.sub(_no_address, one).strip().strip("\"'")
            if clean:
                found.append((key, clean))
        if key in _DATES and (year := _YEAR.search(value)):
            found.append(("year" if key in ("created", "date", "published") else f"{key} year", year[1]))
    return tuple(found)


def title(text: str) -> str:
    """The first line that says something, without marks of a heading."""
    for line in text[:4000].splitlines():
        if clean := line.strip().strip("#=-*/\"' \t"):
            return clean[:200]
    return ""


def _no_address(match: re.Match[str]) -> str:
    return "" if "@" in match[1] or " at " in match[1] else match[0]


def _pairs(text: str) -> list[tuple[str, str]]:
    lines = text[:20_000].splitlines()[:MAX_HEAD_LINES]
    fenced = bool(lines) and lines[0].strip() in ("---", "+++")
    found: list[list[str]] = []
    for line in lines[1:] if fenced else lines:
        if line.strip() in ("---", "+++", "..."):
            break
        if not line.strip():
            if found and not fenced:
                break
            continue
        if line[0] in " \t" or (fenced and line.startswith("- ")):
            if found:
                item = line.strip().removeprefix("- ")
                found[-1][1] += (", " if line.lstrip().startswith("- ") else " ") + item
            continue
        match = _FIELD.match(line.replace(" = ", ": ", 1) if fenced and lines[0].strip() == "+++" else line)
        if match is None:
            return [] if not fenced and len(found) < 2 else [(key, value) for key, value in found]
        found.append([match[1].strip().lower(), (match[2] or "").strip().strip("[]")])
    # One line with a colon is a sentence more often than a head.
    return [(key, value.strip()) for key, value in found] if fenced or len(found) > 1 else []
