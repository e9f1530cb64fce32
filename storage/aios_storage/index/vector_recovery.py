"""The vectors of a damaged index: the one part of it that is dear to make again. Each has a checksum of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

Row = tuple[int, bytes, str, bytes, int]
"""Id, hash, model, data, checksum."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """What could be read: rows of `vector`, and `model` and `dimension` of `meta` where they agree with the rows."""

    rows: list[Row] = field(default_factory=list)
    meta: Mapping[str, str | int] = field(default_factory=dict)


def crc(hash: bytes, data: bytes) -> int:
    """The checksum of a vector and of what it is the vector of."""
    return crc32(data, crc32(hash))


def saved(path: Path) -> Vectors:
    """The vectors of a database file, whatever state it is in, whose checksums are right."""
    rows: dict[int, Row] = {}
    meta: dict[str, str | int] = {}
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        if not _tables(connection):
            return Vectors()
        # From both ends: what lies behind a page that cannot be read is reached from the other side.
        for order in ("ASC", "DESC"):
            with suppress(sqlite3.Error):
                for row in connection.execute(f"SELECT id, hash, model, data, crc FROM vector ORDER BY id {order}"):
                    if row[0] in rows:
                        break
                    if _sound(row):
                        rows[row[0]] = row
        with suppress(sqlite3.Error):
            meta = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('model', 'dimension')"))
    models = {(row[2], len(row[3]) // 2) for row in rows.values()}
    if (meta.get("model"), meta.get("dimension")) not in models:
        # Nothing says whose they are, unless there is one answer only.
        meta = {"model": model[0], "dimension": model[1]} if (model := next(iter(models), None)) else {}
        if len(models) != 1:
            return Vectors()
    return Vectors([rows[id] for id in sorted(rows)], meta)


def _tables(connection: sqlite3.Connection) -> bool:
    """Whether what is asked for is in tables; a view in their place could go on for ever. Unknown is no."""
    kinds = connection.execute("SELECT type FROM sqlite_schema WHERE name IN ('vector', 'meta')").fetchall()
    return kinds == [("table",)] * 2


def _sound(row: Row) -> bool:
    _, hash, model, data, checksum = row
    return (
        isinstance(hash, bytes) and isinstance(model, str) and isinstance(data, bytes) and checksum == crc(hash, data)
    )
