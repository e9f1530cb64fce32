"""The file family, as methods of whoever has a port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio

from aios.sdk.versions import At, point
from aios.sdk.watch import FileWatch
from aios_syscalls import (
    AppendFile,
    BadRequest,
    ChangeFiles,
    CopyFile,
    CreateFile,
    DeleteFile,
    DeleteMatching,
    DiffFile,
    DropFile,
    FileHit,
    FileInfo,
    FileQuery,
    FileVersion,
    FollowLink,
    GetFilesStatus,
    GetFilesStatusReply,
    GroupFiles,
    JoinFiles,
    LinkFiles,
    ListFiles,
    ListLinks,
    ListTags,
    ListVersions,
    LockFile,
    LockFileReply,
    MoveFile,
    PutFile,
    ReadFile,
    RenameFile,
    RollbackFile,
    SavedQuery,
    SearchFiles,
    ShareFile,
    ShareFileReply,
    StatFile,
    TagFiles,
    UndoFiles,
    UndoneFile,
    UnlinkFiles,
    UnlockFile,
    UnshareFile,
    UntagFiles,
    UpdateMatching,
    UpdateMatchingReply,
    WriteFile,
)
from aios_syscalls.port import Port


class FileCalls:
    """A process's files; every method raises the ABI's errors."""

    def __init__(self, port: Port) -> None:
        self.port = port

    async def read(self, path: str) -> str:
        """A file's text; bytes that are not UTF-8 become U+FFFD."""
        return (await self.port.submit(ReadFile(path=path))).text

    async def read_bytes(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """A file's bytes, or a part of them."""
        return (await self.port.submit(ReadFile(path=path, offset=offset, length=length))).data

    async def write(self, path: str, content: str | bytes, *, if_version: int | None = None) -> int | None:
        """Replace or make a file, whole; the number of its new version.

        Raises Conflict where it is not in version `if_version`, 0 for a file that is not there.
        """
        return (await self.port.submit(WriteFile(path=path, data=_bytes(content), if_version=if_version))).version

    async def append(self, path: str, content: str | bytes) -> int | None:
        """Add to a file's end, or make it; the number of its new version."""
        return (await self.port.submit(AppendFile(path=path, data=_bytes(content)))).version

    async def create(self, path: str, content: str | bytes = b"") -> int | None:
        """Make a file that must not exist yet; the number of its version."""
        return (await self.port.submit(CreateFile(path=path, data=_bytes(content)))).version

    async def mkdir(self, path: str) -> None:
        """Make a directory that must not exist yet."""
        await self.port.submit(CreateFile(path=path, kind="directory"))

    async def list(self, path: str = ".", *, recursive: bool = False) -> tuple[FileInfo, ...]:
        """The entries of a directory, sorted by path."""
        return (await self.port.submit(ListFiles(path=path, recursive=recursive))).entries

    async def stat(self, path: str) -> FileInfo:
        """A path's kind, size and time."""
        return (await self.port.submit(StatFile(path=path))).info

    async def version(self, path: str) -> int | None:
        """The number of the version that a file is in, for `if_version`; None where another program changed it."""
        return (await self.port.submit(StatFile(path=path))).version

    async def move(self, path: str, target: str) -> None:
        """Rename, history and all; the target must be free."""
        await self.port.submit(MoveFile(path=path, target=target))

    async def copy(self, path: str, target: str) -> None:
        """Make a file with another's bytes; the target must be free."""
        await self.port.submit(CopyFile(path=path, target=target))

    async def delete(self, path: str, *, if_version: int | None = None) -> None:
        """Remove a file, whose versions stay, or an empty directory."""
        await self.port.submit(DeleteFile(path=path, if_version=if_version))

    async def change(self, *changes: PutFile | DropFile | RenameFile) -> tuple[FileVersion, ...]:
        """Make all of these changes or none; the versions that come of them."""
        return (await self.port.submit(ChangeFiles(changes=changes))).versions

    # -- their past

    async def history(self, path: str, limit: int | None = None) -> tuple[FileVersion, ...]:
        """A file's versions, newest first, deleted or not."""
        return (await self.port.submit(ListVersions(path=path, limit=limit))).versions

    async def read_at(self, path: str, at: At) -> bytes:
        """The bytes that a file had."""
        return (await self.port.submit(ReadFile(path=path, at=point(at)))).data

    async def diff(self, path: str, a: At, b: At | None = None) -> str:
        """What changed from one version to another, by default the last: a unified diff."""
        call = DiffFile(path=path, a=point(a), b=None if b is None else point(b))
        return (await self.port.submit(call)).text

    async def rollback(self, path: str, to: At) -> int | None:
        """Give a file the bytes that it had, as a new version, whose number this is."""
        return (await self.port.submit(RollbackFile(path=path, to=point(to)))).version

    async def undo(
        self, *, run: str | None = None, agent: str | None = None, dry_run: bool = False
    ) -> tuple[UndoneFile, ...]:
        """Take back all that a run or an agent did; what others changed since stays, and is told."""
        return (await self.port.submit(UndoFiles(run=run, agent=agent, dry_run=dry_run))).files

    async def tag(self, tag: str, *paths: str) -> int:
        """Name the present versions of these files, or of all; how many they are."""
        return (await self.port.submit(TagFiles(tag=tag, paths=paths))).tags[tag]

    async def untag(self, tag: str) -> int:
        """Forget a tag; how many versions had it."""
        return (await self.port.submit(UntagFiles(tag=tag))).tags[tag]

    async def tags(self) -> dict[str, int]:
        """Each tag and how many versions have it."""
        return (await self.port.submit(ListTags())).tags

    @asynccontextmanager
    async def lock(self, path: str, ttl_s: float = 60.0) -> AsyncIterator[LockFileReply]:
        """Nobody else changes a path, or what is below it, for the block; Denied while another has it.

        It ends by itself after `ttl_s`, however long the block takes.
        """
        lease = await self.port.submit(LockFile(path=path, ttl_s=ttl_s))
        try:
            yield lease
        finally:
            with anyio.CancelScope(shield=True):
                await self.port.submit(UnlockFile(token=lease.token))

    def watch(self, *paths: str, since: int | None = None) -> FileWatch:
        """Every change to what matches these globs, by anybody, as it happens; after the seq `since`, or from now."""
        return FileWatch(self.port, paths, since)

    # -- what they mean

    async def search(self, text: str, *, context: int = 0, **conditions: Any) -> tuple[FileHit, ...]:
        """The files that mean or say it, best first; conditions are those of FileQuery, such as `limit=3`."""
        call = SearchFiles(query=FileQuery(text=text, **conditions), context=context)
        return (await self.port.submit(call)).hits

    async def group(self, by: str = "topic", text: str = "", **conditions: Any) -> dict[str, tuple[str, ...]]:
        """Paths in groups: by topic, author, type, month, directory, or what files' heads state: `field:year`."""
        conditions = {"limit": 1_000, **conditions}
        groups = (await self.port.submit(GroupFiles(query=FileQuery(text=text, **conditions), by=by))).groups
        return {group.name: group.paths for group in groups}

    async def join(self, *queries: FileQuery, how: Literal["all", "any", "minus"] = "all") -> tuple[str, ...]:
        """The paths of all of these queries, of any of them, or of the first without the others'."""
        return (await self.port.submit(JoinFiles(queries=queries, how=how))).paths

    async def link(self, link: str, text: str = "", **conditions: Any) -> None:
        """Keep a query under a name, as a folder of whatever matches it."""
        await self.port.submit(LinkFiles(link=link, query=FileQuery(text=text, **conditions)))

    async def follow(self, link: str) -> tuple[FileHit, ...]:
        """What matches a saved query now."""
        return (await self.port.submit(FollowLink(link=link))).hits

    async def unlink(self, link: str) -> None:
        """Forget a saved query."""
        await self.port.submit(UnlinkFiles(link=link))

    async def share(self, path: str, ttl_s: float = 3_600.0, at: At | None = None) -> ShareFileReply:
        """Where one version of a file can be fetched on this machine for a time."""
        return await self.port.submit(ShareFile(path=path, ttl_s=ttl_s, at=None if at is None else point(at)))

    async def unshare(self, token: str) -> None:
        """End a share before its time."""
        await self.port.submit(UnshareFile(token=token))

    async def links(self) -> tuple[SavedQuery, ...]:
        """Every saved query, by name."""
        return (await self.port.submit(ListLinks())).links

    async def delete_matching(self, query: FileQuery, token: str | None = None) -> UpdateMatchingReply:
        """Delete all that a query finds, in two steps.

        The first lists it and deletes nothing; the second, with the token of the first, deletes just that, and raises
        Conflict where any of it has changed since.
        """
        return await self.port.submit(DeleteMatching(query=query, token=token))

    async def update_matching(
        self, query: FileQuery, find: str, replace: str, token: str | None = None
    ) -> UpdateMatchingReply:
        """Replace a text in all files that a query finds, in the two steps of `delete_matching`."""
        return await self.port.submit(UpdateMatching(query=query, find=find, replace=replace, token=token))

    async def files_status(self) -> GetFilesStatusReply:
        """How many files there are, and how many of them cannot be found by meaning yet."""
        return await self.port.submit(GetFilesStatus())


def _bytes(content: str | bytes) -> bytes:
    try:
        return content.encode() if isinstance(content, str) else content
    except UnicodeEncodeError as error:
        raise BadRequest(
            f"content is not Unicode text: half a surrogate pair at {error.start}; encode it yourself, write bytes",
            "content",
        ) from None
