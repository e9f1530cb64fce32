"""A paused generation, as the kernel holds it."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Snapshot(ABC):
    """Everything needed to continue a generation; its holder either runs it again or drops it.

    The state itself stays with the model that made it (in the KV cache, in memory, on disk or as a text
    to read again); the kernel holds only this handle.
    """

    tokens: int
    """Tokens generated so far."""

    @abstractmethod
    def drop(self) -> None:
        """Free the state; the generation will not be continued."""
