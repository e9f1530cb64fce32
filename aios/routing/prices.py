"""What models cost, in US dollars for a million tokens."""

from __future__ import annotations

from dataclasses import dataclass

from aios_syscalls import Usage

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens that are read, written, and read again from a server's cache (None: as all)."""

    input: float
    output: float
    cached: float | None = None

    def usd(self, usage: Usage) -> float:
        """The dollars for what was used."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        rate = self.input if self.cached is None else self.cached
        read = (usage.prompt_tokens - cached) * self.input + cached * rate
        return (read + usage.completion_tokens * self.output) / MILLION


FREE = Price(0.0, 0.0)


def cost(price: Price | None, usage: Usage) -> float | None:
    """The dollars for what was used; None where nobody knows the price, for unknown is not nothing."""
    return None if price is None else price.usd(usage)
