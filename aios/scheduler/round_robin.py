"""Round robin: everyone gets a slice in turn."""

from __future__ import annotations

from aios.scheduler.fifo import Fifo


def sliced(slice: int) -> int:
    """The slice, if it is one. Raises ValueError."""
    if slice < 1:
        raise ValueError(f"a slice of {slice} tokens never ends a generation; give 1 or more")
    return slice


class RoundRobin(Fifo):
    """As FIFO, but a job that used up `slice` tokens goes behind all others of its priority.

    With n jobs on w slots, a job waits at most ceil(n / w) - 1 slices for its next turn.
    """

    def __init__(self, slice: int) -> None:
        super().__init__()
        self.slice = sliced(slice)
