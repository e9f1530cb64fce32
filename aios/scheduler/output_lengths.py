"""How much the calls of a program write."""

from __future__ import annotations

FADE = 1_000
"""Calls after which the mean length of answers forgets half."""


class OutputLengths:
    """The mean of tokens written by a call, by the name of its program; of a name never seen, 0."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[int, int]] = {}
        """Tokens that calls have written, and how many calls ended."""

    def wrote(self, name: str, tokens: int) -> None:
        """A call of `name` has written so many more."""
        written, calls = self._names.get(name, (0, 0))
        self._names[name] = written + tokens, calls

    def ended(self, name: str) -> None:
        """A call of `name` has ended."""
        written, calls = self._names.get(name, (0, 0))
        # Old ones fade, as an agent's habits may change.
        self._names[name] = (written, calls + 1) if calls < FADE else (written // 2, calls // 2)

    def times(self, name: str, factor: int = 1) -> int:
        """So many times the mean length, whole tokens; 0 before the first has ended."""
        written, calls = self._names.get(name, (0, 0))
        return factor * written // calls if calls else 0
