"""Family file, its past: versions, differences, going back, taking back, tags, transactions, locks."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StrictInt, model_validator

from aios_syscalls.base import Effect, Frozen, Many, Reply, Syscall

__all__ = [
    "ChangeFiles",
    "ChangeFilesReply",
    "DiffFile",
    "DiffFileReply",
    "DropFile",
    "FileVersion",
    "ListTags",
    "ListTagsReply",
    "ListVersions",
    "ListVersionsReply",
    "LockFile",
    "LockFileReply",
    "Point",
    "PutFile",
    "RenameFile",
    "RollbackFile",
    "TagFiles",
    "UndoFiles",
    "UndoFilesReply",
    "UndoneFile",
    "UnlockFile",
    "UntagFiles",
    "WatchFiles",
    "WatchFilesReply",
    "WriteFileReply",
]


class Point(Frozen):
    """A point of a file's history: exactly one of a version's number, a time, or a tag."""

    number: StrictInt | None = None
    """-1 is the one before the last, and so on."""
    time: float | None = None
    """Seconds since the epoch: the last version at or before it."""
    tag: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.number, self.time, self.tag)) != 1:
            raise ValueError("a point is one of number, time or tag")
        return self


class FileVersion(Frozen):
    """One state of a file; time in seconds since the epoch, sha256 in hex, None where the file was deleted.

    `seq` counts all changes below the root, and alone says what came first.
    """

    path: str
    number: int
    seq: int
    op: str
    size: int
    time: float
    author: str
    run: str | None = None
    pid: int | None = None
    sha256: str | None = None
    source: str | None = None
    note: str = ""


class WriteFileReply(Reply):
    """A change that is on the disk; `version` is the number of the file's version, None for a directory."""

    path: str
    version: int | None = None


class ListVersionsReply(Reply):
    """A file's versions, newest first."""

    versions: tuple[FileVersion, ...]


class ListVersions(Syscall[ListVersionsReply]):
    """A file's versions, through the moves that brought it here; also of a file that was deleted."""

    name: ClassVar[str] = "file.history"
    effect: ClassVar[Effect] = Effect.PURE
    path: str
    limit: int | None = Field(default=None, ge=1)


class DiffFileReply(Reply):
    """A unified diff; empty where nothing differs."""

    text: str


class DiffFile(Syscall[DiffFileReply]):
    """What changed from one version of a file to another, by default to its last."""

    name: ClassVar[str] = "file.diff"
    effect: ClassVar[Effect] = Effect.PURE
    path: str
    a: Point
    b: Point | None = None


class RollbackFile(Syscall[WriteFileReply]):
    """Give a file the bytes that it had, as a new version, which can itself be taken back."""

    name: ClassVar[str] = "file.rollback"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    path: str
    to: Point


class UndoneFile(Frozen):
    """What undoing did to a file: it has the bytes of version `restored` again, or is gone, or stays: see `kept`."""

    path: str
    restored: int | None = None
    kept: str | None = None


class UndoFilesReply(Reply):
    """What was taken back, and what was not."""

    files: tuple[UndoneFile, ...]


class UndoFiles(Syscall[UndoFilesReply]):
    """Take back all that a run, an agent program, or both together, did; what others changed since stays."""

    name: ClassVar[str] = "file.undo"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    run: str | None = None
    agent: str | None = None
    dry_run: bool = False


class ListTagsReply(Reply):
    """Tags, and how many versions have each."""

    tags: dict[str, int]


class TagFiles(Syscall[ListTagsReply]):
    """Name the present versions of these files, or of all; replies with the one tag."""

    name: ClassVar[str] = "file.tag"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    tag: str
    paths: Many[str] = ()


class UntagFiles(Syscall[ListTagsReply]):
    """Forget a tag; replies with it and how many versions had it."""

    name: ClassVar[str] = "file.untag"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    tag: str


class ListTags(Syscall[ListTagsReply]):
    """Every tag."""

    name: ClassVar[str] = "file.tags"
    effect: ClassVar[Effect] = Effect.PURE


class PutFile(Frozen):
    """In a transaction: a file is to have these bytes."""

    do: Literal["put"] = "put"
    path: str
    data: bytes
    if_version: int | None = Field(default=None, ge=0)


class DropFile(Frozen):
    """In a transaction: a file is to go."""

    do: Literal["drop"] = "drop"
    path: str
    if_version: int | None = Field(default=None, ge=0)


class RenameFile(Frozen):
    """In a transaction: a file is to have another path."""

    do: Literal["rename"] = "rename"
    path: str
    target: str


class ChangeFilesReply(Reply):
    """The versions that a transaction made, in the order of its changes; a rename makes two."""

    versions: tuple[FileVersion, ...]


class ChangeFiles(Syscall[ChangeFilesReply]):
    """Make all of these changes or none, each path in one of them at most."""

    name: ClassVar[str] = "file.transaction"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    changes: Many[Annotated[PutFile | DropFile | RenameFile, Field(discriminator="do")]] = Field(min_length=1)


class LockFileReply(Reply):
    """A lock on a file or directory: while it lasts nobody else changes what is there."""

    path: str
    token: str
    until: float


class LockFile(Syscall[LockFileReply]):
    """Keep others from changing a file, or anything in a directory; with the token of a lock it is made longer.

    `Denied` while another has it; it ends by itself after `ttl_s` seconds.
    """

    name: ClassVar[str] = "file.lock"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    path: str
    ttl_s: float = Field(default=60.0, gt=0, le=86_400)
    token: str | None = None


class UnlockFile(Syscall[WriteFileReply]):
    """Let go of a lock."""

    name: ClassVar[str] = "file.unlock"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    token: str


class WatchFilesReply(Reply):
    """What happened after a seq, in order; `seq` is where to go on from."""

    versions: tuple[FileVersion, ...]
    seq: int


class WatchFiles(Syscall[WatchFilesReply]):
    """Wait for changes after `since` to what matches these globs, at most `timeout_s` seconds: then with none.

    Without `since` from now on.
    """

    name: ClassVar[str] = "file.watch"
    effect: ClassVar[Effect] = Effect.PURE
    paths: Many[str] = Field(default=(), max_length=256)
    since: int | None = Field(default=None, ge=0)
    timeout_s: float = Field(default=30.0, ge=0, le=3_600)


VersionCall = (
    ListVersions
    | DiffFile
    | RollbackFile
    | UndoFiles
    | TagFiles
    | UntagFiles
    | ListTags
    | ChangeFiles
    | LockFile
    | UnlockFile
    | WatchFiles
)
