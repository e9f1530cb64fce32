"""The files of a root, every state of them kept: the truth that the index is derived from."""

from __future__ import annotations

import builtins
import copy
import os
import sqlite3
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Self

from aios_storage.disk.alike import only
from aios_storage.disk.directory import Entry, Kind
from aios_storage.disk.path import is_unicode, split
from aios_storage.disk.retried import retried
from aios_storage.disk.root import MAX_ENTRIES, MAX_READ, Root
from aios_storage.guard.sealed import NOTHING
from aios_storage.versions import fsck, leases, rows
from aios_storage.versions import retention as keep
from aios_storage.versions.blobs import Blobs
from aios_storage.versions.difference import unified
from aios_storage.versions.ignore import Ignore
from aios_storage.versions.leases import Lease
from aios_storage.versions.retention import Pruned, Retention
from aios_storage.versions.rows import Head
from aios_storage.versions.scan import Scanned, Scanner, Skip
from aios_storage.versions.store import STORE_DIRECTORY
from aios_storage.versions.transaction import Change, Changes, Drop, Overtaken, Put, Rename, paths
from aios_storage.versions.undo import Undone, plan
from aios_storage.versions.version import USER, At, Author, Version
from aios_storage.versions.version_store import VersionStore, typed_errors
from aios_syscalls.errors import AiosError, BadRequest, Conflict, Denied, Exists, NotFound

MAX_KEPT = 64 * 1024 * 1024
TRIES = 5
"""How often a change is tried against another program that changes the same file."""


