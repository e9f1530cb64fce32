"""JSON and tables: as they are, since what they say is in their words; their keys or columns are fields."""

from __future__ import annotations

import csv
import io
import json

from aios_storage.extract import ExtractedText, Extractor
from aios_storage.extract.encoding import decode

MOST_FIELDS = 50
LONGEST = 200
SIGNS = (",", "\t", ";", "|", ":")
"""What is between the columns of a table; the first of those that are as frequent."""


def reader(suffix: str) -> Extractor:
    """Of files of this suffix."""
    return _json if suffix == ".json" else _table


def _json(data: bytes) -> ExtractedText:
    text, exact = decode(data)
    value = json.loads(text)
    found = []
    for key, one in value.items() if isinstance(value, dict) else ():
        for item in one if isinstance(one, list) else [one]:
            if isinstance(item, str | int | float) and len(str(item)) <= LONGEST:
                found.append((str(key).lower(), str(item)))
    named = value.get("title") or value.get("name") if isinstance(value, dict) else None
    return ExtractedText(text, "json", named if isinstance(named, str) else "", tuple(found[:MOST_FIELDS]), exact)


def _table(data: bytes) -> ExtractedText:
    text, exact = decode(data)
    columns = _columns(text[:65_536])
    return ExtractedText(
        text, "table", fields=tuple(("column", name[:LONGEST]) for name in columns[:MOST_FIELDS] if name), exact=exact
    )


def _columns(text: str) -> list[str]:
    """The names in the first row, between whichever sign it has most of; csv's Sniffer can take for ever."""
    line = text.partition("\n")[0]
    sign = max(SIGNS, key=line.count)
    try:
        return next(csv.reader(io.StringIO(text), delimiter=sign, skipinitialspace=True), []) if sign in line else []
    except csv.Error:
        return []
