"""What other programs changed behind our back: every such change becomes a version by `external`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aios_storage.disk.failpoint import reach
from aios_storage.disk.path import is_protected
from aios_storage.disk.root import Root
from aios_storage.versions import rows
from aios_storage.versions.blobs import Blobs
from aios_storage.versions.rows import FileStamp, Head
from aios_storage.versions.stable_read import steady
from aios_storage.versions.version import EXTERNAL, Author
from aios_storage.versions.version_store import VersionStore
from aios_syscalls.errors import AiosError, Denied, NotFound

Skip = Callable[[str, bool], bool]
"""Whether a path, a directory if so, is none of ours."""
Origin = tuple[int, bytes]
"""An inode and the SHA-256 of its bytes."""
BATCH, BATCH_BYTES = 200, 32 * 1024 * 1024
"""Files recorded in one transaction, and the bytes after which it takes no more: they are in memory till then."""
MAX_SCANNED_BYTES = 16 * 2**30
"""Bytes of a file above which it is not looked into: to hash so many takes half a minute, in which nobody can write."""


@dataclass(slots=True)
class Scanned:
    """What a scan found; `skipped` are files that are left out, and why."""

    changed: int = 0
    removed: int = 0
    moved: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def leave(self, path: str, why: str) -> None:
        """Note that a file is left out."""
        self.skipped.append((path, why.removeprefix(f"{path}: ")))


@dataclass(frozen=True, slots=True)
class Found:
    """A file whose bytes are not those of its head, or that has none."""

    path: str
    sha256: bytes
    data: bytes | None
    stamp: FileStamp
    head: Head | None


class Scanner:
    """Compares the disk with the heads, and records differences a batch at a time, so that writers need not wait."""

    def __init__(self, root: Root, version_store: VersionStore, blobs: Blobs, max_kept: int) -> None:
        self._root, self._version_store, self._blobs, self._max_kept = root, version_store, blobs, max_kept

    def scan(self, below: Sequence[str], skip: Skip, time: float, author: Author = EXTERNAL) -> Scanned:
        """Look at every file at or below these paths; what differs is this author's doing."""
        scanned = Scanned()
        heads = {head.path: head for path in below for head in rows.heads(self._version_store.read(), path)}
        changed: list[str] = []
        new: list[str] = []
        sizes: dict[str, int] = {}
        for path in below:
            walk = self._root.walk(path, lambda at, is_dir: is_protected(at) or skip(at, is_dir), scanned.leave)
            for name, info in walk:
                head = heads.pop(name, None)
                if info is None:
                    scanned.leave(name, "the directory cannot be read")
                    heads = {at: head for at, head in heads.items() if name != "." and not at.startswith(f"{name}/")}
                elif head is not None and head.sure and head.looks_like(info):
                    scanned.unchanged += 1
                else:
                    sizes[name] = info.st_size
                    (new if head is None else changed).append(name)
        # Those that were not met: gone, or ignored by now, or behind what cannot be read.
        gone = [head for head in heads.values() if not self._there(head.path)]
        changed += heads.keys() - {head.path for head in gone}
        origins = {(head.inode, head.sha256): head for head in gone}
        for names in _batches(changed + new, sizes):
            self._notice(names, origins, time, author, scanned)
        self._remove(gone, time, author, scanned)
        return scanned

    def notice(self, paths: Sequence[str], time: float) -> Scanned:
        """Look at these paths alone, which may name files that are not there.

        Raises Denied for a file that cannot be read: what is in it could not be kept.
        """
        scanned = Scanned()
        heads = [head for path in paths if (head := rows.head(self._version_store.read(), path))]
        self._notice(paths, {}, time, EXTERNAL, scanned)
        self._remove([head for head in heads if not self._there(head.path)], time, EXTERNAL, scanned)
        for path, why in scanned.skipped:
            if self._there(path):
                raise Denied(f"{path}: {why}; what it holds could not be kept, so it is not changed", field="path")
        return scanned

    def _notice(
        self, paths: Sequence[str], origins: Mapping[Origin, Head], time: float, author: Author, scanned: Scanned
    ) -> None:
        """Record files that differ from their heads; one that has the inode and bytes of a file gone was moved."""
        with self._version_store.locked():
            connection = self._version_store.read()
            found = [each for path in paths if (each := self._look(path, rows.head(connection, path), scanned))]
            if not found:
                return
            with self._version_store.transaction():
                for each in found:
                    origin = origins.get((each.stamp.inode, each.sha256)) if each.head is None else None
                    if origin is not None and origin == rows.head(connection, origin.path):
                        rows.move(connection, origin, each.path, each.stamp, author, time)
                        scanned.moved += 1
                        continue
                    if each.data is not None:
                        base = each.head.sha256 if each.head else None
                        self._blobs.put(connection, each.data, base, self._max_kept)
                    rows.record(connection, each.path, "external", each.sha256, each.stamp, author, time)
                    scanned.changed += 1
                reach("scanned")

    def _remove(self, gone: Sequence[Head], time: float, author: Author, scanned: Scanned) -> None:
        """Record that files are gone."""
        if not gone:
            return
        with self._version_store.locked():
            connection = self._version_store.read()
            left = [head for head in gone if head == rows.head(connection, head.path) and not self._there(head.path)]
            with self._version_store.transaction():
                for head in left:
                    rows.record(connection, head.path, "external", None, None, author, time, note="removed")
                scanned.removed += len(left)

    def _look(self, path: str, head: Head | None, scanned: Scanned) -> Found | None:
        """The file if it differs from its head; without reading it where that shows."""
        try:
            with self._root.opened(path) as fd:
                if head is not None and head.sure and head.looks_like(os.fstat(fd)):
                    scanned.unchanged += 1
                    return None
                if os.fstat(fd).st_size > MAX_SCANNED_BYTES:
                    scanned.leave(path, f"larger than {MAX_SCANNED_BYTES // 2**30} GiB")
                    return None
                sha256, data, stamp = steady(fd, self._max_kept)
        except NotFound:
            return None
        except AiosError as error:
            scanned.leave(path, error.message)
            return None
        if head is None or head.sha256 != sha256:
            return Found(path, sha256, data, stamp, head)
        scanned.unchanged += 1
        with self._version_store.transaction(durable=False) as connection:
            rows.restamp(connection, path, stamp)
        return None

    def _there(self, path: str) -> bool:
        return self._inode(path) is not None

    def _inode(self, path: str) -> int | None:
        """The inode of a regular file; None where there is none."""
        try:
            info = self._root.info(path)
        except AiosError:
            return None
        return info.st_ino if stat.S_ISREG(info.st_mode) else None


def _batches(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The names in order, few enough at a time."""
    batch: list[str] = []
    held = 0
    for name in names:
        if batch and (len(batch) == BATCH or held + sizes.get(name, 0) > BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(name)
        held += sizes.get(name, 0)
    if batch:
        yield batch
