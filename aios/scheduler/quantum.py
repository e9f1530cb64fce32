"""How long a slice has to be for what a switch costs."""

from __future__ import annotations

import math

SHARE = 0.05
"""Of the time that is spent on writing, the most that switching may take beside it."""
MIN_SLICE, MAX_SLICE, FIRST_SLICE = 8, 512, 32
"""Tokens: the bounds of a slice, and how long it is before enough is known."""
ENOUGH = 16
"""Resumed slices from which on something is known."""
FORGET = 0.98
"""How much of what was known is kept with each new slice: the last fifty or so count."""
SPREAD = 1e-3
"""Share of its mean square that 1 / tokens has to vary by, or one cannot tell a switch from the tokens after it."""
LONGER = 4
"""One slice in so many has another length, so that lengths do vary."""
GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples are spread evenly over 0 to 1, and so is each second or fourth of them (Weyl, 1916)."""


class Quantum:
    """The shortest slice whose switch takes at most SHARE of the time of its tokens, as far as that is known.

    A slice that resumes a call takes switch + tokens * token seconds. Both are learnt by least squares with forgetting
    over seconds / tokens = token + switch / tokens, that is, of relative errors: what else a machine does lengthens
    long slices by more. What a prompt takes is in the first slice of a call, which is not looked at.
    """

    def __init__(self) -> None:
        self._count = 0
        self._turns = 0
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """A slice that resumed a call has written so many tokens in so many seconds, its restore among them."""
        if tokens < 1:
            return
        x, y = 1 / tokens, seconds / tokens
        self._count += 1
        self._weight = FORGET * self._weight + 1
        self._x = FORGET * self._x + x
        self._y = FORGET * self._y + y
        self._xx = FORGET * self._xx + x * x
        self._xy = FORGET * self._xy + x * y

    @property
    def costs(self) -> tuple[float, float] | None:
        """Seconds of a switch, and of a token; None before they are known."""
        if self._count < ENOUGH:
            return None
        mean_x, mean_y, mean_xx = self._x / self._weight, self._y / self._weight, self._xx / self._weight
        variance = mean_xx - mean_x * mean_x
        if variance < SPREAD * mean_xx:
            return None
        switch = max(0.0, (self._xy / self._weight - mean_x * mean_y) / variance)
        return switch, max(0.0, mean_y - switch * mean_x)

    @property
    def slice(self) -> int:
        """Tokens, MIN_SLICE to MAX_SLICE; FIRST_SLICE before anything is known."""
        if (costs := self.costs) is None:
            return FIRST_SLICE
        switch, token = costs
        if switch >= MAX_SLICE * SHARE * token:
            return MAX_SLICE if switch else MIN_SLICE
        # Rounded, lest a switch that is free but for the last bits of a sum cost a token more.
        return max(MIN_SLICE, math.ceil(round(switch / (SHARE * token), 6)))

    def next(self, usual: int) -> int:
        """Tokens of the next slice, which a policy would give `usual` where switching is free."""
        self._turns += 1
        slice = self.slice
        # Every fourth would always be the same caller's, where two or four take turns.
        if self._turns * GOLDEN % 1 < 1 / LONGER:
            slice = 2 * slice if 2 * slice <= MAX_SLICE else slice // 2
        return max(usual, slice)
