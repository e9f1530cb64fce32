"""Files confined to one directory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Self, cast

from aios_storage.disk import beneath, directory
from aios_storage.disk.alike import as_written
from aios_storage.disk.directory import Entry, Kind
from aios_storage.disk.errors import faults
from aios_storage.disk.path import TEMPORARY, Parts, is_unicode, refuse_protected, split
from aios_syscalls.errors import BadRequest, CallerError, Exists, NotFound

MAX_READ = 16 * 1024 * 1024
MAX_ENTRIES = 10_000
NO_UNICODE = "the name is not UTF-8; rename it"
LINK = "a symbolic link, which is not followed"
SPECIAL = "a socket, FIFO or device"


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that waits under another name; `info` is what it will have as its own."""

    parent: int
    temporary: str
    name: str
    path: str
    info: os.stat_result

    @property
    def temporary_path(self) -> str:
        """Where it waits, below the root."""
        return os.path.join(os.path.dirname(self.path), self.temporary)

    def place(self) -> None:
        """Make it the file, durably, instead of what was there."""
        with faults(self.path):
            os.rename(self.temporary, self.name, src_dir_fd=self.parent, dst_dir_fd=self.parent)
            os.fsync(self.parent)


def _exists(parent: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    return True


def _spelled(path: str) -> str:
    """A path that is not UTF-8, as text that is."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Root:
    """The files below a directory and no others, for any number of threads at once.

    A change that has returned is on the disk. Every method raises the ABI's errors: BadRequest, NotFound, Exists
    or Denied for what the caller asked, StorageFailed for the disk.
    """

    def __init__(self, path: str | os.PathLike[str], max_read: int = MAX_READ, max_entries: int = MAX_ENTRIES) -> None:
        with faults(os.fspath(path)):
            self._fd = os.open(path, beneath.DIRECTORY)
        self._openat2 = beneath.openat2_supported(self._fd)
        self._max_read = max_read
        self._max_entries = max_entries

    def close(self) -> None:
        """Let go of the directory; nothing else may be called after."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(self, path: str, data: bytes = b"", kind: Kind = "file") -> None:
        """Make a file, or an empty directory, that was not there."""
        if kind == "directory" and data:
            raise BadRequest(f"{path} is to be a directory, which holds no bytes; leave data empty", "data")
        with self._at(path, change=True) as (parent, name):
            if kind == "directory":
                os.mkdir(name, dir_fd=parent)
            else:
                with directory.temporary(parent, data) as temporary:
                    beneath.rename_new(parent, temporary, parent, name)
            os.fsync(parent)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Up to `length` bytes from `offset`; None reads to the end."""
        for field, number in (("offset", offset), ("length", length)):
            if number is not None and number < 0:
                raise BadRequest(f"{field} is {number}, but counts bytes from 0", field)
        with self._at(path) as (parent, name), directory.opened(parent, name, os.O_RDONLY, path) as fd:
            size = os.fstat(fd).st_size
            rest = max(size - offset, 0)
            wanted = rest if length is None else min(length, rest)
            if wanted > self._max_read:
                advice = f"{self._max_read} are read at most; ask for parts with offset and length"
                raise BadRequest(f"{path} has {size} bytes, and {wanted} of them are too many: {advice}", "length")
            return directory.read(fd, offset, wanted)

    def write(self, path: str, data: bytes) -> None:
        """Replace a file's bytes whole, or make the file; a reader or a power cut finds the old or the new."""
        with self.staged(path, data) as staged:
            staged.place()

    def adopt(self, temporary: str, path: str) -> None:
        """Make a file that waits under another name, or any other, the one at `path`, whatever is there.

        Raises Denied where either is protected, but for the names of files that wait.
        """
        refuse_protected(split(path))
        *above, name = split(temporary)
        refuse_protected((*above, name.removeprefix(TEMPORARY)), "temporary")
        with faults(path), self._opened(split(path)[:-1]) as parent, self._opened(split(temporary)[:-1]) as source:
            os.rename(split(temporary)[-1], split(path)[-1], src_dir_fd=source, dst_dir_fd=parent)
            os.fsync(parent)

    def make_way(self, path: str) -> None:
        """Make the directories that lead to `path`."""
        parts = split(path)
        for depth in range(1, len(parts)):
            with suppress(Exists):
                self.create("/".join(parts[:depth]), kind="directory")

    def append(self, path: str, data: bytes) -> None:
        """Add bytes at a file's end, or make the file."""
        with self._at(path, change=True) as (parent, name):
            with suppress(FileNotFoundError):
                return directory.append(parent, name, data, path)
            try:
                with directory.temporary(parent, data) as temporary:
                    beneath.rename_new(parent, temporary, parent, name)
            except FileExistsError:  # another thread has just made it
                return directory.append(parent, name, data, path)
            os.fsync(parent)

    def list(self, path: str = ".", recursive: bool = False) -> tuple[Entry, ...]:
        """The files and directories in a directory, or at any depth below it, by path.

        Left out are sockets, FIFOs and devices, links that cannot be followed, and names that are not UTF-8.
        """
        shown = split(path)
        entries: dict[str, Entry] = {}
        with faults(path):
            pending = [(self._real(shown), shown)]
            while pending:
                # Below the top a directory may vanish before its turn: then it is as if it had never been there.
                gone = (FileNotFoundError,) if entries else ()
                with suppress(*gone), closing(self._scan(*pending.pop())) as found:
                    for entry, below in found:
                        entries[entry.path] = entry
                        if len(entries) > self._max_entries:
                            raise BadRequest(f"{path} has over {self._max_entries} entries; list a part of it", "path")
                        if recursive and below:
                            pending.append(below)
        return tuple(entries[name] for name in sorted(entries))

    def walk(
        self, path: str, skip: Callable[[str, bool], bool], left: Callable[[str, str], None] | None = None
    ) -> Iterator[tuple[str, os.stat_result | None]]:
        """Every regular file at or below `path`, and how it looks; None for a directory that cannot be read.

        Links are not followed; what `skip(path, is_directory)` says true of is left out. Of what else is left out
        `left(path, why)` is told. What vanishes meanwhile is as if it had never been there.
        """
        with suppress(FileNotFoundError, NotADirectoryError, NotFound):
            info = self.info(path)
            if stat.S_ISREG(info.st_mode):
                yield path, info
            if not stat.S_ISDIR(info.st_mode):
                return
        tell = left or (lambda *_: None)
        pending = [split(path)]
        while pending:
            here = pending.pop()
            found = []
            try:
                with self._opened(here) as fd, os.scandir(fd) as items:
                    for item in items:
                        if item.name.startswith(TEMPORARY):
                            continue
                        if not is_unicode(item.name):
                            tell(_spelled("/".join((*here, item.name))), NO_UNICODE)
                            continue
                        name, below = "/".join((*here, item.name)), item.is_dir(follow_symlinks=False)
                        if skip(name, below):
                            continue
                        if below:
                            pending.append((*here, item.name))
                        elif item.is_file(follow_symlinks=False):
                            with suppress(FileNotFoundError):
                                found.append((name, item.stat(follow_symlinks=False)))
                        else:
                            tell(name, LINK if item.is_symlink() else SPECIAL)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError:
                yield "/".join(here) or ".", None
            yield from found

    def sweep(self) -> int:
        """Remove the half-written files that crashes left; returns their bytes. Nobody may be writing meanwhile."""
        freed, pending = 0, [cast(Parts, ())]
        while pending:
            here = pending.pop()
            # What is gone or cannot be read holds nothing that can be removed.
            with suppress(OSError), self._opened(here) as fd, os.scandir(fd) as items:
                for item in items:
                    if item.is_dir(follow_symlinks=False):
                        if is_unicode(item.name) and (here or item.name != ".aios"):
                            pending.append((*here, item.name))
                    elif item.name.startswith(TEMPORARY) and item.is_file(follow_symlinks=False):
                        size = item.stat(follow_symlinks=False).st_size
                        os.unlink(item.name, dir_fd=fd)
                        freed += size
        return freed

    def stat(self, path: str) -> Entry:
        """One path's kind, size and time."""
        with self._at(path) as (parent, name):
            return directory.entry(os.lstat(name, dir_fd=parent), "/".join(split(path)) or ".")

    def move(self, path: str, target: str) -> None:
        """Rename a file, directory or symbolic link to a target that is not there."""
        with self._at(path, change=True, follow=False) as (parent, name):
            directory.kind(os.lstat(name, dir_fd=parent), path, links=True)
            with self._at(target, "target", change=True, follow=False) as (target_parent, target_name):
                beneath.rename_new(parent, name, target_parent, target_name)
                os.fsync(target_parent)
            os.fsync(parent)

    def delete(self, path: str) -> None:
        """Remove a file, a symbolic link (never what it leads to) or an empty directory."""
        with self._at(path, change=True, follow=False) as (parent, name):
            if directory.kind(os.lstat(name, dir_fd=parent), path, links=True) == "file":
                os.unlink(name, dir_fd=parent)
            else:
                directory.remove(parent, name)
            os.fsync(parent)

    def real(self, path: str, field: str = "path", change: bool = False, follow: bool = True) -> str:
        """The one path that stands for what `path` leads to, its links followed. Raises as a change would."""
        with faults(path, field):
            parts = self._real(split(path, field), follow)
        if change:
            refuse_protected(parts, field)
        return "/".join(parts) or "."

    def leads_to(self, path: str) -> str:
        """As `real`, and the path itself where there is nothing yet, or where it cannot be followed."""
        try:
            return self.real(path)
        except CallerError:
            return path

    def alike(self, path: str) -> str:
        """The path as it is written on the disk, where a canonically equivalent one is there and it is not."""
        return path if path.isascii() else as_written(path, self.there, self._names)

    def there(self, path: str) -> bool:
        """Whether anything is at a path, be it a link."""
        try:
            self.info(path)
        except CallerError:
            return False
        return True

    def _names(self, path: str) -> Sequence[str]:
        try:
            with self._opened(self._real(split(path))) as fd:
                return os.listdir(fd)
        except (OSError, CallerError):
            return ()

    @contextmanager
    def staged(self, path: str, data: bytes, new: bool = False) -> Iterator[Staged]:
        """Bytes that are on the disk, and become the file at `path` by one rename when they are placed.

        With `new` the file may not be there yet.
        """
        with self._at(path, change=True) as (parent, name):
            mode = None if new else directory.mode_to_replace(parent, name, path)
            if new and _exists(parent, name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            with directory.temporary(parent, data, mode) as temporary:
                yield Staged(parent, temporary, name, path, os.stat(temporary, dir_fd=parent))

    def expect_free(self, path: str, field: str = "path") -> None:
        """Raises Exists where something is at `path`, NotFound where its directory is not there."""
        with self._at(path, field, change=True, follow=False) as (parent, name):
            if _exists(parent, name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A descriptor of the file at `path`, to read."""
        with self._at(path) as (parent, name), directory.opened(parent, name, os.O_RDONLY, path) as fd:
            yield fd

    def info(self, path: str) -> os.stat_result:
        """What the operating system says of `path` itself, were it a link."""
        with self._at(path, follow=False) as (parent, name):
            return os.lstat(name, dir_fd=parent)

    @contextmanager
    def _at(
        self, path: str, field: str = "path", change: bool = False, follow: bool = True
    ) -> Iterator[tuple[int, str]]:
        """The open directory that holds what `path` leads to, and its name in there.

        `change` refuses what is read-only, `follow` follows a symbolic link at the very end too.
        """
        with faults(path, field):
            parts = self._real(split(path, field), follow)
            if change:
                refuse_protected(parts, field)
            with self._opened(parts[:-1]) as parent:
                yield parent, parts[-1] if parts else "."

    def _real(self, parts: Parts, follow: bool = True) -> Parts:
        """`parts` with its symbolic links followed as far as it exists; none is where there is no openat2.

        The answer may be stale at once: what it names is then opened without following any link.
        """
        if not self._openat2 or not parts:
            return parts
        if follow:
            with suppress(FileNotFoundError):
                return beneath.real(self._fd, parts)
        return (*self._real(parts[:-1]), parts[-1])

    @contextmanager
    def _opened(self, parts: Parts) -> Iterator[int]:
        if self._openat2:
            fd = beneath.openat2(self._fd, parts, beneath.DIRECTORY, beneath.RESOLVE_NO_SYMLINKS)
        else:
            fd = beneath.walk(self._fd, parts)
        try:
            yield fd
        finally:
            os.close(fd)

    def _scan(self, real: Parts, shown: Parts) -> Generator[tuple[Entry, tuple[Parts, Parts] | None]]:
        """The entries of one directory, each with where to look for more when it is a directory itself."""
        with self._opened(real) as fd, os.scandir(fd) as found:
            for item in found:
                if is_unicode(item.name) and not item.name.startswith(TEMPORARY):
                    entry = self._entry(item, "/".join((*shown, item.name)))
                    deeper = entry and entry.kind == "directory" and not item.is_symlink()
                    if entry:
                        yield entry, ((*real, item.name), (*shown, item.name)) if deeper else None

    def _entry(self, item: os.DirEntry[str], path: str) -> Entry | None:
        with suppress(CallerError, FileNotFoundError):
            return self.stat(path) if item.is_symlink() else directory.entry(item.stat(follow_symlinks=False), path)
        return None
