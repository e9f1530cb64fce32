"""The size of the journal: the oldest runs that have ended make room for a new one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aios.record.database import lives, transaction
from aios_syscalls import StorageFailed

MEBIBYTE = 1024 * 1024
PAYLOADS_OF = "SELECT hash, count(*) AS less FROM payload WHERE seq IN (SELECT seq FROM event WHERE {}) GROUP BY hash"


def make_room(db: sqlite3.Connection, path: Path, max_bytes: int) -> None:
    """Forget runs that have ended, the oldest first, until the journal takes less. Raises StorageFailed.

    A run whose kernel lives is never forgotten: where those alone take as much, no new run may begin.
    """
    for number, first, last in _ended(db):
        if size(db) < max_bytes:
            break
        _forget(db, number, first, last)
    else:
        if size(db) >= max_bytes:
            raise StorageFailed(
                f"the journal {path} takes {size(db) // MEBIBYTE} MiB, and the runs that go on take all that it may "
                f"have: wait for one to end, or raise [journal] max_mb, now {max_bytes // MEBIBYTE}"
            )
    db.executescript("PRAGMA incremental_vacuum")  # `execute` frees one page


def size(db: sqlite3.Connection) -> int:
    """Bytes that the tables take."""
    pages, free, page = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page)


def _ended(db: sqlite3.Connection) -> list[tuple[int, int, int]]:
    """The number, first and last event of each run that has ended, or whose kernel has or is dead; the oldest first."""
    boots = {
        boot
        for boot, os_pid, began, ended in db.execute("SELECT id, os_pid, began, ended FROM boot")
        if ended is None and lives(os_pid, began / 1_000_000)
    }
    runs = db.execute("SELECT number, first, last, boot, ended FROM run ORDER BY number").fetchall()
    return [(number, first, last) for number, first, last, boot, ended in runs if ended or boot not in boots]


def _forget(db: sqlite3.Connection, number: int, first: int, last: int) -> None:
    mine = "run = :run AND seq BETWEEN :first AND :last"
    with transaction(db):
        args = {"run": number, "first": first, "last": last}
        db.execute(
            f"UPDATE blob SET users = users - used.less FROM ({PAYLOADS_OF.format(mine)}) AS used "
            "WHERE blob.hash = used.hash",
            args,
        )
        db.execute(f"DELETE FROM payload WHERE seq IN (SELECT seq FROM event WHERE {mine})", args)
        db.execute(f"DELETE FROM event WHERE {mine}", args)
        db.execute("DELETE FROM run WHERE number = :run", args)
        db.execute("DELETE FROM blob WHERE users <= 0")
