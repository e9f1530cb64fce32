"""Family file: files below the kernel's root. Paths are relative, `/`-separated, without `..`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from aios_syscalls.base import Effect, Frozen, Reply, Syscall


class FileInfo(Frozen):
    """A directory entry; size in bytes, modified in seconds since the epoch."""

    path: str
    kind: Literal["file", "directory"]
    size: int
    modified: float


class FileStat(Reply):
    """What is known of one path."""

    info: FileInfo


class FileContent(Reply):
    """Bytes of a file."""

    path: str
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as UTF-8; a byte that is not becomes U+FFFD."""
        return self.data.decode("utf-8", "replace")


class FileListing(Reply):
    """The entries below a directory, sorted by path."""

    entries: tuple[FileInfo, ...]


class FileDone(Reply):
    """A change that is on the disk."""

    path: str


class CreateFile(Syscall[FileDone]):
    """Make a new file or directory; `Exists` if the path is taken."""

    name: ClassVar[str] = "file.create"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    path: str
    data: bytes = b""
    kind: Literal["file", "directory"] = "file"


class ReadFile(Syscall[FileContent]):
    """Read `length` bytes from `offset`; None reads to the end."""

    name: ClassVar[str] = "file.read"
    effect: ClassVar[Effect] = Effect.PURE
    path: str
    offset: int = Field(default=0, ge=0)
    length: int | None = Field(default=None, ge=0)


class WriteFile(Syscall[FileDone]):
    """Replace a file's content whole, or make the file; readers see the old or the new bytes, never a mix."""

    name: ClassVar[str] = "file.write"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    path: str
    data: bytes


class AppendFile(Syscall[FileDone]):
    """Add bytes at a file's end, or make the file."""

    name: ClassVar[str] = "file.append"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    path: str
    data: bytes


class ListFiles(Syscall[FileListing]):
    """List a directory, all levels of it when recursive."""

    name: ClassVar[str] = "file.list"
    effect: ClassVar[Effect] = Effect.PURE
    path: str = "."
    recursive: bool = False


class StatFile(Syscall[FileStat]):
    """Ask for one path's kind, size and time."""

    name: ClassVar[str] = "file.stat"
    effect: ClassVar[Effect] = Effect.PURE
    path: str


class MoveFile(Syscall[FileDone]):
    """Rename within the root; `Exists` if the target is taken."""

    name: ClassVar[str] = "file.move"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    path: str
    target: str


class DeleteFile(Syscall[FileDone]):
    """Remove a file or an empty directory."""

    name: ClassVar[str] = "file.delete"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    path: str


FileCall = CreateFile | ReadFile | WriteFile | AppendFile | ListFiles | StatFile | MoveFile | DeleteFile
