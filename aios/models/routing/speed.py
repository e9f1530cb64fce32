"""How long a model takes, learnt from what it took."""

from __future__ import annotations

import math

import anyio
import numpy as np

FORGET = 0.98
"""How much of what was known is kept with each new observation: the last fifty or so count."""
FAILURES_FADE_S = 60.0


class Speed:
    """Seconds of service = a + b * tokens read + c * tokens written, by least squares with forgetting.

    Before anything is known: 0.2 s, 1 ms and 20 ms. How often it fails is known too, and fades.
    """

    def __init__(self) -> None:
        self._weights = np.array([0.2, 0.001, 0.02])
        # As if what is believed at first had been seen a few times, at the size of a usual call.
        self._gram = np.diag([1.0, 1e4, 1e3])
        self._moment = self._gram @ self._weights
        self._mean = self._square = 0.0
        self._calls = 0
        self._failing, self._at = 0.0, 0.0

    def observe(self, read: int, written: int, seconds: float) -> None:
        """A slice has read and written so many tokens in so many seconds."""
        row = np.array([1.0 if read else 0.0, read, written])
        self._gram = FORGET * self._gram + np.outer(row, row)
        self._moment = FORGET * self._moment + row * seconds
        self._gram += np.diag([1e-6, 1e-3, 1e-3])
        self._weights = np.maximum(np.linalg.solve(self._gram, self._moment), 0.0)

    def served(self, seconds: float) -> None:
        """A whole call has taken so long on its slot."""
        self._calls += 1
        share = max(0.05, 1 / self._calls)
        self._mean += share * (seconds - self._mean)
        self._square += share * (seconds**2 - self._square)
        self._fail(0.0)

    def failed(self) -> None:
        """A call has failed."""
        self._fail(1.0)

    def service_s(self, read: int, written: float) -> float:
        """What a call will take, in seconds."""
        return float(self._weights @ np.array([1.0, read, written]))

    @property
    def read_us(self) -> float:
        """What a token takes to be read, in microseconds."""
        return float(self._weights[1]) * 1e6

    @property
    def typical_s(self) -> float | None:
        """What calls have taken of late; None before the first."""
        return self._mean if self._calls else None

    @property
    def slow_s(self) -> float | None:
        """What few calls exceed, about one in twenty; None before the fifth."""
        spread = math.sqrt(max(0.0, self._square - self._mean**2))
        return self._mean + 1.65 * spread if self._calls >= 5 else None

    @property
    def reliability(self) -> float:
        """The share of calls that are served, 0 to 1, as it looks of late."""
        if not self._failing:
            return 1.0
        return 1 - self._failing * math.exp((self._at - anyio.current_time()) / FAILURES_FADE_S)

    def _fail(self, share: float) -> None:
        now = 1 - self.reliability
        if now or share:
            self._failing, self._at = now + 0.2 * (share - now), anyio.current_time()
