"""Locks of files and directories that end by themselves."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from aios_storage.versions.version import Author
from aios_syscalls.errors import BadRequest, Denied, NotFound


@dataclass(frozen=True, slots=True)
class Lease:
    """A lock: until a time, in seconds since the epoch, only who holds it changes `path` or what is below it."""

    path: str
    token: str
    until: float


def holder(author: Author) -> str:
    """Who an author is, to a lock: the process of a run, or whoever has the name."""
    return author.name if author.pid is None else f"{author.name} (process {author.pid} of {author.run})"


def acquire(
    connection: sqlite3.Connection, path: str, author: Author, ttl_s: float, now: float, token: str | None = None
) -> Lease:
    """Lock a path, or with the token of its lock make that longer. Raises Denied while another lock is in the way."""
    connection.execute("DELETE FROM lease WHERE until <= ?", (now,))
    if not 0 < ttl_s < float("inf"):
        raise BadRequest(f"a lock for {ttl_s} s is none; say how many seconds it may last", "ttl_s")
    for other, key, who, until in _live(connection, now):
        if key == token and other == path:
            continue
        if _within(path, other) or _within(other, path):
            raise Denied(
                f"{path} is locked by {who} at {other} for {until - now:.0f} s more; try again then", field="path"
            )
    if token is not None and connection.execute("SELECT 1 FROM lease WHERE token = ?", (token,)).fetchone() is None:
        raise NotFound("that lock is over; lock the file again, and look at it again", field="token")
    lease = Lease(path, token or secrets.token_hex(16), now + ttl_s)
    connection.execute(
        "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?)", (path, lease.token, holder(author), lease.until)
    )
    return lease


def release(connection: sqlite3.Connection, token: str, now: float) -> str | None:
    """End a lock; the path that it was on, None for one that is over."""
    connection.execute("DELETE FROM lease WHERE until <= ?", (now,))
    row = connection.execute("SELECT path FROM lease WHERE token = ?", (token,)).fetchone()
    connection.execute("DELETE FROM lease WHERE token = ?", (token,))
    return str(row[0]) if row else None


def refuse(connection: sqlite3.Connection, paths: Iterable[str], author: Author, now: float) -> None:
    """Raises Denied where another holds a lock on one of these paths."""
    live = _live(connection, now)
    for path in paths if live else ():
        for locked, _, who, until in live:
            if who != holder(author) and (_within(path, locked) or _within(locked, path)):
                raise Denied(f"{path} is locked by {who} for {until - now:.0f} s more; try again then", field="path")


def _live(connection: sqlite3.Connection, now: float) -> list[tuple[str, str, str, float]]:
    return connection.execute("SELECT path, token, holder, until FROM lease WHERE until > ?", (now,)).fetchall()


def _within(path: str, directory: str) -> bool:
    return directory == "." or path == directory or path.startswith(f"{directory}/")