@typed_errors
class Files:
    """The files below a directory, for any number of threads and processes at once.

    A change that has returned is on the disk, and is a version with its author. What other programs did to a file is
    recorded before it is changed, so nothing is lost. Of files over `max_kept` bytes versions have a hash and no
    bytes: such a version cannot be shown or gone back to. Every method raises the ABI's errors.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        max_read: int = MAX_READ,
        max_entries: int = MAX_ENTRIES,
        max_kept: int = MAX_KEPT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = Root(root, max_read, max_entries)
        self.path = Path(root).absolute()
        self.author = USER
        self.sealed = NOTHING
        """What cannot be changed through this object; what a crash left half done is finished all the same."""
        self.on_change: Callable[[], None] = _nothing
        """Called after each change, in the thread that made it: what follows the truth catches up there."""
        self._clock = clock
        self._max_kept = max_kept
        try:
            self.version_store = VersionStore(self.path)
            self.blobs = Blobs(self.version_store.place)
            self._changes = Changes(self.root, self.version_store, self.blobs, max_kept)
            self._scanner = Scanner(self.root, self.version_store, self.blobs, max_kept)
            with self.version_store.told(), self.version_store.locked():
                self._changes.recover()
                keep.finish(self.version_store, self.blobs)
        except BaseException:
            self.root.close()
            raise

    def close(self) -> None:
        """Let go of the directory; nothing else may be called after."""
        self.version_store.close()
        self.root.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def by(self, author: Author) -> Self:
        """The same files, whose changes are this author's."""
        view = copy.copy(self)
        view.author = author
        return view

    def alike(self, path: str) -> str:
        """The path as it is, or was, written here, where only a canonically equivalent one is; itself otherwise."""
        if path.isascii() or not is_unicode(path) or self._was(path):
            return path
        found = self.root.alike(path)
        if self._was(found):
            return found
        paths = [each for (each,) in self.version_store.read().execute("SELECT DISTINCT path FROM version")]
        return only(path, paths) or found

    def _was(self, path: str) -> bool:
        """Whether a path is there, or has a history."""
        if self.root.there(path):
            return True
        return self.version_store.read().execute("SELECT 1 FROM version WHERE path = ?", (path,)).fetchone() is not None

    # --- what is there

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Up to `length` bytes from `offset`; None reads to the end."""
        path = self.root.alike(path)
        self._not_ours(path)
        return self.root.read(path, offset, length)

    def list(self, path: str = ".", recursive: bool = False) -> tuple[Entry, ...]:
        """The files and directories in a directory, or at any depth below it, by path."""
        return tuple(entry for entry in self.root.list(self.root.alike(path), recursive) if not _own(entry.path))

    def stat(self, path: str) -> Entry:
        """One path's kind, size and time."""
        return self.root.stat(self.root.alike(path))

    # --- changes

    def create(self, path: str, data: bytes = b"", kind: Kind = "file") -> Version | None:
        """Make a file, or an empty directory (which has no versions), that was not there."""
        path = self.root.alike(path)
        if kind == "directory":
            self._unsealed(path, directory=True)
            self.root.create(path, data, kind)
            return None
        return self.transaction([Put(path, data, if_version=0, op="create")])[0]

    def write(self, path: str, data: bytes, if_version: int | None = None) -> Version:
        """Replace a file's bytes whole, or make the file. Raises Conflict where it is not in version `if_version`."""
        return self.transaction([Put(self.root.alike(path), data, if_version)])[0]

    def append(self, path: str, data: bytes) -> Version:
        """Add bytes at a file's end, or make the file."""
        real = self._unsealed(self.root.alike(path))
        with self.version_store.locked():
            self._changes.recover()
            # Another program may append too: what was read has to be what is recorded.
            return retried(lambda: self._append(real, data), (Conflict, Exists), TRIES)

    def _append(self, real: str, data: bytes) -> Version:
        """Add to a file as it is now. Raises Conflict or Exists where another program was quicker."""
        head = self.head(real)
        number = self.by_seq(head.seq).number if head else 0
        try:
            with self.root.opened(real) as fd:
                before = _all(fd)
        except NotFound:
            before = b""
        return self.transaction([Put(real, before + data, if_version=number, op="append")])[0]

    def move(self, path: str, target: str) -> Version | None:
        """Rename a file, with its history, or a directory and all in it, to a target that is not there."""
        with self.version_store.locked():
            source = self._unsealed(self.root.alike(path), follow=False)
            mode = self.root.info(source).st_mode
            goal = self._unsealed(target, "target", follow=False, directory=stat.S_ISDIR(mode))
            if stat.S_ISREG(mode):
                return self.transaction([Rename(source, goal)])[-1]
            self._refuse_executed_below(source, goal)
            leases.refuse(self.version_store.read(), [source, goal], self.author, self._clock())
            self.scan([source])
            known = {f"{goal}{head.path.removeprefix(source)}" for head in self.heads(source)}
            known |= {str(each) for path in known for each in PurePosixPath(path).parents}
            ignore = self.ignore()
            self.root.move(source, goal)
            # Same inodes, same bytes: the scan sees files that moved, by whoever asked.
            self._scanner.scan(
                [source, goal],
                lambda path, directory: path not in known and ignore(path, directory),
                self._clock(),
                self.author,
            )
        self.on_change()
        return None

    def copy(self, path: str, target: str) -> Version:
        """Make a file with the bytes of another where there is none."""
        path = self.root.alike(path)
        self._not_ours(path)
        with self.root.opened(path) as fd:
            data = _all(fd)
        return self.transaction([Put(target, data, if_version=0, op="copy", source=self._real(path))])[0]

    def delete(self, path: str, if_version: int | None = None) -> Version | None:
        """Remove a file (its history stays), a symbolic link or an empty directory."""
        with self.version_store.locked():
            source = self._unsealed(self.root.alike(path), follow=False)
            if stat.S_ISREG(self.root.info(source).st_mode):
                return self.transaction([Drop(source, if_version)])[0]
            leases.refuse(self.version_store.read(), [source], self.author, self._clock())
            self.root.delete(source)
            return None

    def transaction(self, changes: Sequence[Change]) -> tuple[Version, ...]:
        """Make all changes or none, whatever happens meanwhile. Raises what the first that cannot be would raise."""
        if not changes:
            return ()
        with self.version_store.locked():
            self._changes.recover()
            # Here, for a file that is just being moved has two names.
            changes = [self._resolved(change) for change in changes]
            touched = [path for change in changes for path in paths(change)]
            leases.refuse(self.version_store.read(), touched, self.author, self._clock())
            versions = self._make(changes, touched)
        self.on_change()
        return versions

    def _make(self, changes: Sequence[Change], touched: Sequence[str]) -> tuple[Version, ...]:
        """Record what others did to these paths, and make the changes unless somebody was quicker: then once more."""
        try:
            return retried(lambda: self._make_once(changes, touched), (Overtaken,), TRIES)
        except Overtaken as error:
            raise Conflict(
                f"{error.path} is being changed by another program all the time; end that, or write elsewhere",
                field="path",
            ) from error

    def _make_once(self, changes: Sequence[Change], touched: Sequence[str]) -> tuple[Version, ...]:
        self._scanner.notice(touched, self._clock())
        return self._changes.make(changes, self.author, self._clock())

    # --- the past

    def history(self, path: str, limit: int | None = None) -> tuple[Version, ...]:
        """A file's versions, newest first, deleted or not. Raises NotFound for a path that never had one."""
        return rows.history(self.version_store.read(), self._real(self.alike(path)), limit)

    def version(self, path: str, at: At | None = None) -> Version:
        """The version at a point of a file's history; the last one for None."""
        if at is None:
            return self.history(path, 1)[0]
        return rows.at(self.version_store.read(), self._real(self.alike(path)), at)

    def show(self, path: str, at: At | None = None) -> bytes:
        """The bytes that a file had. Raises NotFound where it was deleted, or the bytes are not kept."""
        return self._bytes(self.version(path, at))

    def diff(self, path: str, a: At, b: At | None = None, context: int = 3) -> str:
        """What changed from one version to another, by default the last, as a unified diff; empty for nothing.

        Raises BadRequest where what changed is too much to be shown.
        """
        one, two = self.version(path, a), self.version(path, b)
        old, new = (b"" if each.deleted else self._bytes(each) for each in (one, two))
        names = [f"{each.path}@{each.number}" for each in (one, two)]
        if old == new:
            return ""
        if b"\0" in old[:8192] or b"\0" in new[:8192]:
            return f"Binary files {names[0]} ({len(old)} bytes) and {names[1]} ({len(new)} bytes) differ\n"
        then, now = (datetime.fromtimestamp(each.time).isoformat(" ", "seconds") for each in (one, two))
        return unified(old, new, (f"{names[0]}\t{then}", f"{names[1]}\t{now}"), context)

    def rollback(self, path: str, at: At) -> Version:
        """Give a file the bytes that it had, as a new version: exact, and can itself be taken back."""
        with self.version_store.locked():
            target = self.version(path, at)
            note = f"to version {target.number}"
            real = self._unsealed(self.alike(path))
            if target.deleted:
                return self.transaction([Drop(real, op="rollback", note=note)])[0]
            self.root.make_way(real)  # its directory may be gone too
            return self.transaction([Put(real, self._bytes(target), op="rollback", note=note)])[0]

    def undo(
        self,
        run: str | None = None,
        agent: str | None = None,
        dry_run: bool = False,
        sees: Callable[[str], bool] = lambda _: True,
    ) -> tuple[Undone, ...]:
        """Take back all that a run, an agent or an agent in a run did; what others changed since stays, and is told.

        Files of which `sees` says no are left alone.
        """
        if run is None and agent is None:
            raise BadRequest("say whose changes to undo: a run, an agent, or both", "run")
        with self.version_store.locked():
            self.scan()
            undone, changes = plan(self.version_store.read(), self._bytes, run, agent, sees)
            blocked = {change.path: why for change in changes if (why := self._in_the_way(change))}
            undone = tuple(
                Undone(each.path, kept=blocked[each.path]) if each.path in blocked else each for each in undone
            )
            changes = [change for change in changes if change.path not in blocked]
            if not dry_run and changes:
                for change in changes:
                    if isinstance(change, Put):
                        self.root.make_way(change.path)
                self.transaction(changes)
        return undone

    def tag(self, name: str, paths: Iterable[str] = (), sees: Callable[[str], bool] = lambda _: True) -> int:
        """Name the present versions of these files, or of all; returns how many. A tag's name can be used again.

        Files of which `sees` says no are left out.
        """
        if not name or not name.isprintable() or name.lstrip("-").isdigit():
            raise BadRequest(f"{name!r} cannot name a tag; take a word", "name")
        self.scan()
        below = [self._real(self.alike(path)) for path in paths] or ["."]
        wanted = [head for path in below for head in self.heads(path) if sees(head.path)]
        with self.version_store.locked(), self.version_store.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", [(name, head.seq) for head in wanted])
        return len(wanted)

    def untag(self, name: str, sees: Callable[[str], bool] = lambda _: True) -> int:
        """Forget a tag of the files that `sees` says yes of; returns how many versions had it. Raises NotFound."""
        with self.version_store.locked(), self.version_store.transaction() as connection:
            gone = [(name, seq) for tag, seq, path in self._tagged(connection) if tag == name and sees(path)]
            connection.executemany("DELETE FROM tag WHERE name = ? AND seq = ?", gone)
        if not gone:
            there = ", ".join(self.tags(sees)) or "none"
            raise NotFound(f"there is no tag {name}; there are: {there}", field="name")
        return len(gone)

    def tags(self, sees: Callable[[str], bool] = lambda _: True) -> dict[str, int]:
        """Each tag and how many versions have it, of files that `sees` says yes of."""
        return dict(Counter(name for name, _, path in self._tagged(self.version_store.read()) if sees(path)))

    # --- keeping

    def prune(self, retention: Retention) -> Pruned:
        """Forget old versions, but none that is a file's last, tagged, shared, or needed to undo a run."""
        with self.version_store.locked():
            self._changes.recover()
            self.root.sweep()
            return keep.prune(self.version_store, self.blobs, retention, self._clock())

    def gc(self) -> int:
        """Free what no version needs any more; returns bytes."""
        with self.version_store.locked():
            self._changes.recover()
            return self.root.sweep() + keep.gc(self.version_store, self.blobs)

    def purge(self, path: str, confirm: str) -> int:
        """Delete a file and all that it ever held here, for good; `confirm` is the path again. How many versions went.

        What it was under other names goes too. Bytes that another file has, or had, stay with that file.
        """
        real = self._real(self.alike(path), follow=False)
        if confirm != path:
            raise BadRequest(f"purging {path} cannot be taken back; confirm it with the path itself", "confirm")
        with self.version_store.locked():
            if self.head(real) is not None:
                self.transaction([Drop(real, note="purge")])
            elif not self.version_store.read().execute("SELECT 1 FROM version WHERE path = ?", (real,)).fetchone():
                raise NotFound(f"{path} has no history to purge", field="path")
            gone = keep.purge(self.version_store, self.blobs, real)
        self.on_change()
        return gone

    def fsck(self) -> fsck.CheckReport:
        """Read everything and say what is wrong."""
        with self.version_store.locked():
            self._changes.recover()
            return fsck.check(self.root, self.version_store, self.blobs, self._max_kept)

    # --- locks

    def lock(self, path: str, ttl_s: float, token: str | None = None) -> Lease:
        """Keep others from changing a path, or what is below it, for so long; with its token a lock is made longer."""
        real = self._real(self.alike(path))
        with self.version_store.locked(), self.version_store.transaction() as connection:
            return leases.acquire(connection, real, self.author, ttl_s, self._clock(), token)

    def unlock(self, token: str) -> str | None:
        """End a lock; the path that it was on, None for one that is over."""
        with self.version_store.locked(), self.version_store.transaction() as connection:
            return leases.release(connection, token, self._clock())

    # --- what others did, and what follows

    def scan(self, paths: Sequence[str] = (".",), skip: Skip | None = None) -> Scanned:
        """Record what other programs did at or below these paths.

        `skip` says which new files are none of ours, by default those that .gitignore and .aiosignore name.
        """
        scanned = self._scanner.scan([self._real(path) for path in paths], skip or self.ignore(), self._clock())
        if scanned.changed or scanned.removed or scanned.moved:
            self.on_change()
        return scanned

    def ignore(self) -> Ignore:
        """Which files are none of ours, as the ignore files say at present."""
        return Ignore(self._beginning)

    def heads(self, below: str = ".") -> builtins.list[Head]:
        """The recorded states of the files below a directory, or of one file."""
        return rows.heads(self.version_store.read(), below)

    def head(self, path: str) -> Head | None:
        """The recorded state of one file, None where there is none."""
        return rows.head(self.version_store.read(), path)

    def heads_of(self, paths: Sequence[str]) -> dict[str, Head]:
        """The recorded states of these files, without those that are not there."""
        return rows.heads_of(self.version_store.read(), paths)

    def made_by(self, author: Author) -> builtins.list[Version]:
        """The versions that one call of a process has made, in order; also those that a crash had left half made."""
        with self.version_store.locked():
            self._changes.recover()
            return rows.made_by(self.version_store.read(), author)

    def by_seq(self, seq: int) -> Version:
        """The version of this seq. Raises NotFound."""
        row = self.version_store.read().execute(f"SELECT {rows.COLUMNS} FROM version WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise NotFound(f"there is no version of seq {seq}; it was pruned", field="seq")
        return rows.version(row)

    def tagged(self, names: Sequence[str]) -> builtins.list[int]:
        """The seqs of the versions that have any of these tags."""
        marks = ", ".join("?" * len(names))
        return [
            seq for (seq,) in self.version_store.read().execute(f"SELECT seq FROM tag WHERE name IN ({marks})", names)
        ]

    def changes_since(self, seq: int, limit: int = 1000) -> builtins.list[Version]:
        """The versions after `seq`, in order."""
        records = self.version_store.read().execute(
            f"SELECT {rows.COLUMNS} FROM version WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        )
        return [rows.version(row) for row in records]

    def last_seq(self, ever: bool = False) -> int:
        """The seq of the last version, 0 for none; `ever` counts those that were pruned."""
        if ever:
            row = self.version_store.read().execute("SELECT seq FROM sqlite_sequence WHERE name = 'version'").fetchone()
            return int(row[0]) if row else 0
        return int(self.version_store.read().execute("SELECT coalesce(max(seq), 0) FROM version").fetchone()[0])

    def content(self, sha256: str) -> bytes:
        """Kept bytes by their SHA-256 in hex. Raises NotFound where they are not kept."""
        return self.blobs.get(self.version_store.read(), bytes.fromhex(sha256))

    # --- parts

    def _tagged(self, connection: sqlite3.Connection) -> builtins.list[tuple[str, int, str]]:
        sql = "SELECT name, tag.seq, path FROM tag JOIN version ON version.seq = tag.seq ORDER BY name"
        return connection.execute(sql).fetchall()

    def _beginning(self, path: str, most: int) -> bytes | None:
        try:
            return self.root.read(path, 0, most)
        except AiosError:
            return None

    def _real(self, path: str, field: str = "path", follow: bool = True) -> str:
        return self.root.real(path, field, follow=follow)

    def _unsealed(self, path: str, field: str = "path", follow: bool = True, directory: bool = False) -> str:
        """The real path of what is to be changed. Raises Denied where that is sealed, or the name that was given is."""
        named, real = "/".join(split(path, field)) or ".", self._real(path, field, follow)
        for each in {named, real}:
            self.sealed.refuse(each, field, directory)
        return real

    def _refuse_executed_below(self, source: str, goal: str) -> None:
        """Raises Denied where a directory that is to be moved holds what gets executed where it is, or would there."""

        def look(path: str, directory: bool) -> bool:
            self.sealed.refuse_executed(path, directory=directory)
            self.sealed.refuse_executed(f"{goal}{path.removeprefix(source)}", "target", directory)
            return False

        if self.sealed.executed is not None:
            for _ in self.root.walk(source, look):
                pass

    def _in_the_way(self, change: Change) -> str | None:
        """Why a file cannot go or come back: it is sealed, or another kind of thing has its name or its directory's."""
        if sealed := self.sealed.reason(change.path):
            return sealed
        if not isinstance(change, Put):
            return None
        for above in (change.path, *map(str, PurePosixPath(change.path).parents)):
            try:
                mode = self.root.info(above).st_mode
            except AiosError:
                continue
            wanted = stat.S_ISREG(mode) if above == change.path else stat.S_ISDIR(mode)
            if not wanted:
                return f"{above} is {'a directory' if stat.S_ISDIR(mode) else 'no directory'} now"
        return None

    def _not_ours(self, path: str) -> None:
        """Raises Denied for the files that versions and the index are kept in: all that is private is in there."""
        if _own(self.root.leads_to(path)):
            raise Denied(
                f"{path} belongs to the file system itself; ask for versions with history and show", field="path"
            )

    def _resolved(self, change: Change) -> Change:
        """The change of the files that its paths lead to. Raises Denied for what is read-only."""
        match change:
            case Put():
                return replace(change, path=self._changeable(change.path, follow=True))
            case Drop():
                return replace(change, path=self._changeable(change.path))
            case Rename():
                source = self._changeable(change.path)
                return replace(change, path=source, target=self._changeable(change.target, "target"))

    def _changeable(self, path: str, field: str = "path", follow: bool = False) -> str:
        self.root.real(path, field, change=True, follow=follow)
        return self._unsealed(path, field, follow)

    def _bytes(self, version: Version) -> bytes:
        if version.sha256 is None:
            raise NotFound(f"{version.path} was deleted in version {version.number}; ask for one before", field="at")
        try:
            return self.content(version.sha256)
        except NotFound:
            raise NotFound(
                f"the bytes of {version.path} in version {version.number} are not kept: {version.size} are too many, "
                "or they were pruned; history shows the others",
                field="at",
            ) from None


def _all(fd: int) -> bytes:
    data = bytearray()
    while piece := os.pread(fd, 1 << 20, len(data)):
        data += piece
    return bytes(data)


def _own(path: str) -> bool:
    return path == STORE_DIRECTORY or path.startswith(f"{STORE_DIRECTORY}/")


def _nothing() -> None: ...
