"""When to try a model again, and when to let it be."""

from __future__ import annotations

import random

MAX_ATTEMPTS = 3
"""Attempts at one call."""
BASE_S, CAP_S = 0.25, 8.0
MAX_AFTER_S = 60.0
"""How long a server may ask to be waited for."""


class Retries:
    """Retries are at most `share` of calls, but for a `reserve` that few calls have: a server in need gets no storm.

    The wait before one is drawn anew from all of a range that doubles ("full jitter", Brooker 2015, Exponential Backoff
    And Jitter), so that those who failed together do not come back together.
    """

    def __init__(self, dice: random.Random, share: float = 0.1, reserve: float = 10.0) -> None:
        self._dice, self._share, self._reserve = dice, share, reserve
        self._left = reserve

    def call(self) -> None:
        """A call begins, which earns a share of a retry."""
        self._left = min(self._reserve, self._left + self._share)

    def take(self) -> bool:
        """Use up a retry, if there is one."""
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def wait_s(self, attempts: int, after_s: float | None) -> float:
        """How long to wait after so many failed attempts, and the server's wish."""
        return (after_s or 0.0) + self._dice.uniform(0.0, min(CAP_S, BASE_S * 2.0 ** (attempts - 1)))
