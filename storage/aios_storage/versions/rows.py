"""The rows of versions, heads and tags: what happened to which path, in the order in which it happened."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aios_storage.versions.version import At, Author, Op, Version
from aios_syscalls.errors import BadRequest, NotFound

COLUMNS = "seq, path, number, op, sha256, size, time, author, run, pid, call, parent, source, note"
_V = ", ".join(f"version.{name}" for name in COLUMNS.split(", "))
_LINE = """
WITH RECURSIVE line (seq, depth) AS (
    SELECT max(seq), 0 FROM version WHERE path = ?
    UNION ALL
    SELECT version.parent, depth + 1 FROM version JOIN line ON version.seq = line.seq WHERE version.parent IS NOT NULL
    LIMIT ?
)
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The last recorded state of a file that exists, and how the file looked when it was recorded.

    `sure` says that the file cannot have changed since without looking different.
    """

    path: str
    seq: int
    sha256: bytes
    size: int
    mtime_ns: int
    inode: int
    sure: bool

    def looks_like(self, info: os.stat_result) -> bool:
        """Whether the file still looks as it did."""
        return (self.size, self.mtime_ns, self.inode) == (info.st_size, info.st_mtime_ns, info.st_ino)


@dataclass(frozen=True, slots=True)
class FileStamp:
    """How a file looks, for its head."""

    size: int
    mtime_ns: int
    inode: int
    sure: bool = False

    @classmethod
    def of(cls, info: os.stat_result, sure: bool = False) -> FileStamp:
        """From what the operating system says."""
        return cls(info.st_size, info.st_mtime_ns, info.st_ino, sure)


DIGEST = 32
"""Bytes of a SHA-256."""


def expect_sound(path: object, sha256: object, *numbers: object) -> None:
    """Raises sqlite3.DatabaseError for values that were never written: SQLite tells whatever a damaged page says."""
    digest = isinstance(sha256, bytes) and len(sha256) == DIGEST
    if not (isinstance(path, str) and digest and all(isinstance(number, int) for number in numbers)):
        raise sqlite3.DatabaseError(f"a row of {path!r} is not as it was written")


def version(row: Sequence[Any]) -> Version:
    """A row of COLUMNS."""
    seq, path, number, op, sha256, size, time, author, run, pid, call, parent, source, note = row
    expect_sound(path, bytes(DIGEST) if sha256 is None else sha256, number, size)
    digest = None if sha256 is None else sha256.hex()
    return Version(seq, path, number, op, digest, size, time, Author(author, run, pid, call), parent, source, note)


def record(
    connection: sqlite3.Connection,
    path: str,
    op: Op,
    sha256: bytes | None,
    stamp: FileStamp | None,
    author: Author,
    time: float,
    *,
    parent: int | None = None,
    source: str | None = None,
    note: str = "",
) -> Version:
    """Add a version and make it the head; without `look` the file is gone. The parent is the path's last version."""
    if parent is None:
        (parent,) = connection.execute("SELECT max(seq) FROM version WHERE path = ?", (path,)).fetchone()
    row = connection.execute("SELECT number FROM version WHERE seq = ?", (parent,)).fetchone()
    number = row[0] + 1 if row else 1
    size = stamp.size if stamp else 0
    who = (author.name, author.run, author.pid, author.call)
    cursor = connection.execute(
        f"INSERT INTO version ({COLUMNS}) VALUES (NULL, {', '.join('?' * 13)})",
        (path, number, op, sha256, size, time, *who, parent, source, note),
    )
    seq = int(cursor.lastrowid or 0)
    if sha256 is None or stamp is None:
        connection.execute("DELETE FROM head WHERE path = ?", (path,))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO head (path, seq, sha256, size, mtime_ns, inode, sure) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (path, seq, sha256, stamp.size, stamp.mtime_ns, stamp.inode, stamp.sure),
        )
    digest = None if sha256 is None else sha256.hex()
    return Version(seq, path, number, op, digest, size, time, author, parent, source, note)


def move(
    connection: sqlite3.Connection, head: Head, target: str, stamp: FileStamp, author: Author, time: float
) -> tuple[Version, Version]:
    """A file has another path from now on, to which its history belongs."""
    gone = record(connection, head.path, "move", None, None, author, time, note=f"to {target}")
    come = record(connection, target, "move", head.sha256, stamp, author, time, parent=head.seq, source=head.path)
    return gone, come


def head(connection: sqlite3.Connection, path: str) -> Head | None:
    """The file's recorded state; None where there is no file."""
    row = connection.execute("SELECT * FROM head WHERE path = ?", (path,)).fetchone()
    return None if row is None else _head(row)


