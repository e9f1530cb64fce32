"""How long versions are kept, and how they go: by age, number or bytes, or without a trace."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from aios_storage.disk.failpoint import reach
from aios_storage.versions import rows
from aios_storage.versions.blobs import Blobs
from aios_storage.versions.version_store import VersionStore
from aios_syscalls.errors import StorageFailed

BATCH = 500
PURGING = "purging"
"""The key of `meta` that says that a purge is not through."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Which versions may go: beyond `count` of a file, older than `age_s` seconds, or the oldest of all above `bytes`.

    Never the last of a file, a tagged one, or one that undoing a run would go back to.
    """

    count: int | None = None
    age_s: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many versions went, and how many bytes of the store."""

    versions: int
    bytes: int


def prune(version_store: VersionStore, blobs: Blobs, retention: Retention, now: float) -> Pruned:
    """Forget versions; the caller holds the writers' lock."""
    before = stored(version_store.read())
    gone = 0
    for seqs in (_by_count(version_store.read(), retention), _by_age(version_store.read(), retention, now)):
        gone += _forget(version_store, seqs)
    gc(version_store, blobs)
    while retention.bytes is not None and stored(version_store.read()) > retention.bytes:
        oldest = _free(version_store.read(), "1 ORDER BY version.seq LIMIT ?", (BATCH,))
        if not oldest:
            break
        # In small steps: what is shared with later versions frees nothing.
        gone += _forget(version_store, oldest[: max(1, len(oldest) // 8)])
        gc(version_store, blobs)
    return Pruned(gone, before - stored(version_store.read()))


def gc(version_store: VersionStore, blobs: Blobs) -> int:
    """Drop bytes that no version has; returns how many went. The caller holds the writers' lock."""
    before = stored(version_store.read())
    unused = (
        "SELECT sha256 FROM blob WHERE NOT EXISTS (SELECT 1 FROM version WHERE version.sha256 = blob.sha256) LIMIT ?"
    )
    while keys := [key for (key,) in version_store.read().execute(unused, (BATCH,))]:
        with version_store.transaction() as connection:
            blobs.drop(connection, keys)
        reach("gc")
    return before - stored(version_store.read()) + blobs.sweep(version_store.read())


def purge(version_store: VersionStore, blobs: Blobs, path: str) -> int:
    """Forget all that a path ever held, so that not a byte of it is left in the store; returns how many versions went.

    The caller holds the writers' lock, and has removed the file.
    """
    connection = version_store.read()
    connection.execute("PRAGMA secure_delete = ON")
    # The file's own line, which moves may have brought from other paths, and whatever else was at this one.
    line = [each.seq for each in rows.history(connection, path)]
    here = [seq for (seq,) in connection.execute("SELECT seq FROM version WHERE path = ?", (path,))]
    heads = {seq for (seq,) in connection.execute("SELECT seq FROM head")}
    seqs = sorted({*line, *here} - heads)
    with version_store.transaction():
        connection.execute(f"INSERT OR REPLACE INTO meta VALUES ('{PURGING}', ?)", (str(len(seqs)),))
        _delete(connection, seqs)
        connection.execute("UPDATE version SET note = '' WHERE note = ?", (f"to {path}",))
        connection.execute("UPDATE version SET source = NULL WHERE source = ?", (path,))
        connection.execute("DELETE FROM share WHERE seq NOT IN (SELECT seq FROM version)")
        connection.execute("DELETE FROM head WHERE path = ?", (path,))
        connection.execute("DELETE FROM lease WHERE path = ?", (path,))
    reach("purge")
    if not finish(version_store, blobs):
        raise StorageFailed(
            f"{version_store.path} is being read, so what was purged may still be in its log: it goes when this root "
            "is opened next, or with the next purge"
        )
    return len(seqs)


def finish(version_store: VersionStore, blobs: Blobs) -> bool:
    """See a purge through that has forgotten versions, and may have been cut off then. The caller holds the lock.

    False while a reader keeps old pages alive.
    """
    connection = version_store.read()
    if connection.execute("SELECT 1 FROM meta WHERE key = ?", (PURGING,)).fetchone() is None:
        return True
    connection.execute("PRAGMA secure_delete = ON")
    gc(version_store, blobs)
    # Deleted rows leave their bytes in free pages and in the log.
    connection.execute("VACUUM")
    reach("purge-vacuum")
    (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        return False
    with version_store.transaction() as connection:
        connection.execute("DELETE FROM meta WHERE key = ?", (PURGING,))
    return True


def stored(connection: sqlite3.Connection) -> int:
    """Bytes that the kept versions take in the database; of those in files, their own size."""
    (total,) = connection.execute(
        "SELECT coalesce(sum(CASE WHEN data IS NULL THEN size ELSE length(data) END), 0) FROM blob"
    ).fetchone()
    return int(total)


def _by_count(connection: sqlite3.Connection, retention: Retention) -> list[int]:
    if retention.count is None:
        return []
    return _free(
        connection,
        "(SELECT count(*) FROM version AS later WHERE later.path = version.path AND later.seq > version.seq) >= ?",
        (retention.count,),
    )


def _by_age(connection: sqlite3.Connection, retention: Retention, now: float) -> list[int]:
    return [] if retention.age_s is None else _free(connection, "version.time < ?", (now - retention.age_s,))


def _free(connection: sqlite3.Connection, condition: str, parameters: tuple[float, ...]) -> list[int]:
    """The seqs of the versions that may go and meet a condition."""
    records = connection.execute(
        "SELECT version.seq FROM version WHERE NOT EXISTS (SELECT 1 FROM head WHERE head.seq = version.seq) "
        "AND NOT EXISTS (SELECT 1 FROM tag WHERE tag.seq = version.seq) "
        "AND NOT EXISTS (SELECT 1 FROM share WHERE share.seq = version.seq) "
        "AND NOT EXISTS (SELECT 1 FROM version AS child WHERE child.parent = version.seq AND child.run IS NOT NULL) "
        f"AND {condition}",
        parameters,
    )
    free = {seq for (seq,) in records}
    # Where a deletion is the last that happened to a path, it goes with the path's last other version, or not before.
    deletions = connection.execute(
        "SELECT seq, path FROM version WHERE sha256 IS NULL AND seq IN (SELECT max(seq) FROM version GROUP BY path)"
    ).fetchall()
    for seq, path in deletions:
        if seq in free and any(
            other not in free for (other,) in connection.execute("SELECT seq FROM version WHERE path = ?", (path,))
        ):
            free.discard(seq)
    return sorted(free)


def _forget(version_store: VersionStore, seqs: list[int]) -> int:
    for at in range(0, len(seqs), BATCH):
        with version_store.transaction() as connection:
            _delete(connection, seqs[at : at + BATCH])
            reach("prune")
    return len(seqs)


def _delete(connection: sqlite3.Connection, seqs: Iterable[int]) -> None:
    """Take versions out of their lines: what came after one comes after what was before it."""
    for seq in seqs:
        (parent,) = connection.execute("SELECT parent FROM version WHERE seq = ?", (seq,)).fetchone()
        connection.execute("UPDATE version SET parent = ? WHERE parent = ?", (parent, seq))
        connection.execute("DELETE FROM tag WHERE seq = ?", (seq,))
        connection.execute("DELETE FROM version WHERE seq = ?", (seq,))
