"""Which local models are in memory at once: as many as fit under a cap. The least recently used gives way to others.

A model that nobody uses gives way at once, between two slices, which begin again from their tokens. One that is in use
gives way when its turn is over, so that no call waits for ever beside a busy model; a running slice is never cut off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from aios.tasks import Signal

TURN_S = 10.0
"""How long a model that is in use may stay while another waits for its memory."""
SHARE = 4
"""How many times as long as it took to load, at least: loading takes a fifth of the time at most."""


class Residency:
    """The memory that some models share, `most_bytes` of it; None is as much as they ask for."""

    def __init__(self, most_bytes: int | None = None) -> None:
        self.most_bytes = most_bytes
        self._places: list[MemoryTurn] = []
        self._queue: list[MemoryTurn] = []
        self._changed = Signal()

    def place(self) -> MemoryTurn:
        """A place for one more model, not in memory yet."""
        self._places.append(MemoryTurn(self))
        return self._places[-1]

    @property
    def resident_bytes(self) -> int:
        """What the models in memory take, by their own account."""
        return sum(place.bytes for place in self._places)

    def has_room(self, bytes: int) -> bool:
        """Whether a model of that size fits in beside those that are there."""
        return self.most_bytes is None or self.resident_bytes + bytes <= self.most_bytes

    async def _admit(self, place: MemoryTurn, bytes: int) -> None:
        """Wait, first come first served, until there is room, and have others make it."""
        self._queue.append(place)
        try:
            while self._queue[0] is not place or not self.has_room(bytes):
                with anyio.move_on_after(self._make_room(bytes) if self._queue[0] is place else None):
                    await self._changed.wait()
            place.bytes = bytes
        finally:
            self._queue.remove(place)
            self._notify()

    def _make_room(self, bytes: int) -> float | None:
        """Ask models to leave if that makes room; else seconds until there may be more that can be asked."""
        assert self.most_bytes is not None
        now = anyio.current_time()
        missing = self.resident_bytes + bytes - self.most_bytes
        missing -= sum(place.bytes for place in self._places if place.leaving)
        staying = [place for place in self._places if place.bytes and not place.leaving]
        chosen = list[MemoryTurn]()
        for place in sorted(staying, key=lambda place: (place.in_use, place.used)):
            if missing <= 0:
                break
            if place.turn_ends <= now:
                chosen.append(place)
                missing -= place.bytes
        if missing > 0:
            return min((place.turn_ends - now for place in staying if place.turn_ends > now), default=None)
        for place in chosen:
            place.leaving = True
        if chosen:
            self._notify()
        return None

    def _notify(self) -> None:
        self._changed.notify()


class MemoryTurn:
    """One model's share of the memory, and who uses it."""

    def __init__(self, residency: Residency) -> None:
        self.bytes = 0
        """Taken now; 0 when the model is not in memory."""
        self.leaving = False
        """Whether it was asked to leave: no new slice begins until it is back."""
        self.used = 0.0
        """When it was used last."""
        self._residency = residency
        self._slices = self._calls = 0
        self._came = self._loaded = 0.0

    @property
    def in_use(self) -> bool:
        """Whether it has generations, running or paused."""
        return self._calls > 0

    @property
    def turn_ends(self) -> float:
        """Since when it may be asked to leave, or from when on."""
        if not self.in_use:
            return 0.0
        return self._loaded + max(TURN_S, SHARE * (self._loaded - self._came)) if self._loaded else float("inf")

    @property
    def most_bytes(self) -> int | None:
        """The cap that it shares with others."""
        return self._residency.most_bytes

    def has_room(self, bytes: int) -> bool:
        """Whether nobody would have to leave for it."""
        return self._residency.has_room(bytes)

    def begin(self) -> None:
        """A generation begins, which may be paused again and again."""
        self._calls += 1

    def end(self) -> None:
        """A generation is over."""
        self._calls -= 1
        self._residency._notify()

    @asynccontextmanager
    async def slice(self) -> AsyncIterator[None]:
        """While a generation runs; waits while the model is about to leave."""
        while self.leaving:
            await self._residency._changed.wait()
        self._slices += 1
        self._residency._notify()
        try:
            yield
        finally:
            self._slices -= 1
            self.used = anyio.current_time()
            self._residency._notify()

    @asynccontextmanager
    async def hold(self, bytes: int) -> AsyncIterator[None]:
        """Be in memory; waits for the room, and for others to leave."""
        await self._residency._admit(self, bytes)
        self._came, self._loaded = anyio.current_time(), 0.0
        try:
            yield
        finally:
            self.bytes, self.leaving = 0, False
            self._residency._notify()

    def loaded(self) -> None:
        """The model is ready: its turn begins."""
        self._loaded = self.used = anyio.current_time()
        self._residency._notify()

    async def wanted(self) -> None:
        """Wait until somebody uses it."""
        while not self._slices:
            await self._residency._changed.wait()

    async def unwanted(self) -> None:
        """Wait until it has been asked to leave and no slice runs."""
        while not self.leaving or self._slices:
            await self._residency._changed.wait()