def heads(connection: sqlite3.Connection, below: str = ".") -> list[Head]:
    """The recorded states of all files below a directory, or of the one file, by path."""
    if below == ".":
        rows = connection.execute("SELECT * FROM head ORDER BY path")
    else:
        # `0` is what follows `/`: the range of all that begins with `below/`.
        rows = connection.execute(
            "SELECT * FROM head WHERE path = ?1 OR (path > ?1 || '/' AND path < ?1 || '0') ORDER BY path", (below,)
        )
    return [_head(row) for row in rows]


def heads_of(connection: sqlite3.Connection, paths: Sequence[str]) -> dict[str, Head]:
    """The recorded states of these files, of those that exist."""
    rows = connection.execute(
        "SELECT head.* FROM json_each(?) AS wanted JOIN head ON head.path = wanted.value", (json.dumps(paths),)
    )
    return {head.path: head for head in map(_head, rows)}


def _head(row: Sequence[Any]) -> Head:
    path, seq, sha256, size, mtime_ns, inode, sure = row
    expect_sound(path, sha256, size, mtime_ns, inode)
    return Head(path, seq, sha256, size, mtime_ns, inode, bool(sure))


def restamp(connection: sqlite3.Connection, path: str, stamp: FileStamp) -> None:
    """Note how a file looks whose bytes are those of its head."""
    connection.execute(
        "UPDATE head SET mtime_ns = ?, inode = ?, sure = ? WHERE path = ?",
        (stamp.mtime_ns, stamp.inode, stamp.sure, path),
    )


def history(connection: sqlite3.Connection, path: str, limit: int | None = None) -> tuple[Version, ...]:
    """A path's versions, newest first, through the moves that brought the file here. Raises NotFound for none."""
    rows = connection.execute(
        f"{_LINE} SELECT {_V} FROM line JOIN version ON version.seq = line.seq ORDER BY depth",
        (path, -1 if limit is None else limit),
    )
    found = tuple(version(row) for row in rows)
    if not found:
        raise NotFound(f"{path} has no history; list the files that are there, or scan for new ones", field="path")
    return found


def made_by(connection: sqlite3.Connection, author: Author) -> list[Version]:
    """The versions that one call of a process has made, in order."""
    found = connection.execute(
        f"SELECT {COLUMNS} FROM version WHERE run = ? AND pid = ? AND call = ? ORDER BY seq",
        (author.run, author.pid, author.call),
    )
    return [version(row) for row in found]


def at(connection: sqlite3.Connection, path: str, point: At) -> Version:
    """The version that a point of a path's history names. Raises NotFound, which says what there is."""
    condition: str
    value: int | float | str
    match point:
        case bool():
            raise BadRequest("a version is named by its number, a time or a tag", "at")
        case int() if point < 0:
            condition, value = "depth = ?", -point
        case int():
            condition, value = "version.number = ?", point
        case datetime():
            condition, value = "version.time <= ?", point.timestamp()
        case _:
            condition, value = "version.seq IN (SELECT seq FROM tag WHERE name = ?)", point
    # SQLite goes along the line and only the version that is wanted becomes an object: lines may be long.
    row = connection.execute(
        f"{_LINE} SELECT {_V} FROM line JOIN version ON version.seq = line.seq WHERE {condition} "
        "ORDER BY depth LIMIT 1",
        (path, -1, value),
    ).fetchone()
    if row is None:
        raise _no_such(connection, path, point)
    return version(row)


def _no_such(connection: sqlite3.Connection, path: str, point: At) -> NotFound:
    """What is wrong with a point of a path's history that names no version. Raises NotFound for no history at all."""
    line = history(connection, path)
    match point:
        case int() if point < 0:
            return NotFound(f"{path} has {len(line)} versions, so none is {-point} before the last", field="at")
        case int():
            return NotFound(f"{path} has no version {point}; it has {line[-1].number} to {line[0].number}", field="at")
        case datetime():
            first = datetime.fromtimestamp(line[-1].time)
            return NotFound(
                f"{path} had no version at {point:%Y-%m-%d %H:%M}; its first is of {first:%Y-%m-%d %H:%M:%S}",
                field="at",
            )
        case _:
            names = ", ".join(sorted({name for name, _ in tags(connection, [each.seq for each in line])}))
            return NotFound(f"{path} has no version tagged {point}; its tags: {names or 'none'}", field="at")


def tags(connection: sqlite3.Connection, seqs: Iterable[int] | None = None) -> list[tuple[str, int]]:
    """Names and the seqs that bear them; of these seqs, or of all."""
    wanted = None if seqs is None else set(seqs)
    rows = connection.execute("SELECT name, seq FROM tag ORDER BY name, seq")
    return [(name, seq) for name, seq in rows if wanted is None or seq in wanted]
