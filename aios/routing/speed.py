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
        # As if what is believed at first had been seen a few times, at the size of a usual call.
        self._gram = (1.0, 0.0, 0.0, 1e4, 0.0, 1e3)
        """Of the sums of products its upper triangle: of constant, read and written with each other."""
        self._moment = (0.2, 1e4 * 0.001, 1e3 * 0.02)
        self._known: tuple[float, float, float] | None = None
        """a, b and c, once somebody has asked since the last observation."""
        self._mean = self._square = 0.0
        self._calls = 0
        self._failing, self._at = 0.0, 0.0

    def observe(self, read: int, written: int, seconds: float) -> None:
        """A slice has read and written so many tokens in so many seconds."""
        # Numbers rather than arrays: this is done at every call's end, and arrays of three cost ten times as much.
        first = 1.0 if read else 0.0
        a, b, c, d, e, f = self._gram
        self._gram = (
            FORGET * a + first * first + 1e-6,
            FORGET * b + first * read,
            FORGET * c + first * written,
            FORGET * d + read * read + 1e-3,
            FORGET * e + read * written,
            FORGET * f + written * written + 1e-3,
        )
        x, y, z = self._moment
        self._moment = FORGET * x + first * seconds, FORGET * y + read * seconds, FORGET * z + written * seconds
        self._known = None

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
        a, b, c = self._weights
        return a + b * read + c * written

    @property
    def read_us(self) -> float:
        """What a token takes to be read, in microseconds."""
        return self._weights[1] * 1e6

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

    @property
    def _weights(self) -> tuple[float, float, float]:
        if self._known is None:
            a, b, c, d, e, f = self._gram
            found = np.linalg.solve(np.array([[a, b, c], [b, d, e], [c, e, f]]), np.array(self._moment))
            first, read, written = np.maximum(found, 0.0).tolist()
            self._known = first, read, written
        return self._known

    def _fail(self, share: float) -> None:
        now = 1 - self.reliability
        if now or share:
            self._failing, self._at = now + 0.2 * (share - now), anyio.current_time()
