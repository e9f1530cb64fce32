"""The file family: a library that the first call opens, and the threads that serve it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import ParamSpec, TypeVar, cast

import anyio
from anyio import CapacityLimiter, to_thread

from aios.cores.file_service import FileService
from aios.cores.share import LinkServer
from aios.kernel.core import Turn
from aios_storage import Author, Library, Scope, home_of
from aios_syscalls import (
    Cancelled,
    DeleteMatching,
    FileCall,
    FollowLink,
    GroupFiles,
    JoinFiles,
    Reply,
    SearchFiles,
    UpdateMatching,
    WatchFiles,
    WatchFilesReply,
)

P = ParamSpec("P")
T = TypeVar("T")

Search = SearchFiles | GroupFiles | JoinFiles | FollowLink | DeleteMatching | UpdateMatching

LOOK_S = 0.1
"""Between looks for changes that a watch waits for: other processes make some."""


class FileCore:
    """Serves a library from worker threads of its own, so that a slow disk delays no other core.

    The library is opened by the first call: an agent that needs no files leaves no trace beside them. `private` has
    the directory of each program that has one for itself, and in `homes` each process has one.
    """

    def __init__(
        self,
        library: Callable[[], Library],
        run: str | None = None,
        private: Mapping[str, str] | None = None,
        homes: str | None = None,
        threads: int = 8,
        searches: int = 4,
        close: Callable[[Library], None] = Library.close,
    ) -> None:
        self._open, self._give_back = library, close
        self._run = run
        self._private = private or {}
        self._homes = homes
        self._made: set[int] = set()
        self._limiter = CapacityLimiter(threads)
        # Of their own: an embedder that is slow or gone keeps nobody from reading.
        self._searches = CapacityLimiter(searches)
        self._opening = threading.Lock()
        self._busy = 0
        self._closed = False
        self._library: Library | None = None
        self._server: LinkServer | None = None

    async def run(self, turn: Turn) -> Reply:
        desk = await self._in_thread(self._limiter, self._service, turn)
        call = cast(FileCall, turn.call)
        if isinstance(call, WatchFiles):
            return await self._watch(desk, call)
        return await self._in_thread(self._searches if isinstance(call, Search) else self._limiter, desk.serve, call)

    async def settle(self, turn: Turn) -> Reply | None:
        """What the store has of a call that had begun when its kernel died: each version says which call made it."""
        desk = await self._in_thread(self._limiter, self._service, turn)
        return await self._in_thread(self._limiter, desk.settled, cast(FileCall, turn.call))

    def close(self) -> None:
        """Let go of the library, and end what serves shares.

        Calls that were abandoned may still be at work: then the last of them lets go.
        """
        with self._opening:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        if self._closed and not self._busy:
            if self._server is not None:
                self._server.close()
            if self._library is not None:
                self._give_back(self._library)
            self._library = self._server = None

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._opening:
            self._busy += 1
        try:
            yield
        finally:
            with self._opening:
                self._busy -= 1
                self._let_go()

    def _service(self, turn: Turn) -> FileService:
        """Where the caller is served; opens the library."""
        with self._opening:
            if self._closed:
                raise Cancelled("the kernel is stopping; run it again")
            if self._library is None:
                self._library = self._open()
                self._server = LinkServer(self._library.files)
            assert self._server is not None
            author = Author(turn.program, self._run, turn.pid, turn.id.n)
            files = self._library.files
            if self._homes is not None and turn.pid not in self._made:
                files.root.make_way(f"{home_of(self._homes, turn.program, turn.pid)}/any")
                self._made.add(turn.pid)
            scope = Scope.of(turn.program, turn.pid, self._private, self._homes, files.root.leads_to)
            return FileService(self._library, files.by(author), scope, self._server, frozenset(self._private))

    async def _watch(self, desk: FileService, call: WatchFiles) -> WatchFilesReply:
        """Nothing runs while it waits, so that any number of agents may."""
        since = call.since
        if since is None:
            since = await self._in_thread(self._limiter, desk.files.last_seq)
        with anyio.move_on_after(call.timeout_s):
            while True:
                found = await self._in_thread(self._limiter, desk.changes, since, call.paths)
                if found.versions:
                    return found
                since = found.seq
                await anyio.sleep(LOOK_S)
        return WatchFilesReply(versions=(), seq=since)

    async def _in_thread(
        self, limiter: CapacityLimiter, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        # A call that is cancelled, or whose deadline passes, must not wait for the disk: the thread ends on its own.
        def work() -> T:
            with self._at_work():
                return method(*args, **kwargs)

        return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
