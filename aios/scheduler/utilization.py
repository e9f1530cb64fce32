"""How busy a lane is, how fast, and how much arrival counts beside it."""

from __future__ import annotations

import math

HORIZON_US = 300_000_000
"""What the measured load forgets in."""
WINDOW = 1_000_000.0
"""Tokens after which the measured speed has forgotten half."""
ALPHA, MORE, CALM = 0.08, 0.02, 0.8
"""Alpha of a slot, what is added to it at full load, and the load from which on."""


class Utilization:
    """The share of slots that were taken, and slot time per token written, both measured."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = max(1, slots)
        self.busy = 0.5
        self.alpha = ALPHA * self.slots
        """How much a microsecond of earlier arrival counts beside one of index, which is time on one of the slots."""
        self.us_per_token = 10_000.0
        self._running = 0
        self._since = 0
        self._tokens = 0.0
        self._slot_us = 0.0

    def took(self, now: int) -> None:
        """A job got a slot."""
        self._pass(now)
        self._running += 1

    def left(self, now: int, slot_us: int) -> None:
        """A job gave its slot back after so long."""
        self._pass(now)
        self._running -= 1
        self._slot_us += slot_us
        if self._tokens and self._slot_us:
            self.us_per_token = self._slot_us / self._tokens

    def served(self, tokens: float) -> None:
        """Some job got service."""
        self._tokens += tokens
        if self._tokens > WINDOW:
            self._tokens /= 2
            self._slot_us /= 2

    def _pass(self, now: int) -> None:
        if now > self._since:
            keep = math.exp((self._since - now) / HORIZON_US)
            self.busy = keep * self.busy + (1 - keep) * min(1.0, self._running / self.slots)
            self._since = now
            self.alpha = self.slots * (ALPHA + MORE * max(0.0, self.busy - CALM) / (1 - CALM))
