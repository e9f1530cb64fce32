"""How much of the prompts a step reads, from what reading and writing have cost."""

from __future__ import annotations

BESIDE = 2.0
"""A piece of prompt takes so many times as long as a step of those who write and wait for it."""
ALONE_S = 0.25
"""How long a piece takes when nobody writes: a new call waits for it, and longer ones are hardly more efficient."""
MIN_CHUNK, MAX_CHUNK = 64, 512
"""Bounds of a piece, in tokens: smaller ones are inefficient, the largest fill a batch."""
WEIGHT = 0.2
"""Of a new measurement in the running mean."""


class ChunkSizer:
    """Running means of what a token of a prompt and a step of writing cost, in seconds."""

    def __init__(self) -> None:
        self.read_token_s = ALONE_S / MAX_CHUNK
        self.write_step_s = 0.0

    def read(self, tokens: int, seconds: float) -> None:
        """Some tokens of a prompt took so long."""
        if tokens >= MIN_CHUNK:
            self.read_token_s += WEIGHT * (seconds / tokens - self.read_token_s)

    def wrote(self, seconds: float) -> None:
        """A step of writing took so long."""
        self.write_step_s += WEIGHT * (seconds - self.write_step_s)

    def budget(self, beside: bool) -> int:
        """Tokens of prompts to read in this step; `beside` others that write."""
        seconds = BESIDE * self.write_step_s if beside else ALONE_S
        return max(MIN_CHUNK, min(MAX_CHUNK, int(seconds / self.read_token_s)))
