"""Finds out which call kills its workers, so that it takes no others along."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aios.tasks import Signal

LOSSES = 2
"""Workers that a call may lose before it is a suspect: the first death may have had any cause."""
TRIAL = 8
"""Tokens that a suspect has to write alone. It goes on where it was, so what kills the worker is in them or is gone."""


class Quarantine:
    """Lets calls run together, but those that lost several workers alone, one after the other, for a few tokens.

    Who loses a worker alone, after others before, is guilty; who survives alone is as good as new.
    """

    def __init__(self) -> None:
        self._losses: dict[int, int] = {}
        self._suspects: list[int] = []
        self._guilty: set[int] = set()
        self._running: set[int] = set()
        self._changed = Signal()

    @asynccontextmanager
    async def admit(self, id: int) -> AsyncIterator[int | None]:
        """While a call runs; waits while it may not. It may write so many tokens; None is as many as it likes."""
        while self._suspects and (self._suspects[0] != id or self._running):
            await self._changed.wait()
        self._running.add(id)
        try:
            yield TRIAL if id in self._suspects else None
        finally:
            self._running.discard(id)
            self._notify()

    def died(self, ids: Iterable[int]) -> bool:
        """A worker died that was at these calls. Whether that has found a guilty one, and so will not happen again."""
        found, lost = False, self._running.intersection(ids)
        for id in lost:
            self._losses[id] = self._losses.get(id, 0) + 1
            if self._losses[id] >= LOSSES and len(lost) == 1:
                self._guilty.add(id)
                found = True
            elif self._losses[id] >= LOSSES and id not in self._suspects:
                self._suspects.append(id)
        return found

    def survived(self, id: int) -> None:
        """A call got to the end of what it was admitted for."""
        if id in self._suspects:
            self.forget(id)

    def losses(self, id: int) -> int:
        """Workers that a call has lost since it was last cleared."""
        return self._losses.get(id, 0)

    def guilty(self, id: int) -> bool:
        """Whether a call is what kills its workers."""
        return id in self._guilty

    def forget(self, id: int) -> None:
        """A call is over, or cleared."""
        self._losses.pop(id, None)
        self._guilty.discard(id)
        if id in self._suspects:
            self._suspects.remove(id)
            self._notify()

    def _notify(self) -> None:
        self._changed.notify()
