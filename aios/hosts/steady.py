"""The event loop of a program whose run can be repeated: what it does follows from what it hears, and when.

Two things make a program of coroutines do otherwise each time: that answers come while it still works at the last one,
and that the clock goes on meanwhile. So it is given an answer only once nothing in it can go on without one (`settle`),
and its clock stands still while it works: it shows when the program last heard something or a timer of its own rang,
and counts only the time that the program waits. Told the same at the same times, it does the same in the same order.

After the deterministic scheduling of FoundationDB's simulation (Zhou et al. 2021, FoundationDB: A Distributed Unbundled
Transactional Key Value Store), turned round: not the world is simulated, but what comes in from it is put in order.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Any

from anyio._backends._asyncio import CancelScope

QUIET_PASSES = 2
"""Passes of the loop in which nothing but the repeated delivery of a cancellation ran: then nothing else will."""
MOST_PASSES = 1_000
"""Passes that are waited for: a program that polls is never at rest. It is told in the same pass each time."""


class SteadyLoop(asyncio.SelectorEventLoop):
    """A usual event loop until `hold` is called; from then on one that repeats itself. One thread may use it."""

    def __init__(self) -> None:
        self._idle = _IdleSelector(self)
        super().__init__(self._idle)
        self._now: float | None = None
        """What the clock shows, in seconds since the program began; None for the system's own time."""
        self._waited = 0.0
        """What it would show had the program been told at once of the time that it has waited since."""
        self._repeating = False

    def time(self) -> float:
        return super().time() if self._now is None else self._now

    @property
    def now_us(self) -> int:
        return round(self.time() * 1_000_000)

    def hold(self, at_us: int = 0, *, repeating: bool) -> None:
        """Begin at this time, in microseconds. While it is `repeating`, time passes only as `settle` says."""
        self._now = self._waited = at_us / 1_000_000
        self._repeating = repeating

    def go_on(self) -> None:
        """All has been repeated; time passes by itself from here."""
        self._waited, self._repeating = self.time(), False

    async def settle(self, at_us: int | None = None) -> int:
        """Wait until the program can do no more before it hears something; the time, in microseconds, is then `at_us`.

        Without `at_us` it is now. Timers that are due by then have rung.
        """
        until = _whole(self._waited) if at_us is None else at_us / 1_000_000
        while True:
            await self._quiet()
            due = self._next_timer()
            if due is None or due > until:
                break
            self._now = max(self.time(), due)
        self._now = max(self.time(), until)
        self._waited = max(self._waited, self._now)
        return round(self._now * 1_000_000)

    async def _quiet(self) -> None:
        passes = 0
        for _ in range(MOST_PASSES):
            if passes >= QUIET_PASSES:
                return
            await asyncio.sleep(0)
            # asyncio has no public way to ask what a loop is about to run.
            ready: Any = self._ready  # type: ignore[attr-defined]
            if not ready:
                return
            passes = passes + 1 if all(map(_delivers_cancellation, ready)) else 0

    def _next_timer(self) -> float | None:
        timers: Any = self._scheduled  # type: ignore[attr-defined]
        return min((each.when() for each in timers if not each.cancelled()), default=None)

    def patience(self, timeout: float | None) -> float | None:
        """For how long the program waits, really, when its clock says so long."""
        if self._now is None or timeout == 0:
            return timeout
        if timeout is None or self._repeating:
            return None
        return max(0.0, self._now + timeout - self._waited)

    def has_waited(self, seconds: float, *, heard: bool) -> None:
        """The program has waited so long; unless it `heard` something, its next timer rings."""
        if self._now is None or self._repeating:
            return
        self._waited += seconds
        due = None if heard else self._next_timer()
        if due is not None:
            self._now = max(self._now, due)
            self._waited = max(self._waited, due)


class _IdleSelector(selectors.DefaultSelector):
    """Tells the loop how long it has waited for its files."""

    def __init__(self, loop: SteadyLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        patience = self._loop.patience(timeout)
        if timeout == 0:
            return super().select(0)
        began = time.monotonic()
        found = super().select(patience)
        self._loop.has_waited(time.monotonic() - began, heard=bool(found))
        return found


def _delivers_cancellation(handle: asyncio.Handle) -> bool:
    """Whether a callback only tells tasks again that they are cancelled, as anyio does as long as they do not end."""
    callback: Any = getattr(handle, "_callback", None)
    return getattr(callback, "__func__", None) is CancelScope._deliver_cancellation


def _whole(seconds: float) -> float:
    return round(seconds * 1_000_000) / 1_000_000
