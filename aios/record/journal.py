"""The journal: the one record of everything that happens, as a port; `sqlite.py` implements it."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from aios.record.event import Event
from aios.record.reading import RunRecord
from aios_syscalls import StorageFailed


class Journal(Protocol):
    """Takes every event of a kernel, in order, and keeps it."""

    def record(self, event: Event) -> None:
        """Take an event; never blocks, never raises."""

    @property
    def failure(self) -> StorageFailed | None:
        """Why nothing can be kept now, if so: then no call with an effect may begin."""

    async def room(self) -> None:
        """Wait while too many events are not on the disk yet. Raises StorageFailed while they cannot be kept."""

    async def sync(self) -> None:
        """Wait until all that was taken so far is on the disk. Raises StorageFailed while it cannot be kept."""

    async def flush(self) -> None:
        """Like `sync`, but wait for room on a disk that is full: for what has happened already."""

    async def new_pid(self) -> int:
        """A pid that no process on record has had, nor will have. Raises StorageFailed."""

    async def reopen(self, run: RunRecord) -> RunRecord:
        """Take over a run that has ended, to go on with it; what is on record of it now.

        Raises Conflict where it goes on already, NotFound where it is not on record any more, StorageFailed.
        """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Keep what was taken, then close. Raises StorageFailed when something was not kept."""
