"""Family file: the files below the kernel's root. Paths are relative, `/`-separated, without `..`.

Every change of a file is a version of it, which can be gone back to: see `file_version`. Files are found by what
they mean and say: see `file_search`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from aios_syscalls.base import Effect, Frozen, Reply, Syscall
from aios_syscalls.file_search import SearchCall
from aios_syscalls.file_version import Point, VersionCall, WriteFileReply

__all__ = [
    "AppendFile",
    "CopyFile",
    "CreateFile",
    "DeleteFile",
    "FileCall",
    "FileInfo",
    "ListFiles",
    "ListFilesReply",
    "MoveFile",
    "ReadFile",
    "ReadFileReply",
    "StatFile",
    "StatFileReply",
    "WriteFile",
]


class FileInfo(Frozen):
    """A directory entry; size in bytes, modified in seconds since the epoch."""

    path: str
    kind: Literal["file", "directory"]
    size: int
    modified: float


class StatFileReply(Reply):
    """What is known of one path; `version` is the number of its last version, None where none was recorded."""

    info: FileInfo
    version: int | None = None


class ReadFileReply(Reply):
    """Bytes of a file."""

    path: str
    data: bytes
    version: int | None = None
    """Of which they are, where that is known: give it as `if_version` to change no other."""

    @property
    def text(self) -> str:
        """The bytes as UTF-8; a byte that is not becomes U+FFFD."""
        return self.data.decode("utf-8", "replace")


class ListFilesReply(Reply):
    """The entries below a directory, sorted by path."""

    entries: tuple[FileInfo, ...]


class CreateFile(Syscall[WriteFileReply]):
    """Make a new file or directory; `Exists` if the path is taken."""

    name: ClassVar[str] = "file.create"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    path: str
    data: bytes = b""
    kind: Literal["file", "directory"] = "file"


class ReadFile(Syscall[ReadFileReply]):
    """Read `length` bytes from `offset`; None reads to the end. With `at`, of what the file was then."""

    name: ClassVar[str] = "file.read"
    effect: ClassVar[Effect] = Effect.PURE
    path: str
    offset: int = Field(default=0, ge=0)
    length: int | None = Field(default=None, ge=0)
    at: Point | None = None


class WriteFile(Syscall[WriteFileReply]):
    """Replace a file's content whole, or make the file; readers see the old or the new bytes, never a mix.

    With `if_version` only where that is its version, 0 for a file that is not there; `Conflict` otherwise.
    """

    name: ClassVar[str] = "file.write"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    settles: ClassVar[bool] = True
    path: str
    data: bytes
    if_version: int | None = Field(default=None, ge=0)


class AppendFile(Syscall[WriteFileReply]):
    """Add bytes at a file's end, or make the file."""

    name: ClassVar[str] = "file.append"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    path: str
    data: bytes


class ListFiles(Syscall[ListFilesReply]):
    """List a directory, all levels of it when recursive."""

    name: ClassVar[str] = "file.list"
    effect: ClassVar[Effect] = Effect.PURE
    path: str = "."
    recursive: bool = False


class StatFile(Syscall[StatFileReply]):
    """Ask for one path's kind, size, time and version."""

    name: ClassVar[str] = "file.stat"
    effect: ClassVar[Effect] = Effect.PURE
    path: str


class MoveFile(Syscall[WriteFileReply]):
    """Rename within the root, history and all; `Exists` if the target is taken."""

    name: ClassVar[str] = "file.move"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    path: str
    target: str


class CopyFile(Syscall[WriteFileReply]):
    """Make a file with the bytes of another; `Exists` if the target is taken."""

    name: ClassVar[str] = "file.copy"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    path: str
    target: str


class DeleteFile(Syscall[WriteFileReply]):
    """Remove a file, whose versions stay, or an empty directory."""

    name: ClassVar[str] = "file.delete"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    path: str
    if_version: int | None = Field(default=None, ge=0)


BasicCall = CreateFile | ReadFile | WriteFile | AppendFile | ListFiles | StatFile | MoveFile | CopyFile | DeleteFile
FileCall = BasicCall | VersionCall | SearchCall
