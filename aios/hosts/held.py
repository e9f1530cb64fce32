"""What the kernel holds for agents: their calls under way and answers that they have not read, weighed in bytes."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(slots=True)
class HeldBytes:
    """Bytes held for one agent, out of what may be held for all together."""

    most: int = 64 * MEBIBYTE
    within: HeldBytes | None = None
    bytes: int = 0

    @classmethod
    def of_all(cls) -> HeldBytes:
        """For all agents of a host together."""
        return cls(most=1024 * MEBIBYTE)

    def take(self, size: int) -> bool:
        """Hold so many bytes more; false, and nothing is held, where that is too much here or for all together."""
        if self.bytes + size > self.most or (self.within is not None and not self.within.take(size)):
            return False
        self.bytes += size
        return True

    def force(self, size: int) -> None:
        """Hold so many bytes more, whatever is held: of answers that say that there is too much."""
        self.bytes += size
        if self.within is not None:
            self.within.force(size)

    def give(self, size: int) -> None:
        """Hold so many bytes less."""
        self.bytes -= size
        if self.within is not None:
            self.within.give(size)
