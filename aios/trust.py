"""The record of which directories' `aios.toml` the user trusts: by its path and by what it said then.

A file for each trusted path, in a directory of the user's alone, replaced whole. Whatever is odd about such a record,
or about who may write what it is of, means that nothing is trusted: then the user is asked again.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from aios.private import private_directory, sync_directory
from aios.regular import RegularFile, read_regular
from aios_syscalls.errors import AiosError, Denied, StorageFailed


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """What was trusted: a file's path and SHA-256, and those of the tools that it names."""

    path: str
    sha256: str
    tools: Mapping[str, str]


class TrustStore:
    """The records below `<state>/trusted`; for one user, whoever else can become that user."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._place = state / "trusted"

    def record_of(self, path: Path) -> TrustRecord | None:
        """The record of a path; None where there is none that can be believed."""
        return self._read(self._file(path))

    def records(self) -> Iterator[TrustRecord]:
        """All of them, by path."""
        with suppress(FileNotFoundError):
            found = [self._read(file) for file in self._place.glob("*.json")]
            yield from sorted((each for each in found if each is not None), key=lambda each: each.path)

    def trust(self, record: TrustRecord) -> None:
        """Keep a record, durably, instead of the path's last one. Raises StorageFailed."""
        try:
            place = private_directory(self._place, self._state)
            with tempfile.NamedTemporaryFile("w", dir=place, delete=False, encoding="utf-8") as file:  # mode 0600
                try:
                    json.dump(asdict(record), file)
                    file.flush()
                    os.fsync(file.fileno())
                    os.rename(file.name, self._file(Path(record.path)))
                except BaseException:
                    os.unlink(file.name)
                    raise
            sync_directory(place)
        except OSError as error:
            raise StorageFailed(
                f"what you trust cannot be kept in {self._place}: {error.strerror}; make it writable, or set AIOS_HOME"
            ) from error

    def forget(self, path: Path) -> bool:
        """Whether there was a record of this path; there is none any more, durably. Raises StorageFailed."""
        try:
            os.unlink(self._file(path))
            sync_directory(self._place)  # a power cut must not bring back what the user trusts no longer
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageFailed(f"{self._file(path)} cannot be removed: {error.strerror}; remove it") from error
        return True

    def _file(self, path: Path) -> Path:
        return self._place / f"{hashlib.sha256(os.fsencode(path)).hexdigest()}.json"

    def _read(self, file: Path) -> TrustRecord | None:
        try:
            found = read_regular(file, follow=False)
            said = json.loads(found.data)
            record = TrustRecord(str(said["path"]), str(said["sha256"]), dict(said["tools"]))
        except (AiosError, ValueError, KeyError, TypeError, RecursionError):
            return None
        mine = found.info.st_uid == os.geteuid() and not found.info.st_mode & 0o022
        return record if mine and self._file(Path(record.path)) == file else None


def check_writers(found: RegularFile) -> None:
    """Raises Denied where somebody else could have written a file, or can replace it."""
    directory = os.stat(found.path.parent)
    for path, info in ((found.path, found.info), (found.path.parent, directory)):
        sticky = path != found.path and info.st_mode & 0o1000  # then only its owner replaces a file
        if info.st_uid not in (0, os.geteuid()):
            owner = _user(info.st_uid)
            raise Denied(f"{path} belongs to {owner}, and is not yours to trust; copy it, and trust the copy")
        if not sticky and (info.st_mode & 0o002 or (info.st_mode & 0o020 and not _own_group(info))):
            raise Denied(f"{path} can be written by others; take that from them first: chmod go-w {path}")


def _own_group(info: os.stat_result) -> bool:
    """Whether the file's group is the one that its owner has for himself, as many systems give each user."""
    try:
        group, user = grp.getgrgid(info.st_gid), pwd.getpwuid(info.st_uid)
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and set(group.gr_mem) <= {user.pw_name} and group.gr_name == user.pw_name


def _user(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
