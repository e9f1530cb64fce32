"""Taking back what a run or an agent did: each file to what it was before its first change of theirs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from aios_storage.versions import rows
from aios_storage.versions.transaction import Change, Drop, Put
from aios_storage.versions.version import Version
from aios_syscalls.errors import NotFound


@dataclass(frozen=True, slots=True)
class Undone:
    """What undoing does to a file: restores it, removes it, or nothing, since `kept` says why it stays."""

    path: str
    restored: int | None = None
    """The number of the version whose bytes it has again; None where it was not there before."""
    kept: str | None = None


def plan(
    connection: sqlite3.Connection,
    content: Callable[[Version], bytes],
    run: str | None,
    agent: str | None,
    sees: Callable[[str], bool],
) -> tuple[tuple[Undone, ...], list[Change]]:
    """What there is to undo, and the changes that do it."""
    theirs = "(?1 IS NULL OR run = ?1) AND (?2 IS NULL OR author = ?2)"
    undone: list[Undone] = []
    changes: list[Change] = []
    note = f"of {' in '.join(name for name in (agent, run) if name)}"
    records = connection.execute(
        f"SELECT path, min(seq) FROM version WHERE {theirs} GROUP BY path ORDER BY path", (run, agent)
    ).fetchall()
    for path, first in records:
        if not sees(path):
            continue
        lines = connection.execute(
            f"SELECT {rows.COLUMNS} FROM version WHERE path = ? AND seq >= ? ORDER BY seq", (path, first)
        ).fetchall()
        since = [rows.version(row) for row in lines]
        before, head = _before(connection, since[0]), rows.head(connection, path)
        was = None if before is None else before.sha256
        if was == (None if head is None else head.sha256.hex()):
            continue
        others = [each for each in since if not _by(each, run, agent)]
        if others:
            undone.append(Undone(path, kept=f"{others[0].author.name} changed it in version {others[0].number}"))
            continue
        if before is None or before.deleted:
            changes.append(Drop(path, op="undo", note=note))
            undone.append(Undone(path))
            continue
        try:
            changes.append(Put(path, content(before), op="undo", note=note))
            undone.append(Undone(path, restored=before.number))
        except NotFound as error:
            undone.append(Undone(path, kept=error.message))
    return tuple(undone), changes


def _by(version: Version, run: str | None, agent: str | None) -> bool:
    return (run is None or version.author.run == run) and (agent is None or version.author.name == agent)


def _before(connection: sqlite3.Connection, version: Version) -> Version | None:
    """What was at the version's path before it."""
    row = connection.execute(
        f"SELECT {rows.COLUMNS} FROM version WHERE path = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
        (version.path, version.seq),
    ).fetchone()
    return None if row is None else rows.version(row)
