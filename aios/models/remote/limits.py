"""What holds back calls to an endpoint: its rates, its wish to be left alone, and its failures."""

from __future__ import annotations

import math
from collections import deque

import anyio

from aios.tasks import Signal

Entry = list[float]
"""When a request was sent and how many tokens it takes."""

MINUTE_S = 60.0
TICK_S = 0.001
"""The shortest wait: a clock of large numbers may not show a shorter one, and then it would never end."""
MAX_FAILURES = 3
COOL_DOWN_S = 5.0
"""How long an endpoint is left alone after that many failures in a row."""


class Rates:
    """Requests and tokens of any 60 seconds, kept below limits; whoever has to wait is served in order of arrival.

    A log of the last minute rather than a bucket that refills: full at the start, a bucket would let nearly twice the
    limit through in the first minute, and servers count.
    """

    def __init__(self, requests: int | None = None, tokens: int | None = None) -> None:
        self._requests, self._tokens = requests or math.inf, tokens or math.inf
        self._log: deque[Entry] = deque()
        self._total = 0.0
        self._rest_until = -math.inf
        self._queue = anyio.Lock()
        self._freed = Signal()
        self.waiting = 0

    async def admit(self, tokens: int) -> Entry:
        """Wait until a request of so many tokens fits; the entry that `settle` corrects.

        One that is larger than a minute's tokens goes when nothing else has been sent for a minute.
        """
        self.waiting += 1
        try:
            async with self._queue:
                # The first in the queue waits for the clock or for tokens given back; who comes later waits behind it.
                while (wait := self.wait_s(tokens)) > 0:
                    with anyio.move_on_after(max(wait, TICK_S)):
                        await self._freed.wait()
                entry: Entry = [anyio.current_time(), float(tokens)]
                self._log.append(entry)
                self._total += tokens
                return entry
        finally:
            self.waiting -= 1

    def settle(self, entry: Entry, tokens: int) -> None:
        """Put in what a request has taken for what it could have taken."""
        if self._log and entry[0] >= self._log[0][0]:
            self._total += tokens - entry[1]
            entry[1] = float(tokens)
            self._freed.notify()

    def rest(self, seconds: float) -> None:
        """Send nothing for a while, as the server wishes."""
        self._rest_until = max(self._rest_until, anyio.current_time() + seconds)

    @property
    def queue_s(self) -> float:
        """How long one that comes now has to wait, with those before it."""
        wait, each = self.wait_s(), MINUTE_S / self._requests
        return wait + self.waiting * each if wait else 0.0

    def wait_s(self, tokens: int = 0) -> float:
        """How long a request of so many tokens would have to wait, if no other came first."""
        now = anyio.current_time()
        while self._log and self._log[0][0] <= now - MINUTE_S:
            self._total -= self._log.popleft()[1]
        wait = max(0.0, self._rest_until - now)
        if len(self._log) >= self._requests:
            wait = max(wait, self._log[len(self._log) - int(self._requests)][0] + MINUTE_S - now)
        excess = self._total + tokens - self._tokens
        if excess > 0:
            for at, size in self._log:
                wait = max(wait, at + MINUTE_S - now)
                excess -= size
                if excess <= 0:
                    break
        return wait


class Breaker:
    """Whether an endpoint is worth a try.

    After `MAX_FAILURES` failures in a row it is not for `COOL_DOWN_S` seconds; then one call at a time may find out
    (Nygard 2007, Release It!: circuit breaker).
    """

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0
        self._probe: object | None = None

    @property
    def healthy(self) -> bool:
        """Whether a call has a chance; while a probe is under way, it alone has."""
        return self._failures < MAX_FAILURES or (anyio.current_time() >= self._until and self._probe is None)

    def begin(self) -> object:
        """A call is sent; the ticket that `end` takes. Not to be called while unhealthy."""
        ticket = object()
        if self._failures >= MAX_FAILURES:
            self._probe = ticket
        return ticket

    def end(self, ticket: object, *, failed: bool | None) -> None:
        """A call has ended: it failed, or did not, or (None) nobody knows since it was given up."""
        if ticket is self._probe:
            self._probe = None
        if failed is None:
            return
        self._failures = self._failures + 1 if failed else 0
        if failed:
            self._until = anyio.current_time() + COOL_DOWN_S
