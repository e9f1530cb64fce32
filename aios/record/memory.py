"""A journal in memory: for tests, and for kernels whose record nobody reads."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aios.record.event import Event
from aios.record.reading import RunRecord
from aios_syscalls import StorageFailed


class MemoryJournal:
    """Keeps events in a list; see `Journal`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failure: StorageFailed | None = None
        """None: there is always room."""
        self._last_pid = 0

    def record(self, event: Event) -> None:
        self.events.append(event)

    async def room(self) -> None:
        return None

    async def sync(self) -> None:
        return None

    async def flush(self) -> None:
        return None

    async def new_pid(self) -> int:
        self._last_pid += 1
        return self._last_pid

    async def reopen(self, run: RunRecord) -> RunRecord:
        """Nothing keeps another from it: the memory is this process's own."""
        return run

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
