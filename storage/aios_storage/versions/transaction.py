"""Changes of files: the versions of all of them and then the files, or nothing.

First the bytes wait on the disk under other names, so that a full disk is told before anything happened. Then one
transaction records the versions and what is pending. Then the files are renamed into place. A crash in between leaves
pending rows, and whoever writes next finishes what they say: see `recover`.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from aios_storage.disk.failpoint import reach
from aios_storage.disk.path import TEMPORARY, refuse_protected, split
from aios_storage.disk.root import Root, Staged
from aios_storage.versions import rows
from aios_storage.versions.blobs import Blobs
from aios_storage.versions.rows import FileStamp, Head
from aios_storage.versions.stable_read import digest
from aios_storage.versions.version import Author, Op, Version
from aios_storage.versions.version_store import VersionStore
from aios_syscalls.errors import AiosError, BadRequest, CallerError, Conflict, Exists, NotFound, StorageFailed


@dataclass(frozen=True, slots=True)
class Put:
    """A file is to have these bytes. With `if_version` only if that is its version, 0 for a file that is not there."""

    path: str
    data: bytes
    if_version: int | None = None
    op: Op = "write"
    source: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """A file is to go."""

    path: str
    if_version: int | None = None
    op: Op = "delete"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rename:
    """A file is to have another path, at which there is none."""

    path: str
    target: str


Change = Put | Drop | Rename
# What comes before what goes: a file that moves is not removed before it is at its other path.
PENDING = "SELECT path, sha256, temporary, was FROM pending ORDER BY sha256 IS NULL, path"


@dataclass(frozen=True, slots=True)
class Ready:
    """A change that can be made: what is there now, and the bytes that wait."""

    change: Change
    head: Head | None
    staged: Staged | None


class Overtaken(Exception):
    """Another program changed a file since it was looked at; nothing happened yet, so look again."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Changes:
    """Makes changes below a root. The caller holds the writers' lock and has noticed what others did."""

    def __init__(self, root: Root, version_store: VersionStore, blobs: Blobs, max_kept: int) -> None:
        self._root, self._version_store, self._blobs, self._max_kept = root, version_store, blobs, max_kept

    def make(self, changes: Sequence[Change], author: Author, time: float) -> tuple[Version, ...]:
        """Make all changes or none. Raises Conflict, NotFound, Exists, what the disk says, or Overtaken."""
        touched = [path for change in changes for path in paths(change)]
        if twice := next((path for path in touched if touched.count(path) > 1), None):
            raise BadRequest(f"{twice} is changed twice at once; make these changes one after the other", "changes")
        with ExitStack() as stack:
            ready = [self._prepare(change, stack) for change in changes]
            reach("staged")
            with self._version_store.transaction() as connection:
                versions = tuple(v for each in ready for v in self._record(connection, each, author, time))
                for each in ready:
                    self._expect_still(each)
            try:
                # Files go last: what is not removed need not be brought back when another change turns out impossible.
                for number, each in enumerate(sorted(ready, key=lambda each: isinstance(each.change, Drop))):
                    if number:
                        reach("between-files")
                    self._place(each)
            except BaseException:
                self._revert(ready, versions)
                raise
            reach("placed")
        # Where there is no room even for this, the next writer finds all done and has nothing to finish.
        with suppress(StorageFailed), self._version_store.transaction(durable=False) as connection:
            connection.execute("DELETE FROM pending")
        return versions

    def recover(self) -> None:
        """Finish the changes that a crash has left half made."""
        records = self._version_store.read().execute(PENDING).fetchall()
        if not records:
            return
        for path, sha256, temporary, was in records:
            if _believable(path, sha256, temporary):
                self._finish(path, sha256, temporary, was)
            reach("recovering")
        with self._version_store.transaction() as connection:
            connection.execute("DELETE FROM pending")

    def _prepare(self, change: Change, stack: ExitStack) -> Ready:
        head = rows.head(self._version_store.read(), change.path)
        if isinstance(change, Put | Drop) and change.if_version is not None:
            self._expect(change.path, change.if_version, head)
        match change:
            case Put(path=path, data=data):
                staged = stack.enter_context(self._root.staged(path, data, new=change.if_version == 0))
                return Ready(change, head, staged)
            case Rename(path=path, target=target):
                self._root.expect_free(target, "target")
        if head is None:
            raise NotFound(f"{change.path} does not exist; list its directory to see what does", field="path")
        return Ready(change, head, None)

    def _expect_still(self, ready: Ready) -> None:
        """Raises Overtaken where the file is not what it was when it was last recorded."""
        info = None
        with suppress(NotFound, BadRequest):
            info = self._root.info(ready.change.path)
        there = info is not None and stat.S_ISREG(info.st_mode)
        if there != (ready.head is not None) or (info and ready.head and not ready.head.looks_like(info)):
            raise Overtaken(ready.change.path)

    def _expect(self, path: str, wanted: int, head: Head | None) -> None:
        number = 0
        if head is not None:
            row = self._version_store.read().execute("SELECT number FROM version WHERE seq = ?", (head.seq,)).fetchone()
            number = row[0]
        if number == wanted:
            return
        if wanted == 0:
            raise Exists(f"{path} exists already, as version {number}; write it with that if_version", field="path")
        there = f"is at version {number}" if number else "does not exist (version 0)"
        raise Conflict(
            f"{path} {there}, not {wanted}: it changed since; read it again, then decide", field="path", version=number
        )

    def _record(self, connection: sqlite3.Connection, ready: Ready, author: Author, time: float) -> list[Version]:
        head = ready.head
        was = head.sha256 if head else None
        match ready.change:
            case Put(path=path, data=data, op=op, source=source, note=note):
                assert ready.staged is not None
                key = self._keep(connection, data, was, path)
                self._pend(connection, path, key, ready.staged.temporary_path, was)
                stamp = FileStamp.of(ready.staged.info)
                return [rows.record(connection, path, op, key, stamp, author, time, source=source, note=note)]
            case Drop(path=path, op=op, note=note):
                self._pend(connection, path, None, None, was)
                return [rows.record(connection, path, op, None, None, author, time, note=note)]
            case Rename(path=path, target=target):
                assert head is not None
                self._pend(connection, target, head.sha256, path, None)
                self._pend(connection, path, None, None, was)
                stamp = FileStamp(head.size, head.mtime_ns, head.inode, head.sure)
                return list(rows.move(connection, head, target, stamp, author, time))

    def _keep(self, connection: sqlite3.Connection, data: bytes, was: bytes | None, path: str) -> bytes:
        """Keep bytes; a file that is new to its path may be like what last was there."""
        if was is None:
            row = connection.execute(
                "SELECT sha256 FROM version WHERE path = ? AND sha256 IS NOT NULL ORDER BY seq DESC LIMIT 1", (path,)
            ).fetchone()
            was = row[0] if row else None
        return self._blobs.put(connection, data, was, self._max_kept)

    def _pend(
        self, connection: sqlite3.Connection, path: str, sha256: bytes | None, temporary: str | None, was: bytes | None
    ) -> None:
        connection.execute("INSERT INTO pending VALUES (?, ?, ?, ?)", (path, sha256, temporary, was))

    def _place(self, ready: Ready) -> None:
        match ready.change:
            case Put():
                assert ready.staged is not None
                ready.staged.place()
            case Drop(path=path):
                self._root.delete(path)
            case Rename(path=path, target=target):
                self._root.move(path, target)

    def _revert(self, ready: Sequence[Ready], versions: Sequence[Version]) -> None:
        """Take back versions whose files could not be placed, and the files that could."""
        with self._version_store.transaction() as connection:
            connection.executemany("DELETE FROM version WHERE seq = ?", [(each.seq,) for each in versions])
            for each in ready:
                for path in paths(each.change):
                    connection.execute("DELETE FROM head WHERE path = ?", (path,))
                if (head := each.head) is not None:
                    connection.execute(
                        "INSERT INTO head VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (head.path, head.seq, head.sha256, head.size, head.mtime_ns, head.inode, head.sure),
                    )
            connection.execute("DELETE FROM pending")
        for each in ready:
            with suppress(AiosError):
                if isinstance(each.change, Rename):
                    self._root.move(each.change.target, each.change.path)
                elif each.head is None:
                    if each.staged is not None and self._looks(each.change.path, each.staged.info):
                        self._root.delete(each.change.path)
                elif self._hash(each.change.path) != each.head.sha256:
                    self._root.write(each.change.path, self._blobs.get(self._version_store.read(), each.head.sha256))

    def _finish(self, path: str, sha256: bytes | None, temporary: str | None, was: bytes | None) -> None:
        """Bring one file to where its version is, unless somebody changed it since: then that is a version too."""
        found = self._hash(path)
        if found == sha256:
            return
        if found not in (None, was):
            return
        with suppress(NotFound):
            if sha256 is None:
                return self._root.delete(path)
            self._root.make_way(path)
            if temporary and self._hash(temporary) == sha256:
                return self._root.adopt(temporary, path)
            self._root.write(path, self._blobs.get(self._version_store.read(), sha256))

    def _looks(self, path: str, info: os.stat_result) -> bool:
        return FileStamp.of(self._root.info(path)) == FileStamp.of(info)

    def _hash(self, path: str) -> bytes | None:
        """The SHA-256 of a file; None where there is none."""
        with suppress(NotFound, BadRequest), self._root.opened(path) as fd:
            return digest(fd)
        return None


def _believable(path: object, sha256: object, temporary: object) -> bool:
    """Whether a pending row can be of a change that was allowed: the database may be somebody else's work."""
    if not (isinstance(path, str) and isinstance(sha256, bytes | None) and isinstance(temporary, str | None)):
        return False
    try:
        refuse_protected(split(path))
        *above, name = split(temporary or path)
        refuse_protected((*above, name.removeprefix(TEMPORARY)))
    except CallerError:
        return False
    return True


def paths(change: Change) -> tuple[str, ...]:
    """The paths that a change touches."""
    return (change.path, change.target) if isinstance(change, Rename) else (change.path,)
