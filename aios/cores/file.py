"""The file family on a directory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar, assert_never, cast

from anyio import CapacityLimiter, to_thread

from aios.kernel.core import Turn
from aios_storage import Entry, Root
from aios_syscalls import (
    AppendFile,
    CreateFile,
    DeleteFile,
    FileCall,
    FileContent,
    FileDone,
    FileInfo,
    FileListing,
    FileStat,
    ListFiles,
    MoveFile,
    ReadFile,
    Reply,
    StatFile,
    WriteFile,
)

P = ParamSpec("P")
T = TypeVar("T")


class FileCore:
    """Serves the files below a root from worker threads of its own, so that a slow disk delays no other core."""

    def __init__(self, root: Root, threads: int = 8) -> None:
        self._root = root
        self._limiter = CapacityLimiter(threads)

    async def run(self, turn: Turn) -> Reply:
        root, do = self._root, self._in_thread
        match cast(FileCall, turn.call):
            case CreateFile(path=path, data=data, kind=kind):
                await do(root.create, path, data, kind)
                return FileDone(path=path)
            case ReadFile(path=path, offset=offset, length=length):
                return FileContent(path=path, data=await do(root.read, path, offset, length))
            case WriteFile(path=path, data=data):
                await do(root.write, path, data)
                return FileDone(path=path)
            case AppendFile(path=path, data=data):
                await do(root.append, path, data)
                return FileDone(path=path)
            case ListFiles(path=path, recursive=recursive):
                return FileListing(entries=tuple(map(_info, await do(root.list, path, recursive))))
            case StatFile(path=path):
                return FileStat(info=_info(await do(root.stat, path)))
            case MoveFile(path=path, target=target):
                await do(root.move, path, target)
                return FileDone(path=target)
            case DeleteFile(path=path):
                await do(root.delete, path)
                return FileDone(path=path)
            case never:
                assert_never(never)

    async def _in_thread(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # A call that is cancelled, or whose deadline passes, must not wait for the disk: the thread ends on its own.
        work = partial(method, *args, **kwargs)
        return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)


def _info(entry: Entry) -> FileInfo:
    return FileInfo(path=entry.path, kind=entry.kind, size=entry.size, modified=entry.modified)
