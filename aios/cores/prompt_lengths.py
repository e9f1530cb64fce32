"""How many tokens a prompt has, by its length, before any model has counted: learnt from what the model counted."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_core import to_json

from aios_syscalls import Chat

FRAME = 2
"""Messages whose frames stand for what a template puts around all: its own system message, the reply's beginning."""
FORGET = 0.98
"""How much of what was known is kept with each new prompt: the last fifty or so count."""
FIRST = 5.0, 0.25
"""Tokens of a message's frame, and of a character, before anything is known."""
BELIEF = 1e-3, 2.0
"""How sure that is, in sums of (parts / tokens)^2 and (characters / tokens)^2; a prompt adds some 16 to the latter."""
STAYS = 0.01
"""Of that, what is never forgotten: from prompts all of one shape, one cannot tell frames from characters."""


@dataclass(frozen=True, slots=True)
class Length:
    """Of a prompt: what it is made of, tools and messages, and characters."""

    parts: int = 0
    characters: int = 0

    @classmethod
    def of(cls, chat: Chat) -> Length:
        """Of a chat's conversation and tools; what a grammar or a schema adds is not read."""
        characters = sum(len(message.content) for message in chat.messages)
        for tool in chat.tools:
            characters += len(tool.name) + len(tool.description) + len(to_json(tool.parameters))
        for message in chat.messages:
            for use in message.tool_uses:
                characters += len(use.name) + len(to_json(use.arguments))
        return cls(len(chat.messages) + len(chat.tools), characters)


class PromptLengths:
    """Tokens of prompts: frame * (parts + FRAME) + token * characters, beyond what a run's last prompt had.

    By least squares of relative errors with forgetting, from a first belief. A prompt
    that is longer than its run's last is taken to go on from that, as conversations do.
    """

    def __init__(self) -> None:
        self.frame, self.token = FIRST
        self._parts, self._both, self._characters = BELIEF[0], 0.0, BELIEF[1]
        self._by_parts, self._by_characters = BELIEF[0] * FIRST[0], BELIEF[1] * FIRST[1]
        self._last: dict[int, tuple[Length, int]] = {}
        """Of each run, its last prompt and the tokens that it had."""

    def guess(self, pid: int, length: Length) -> int:
        """Tokens of a prompt of a run's, 1 or more; 0 is the user, whose prompts have nothing to do with each other."""
        known = self._last.get(pid)
        if known is None or length.characters < known[0].characters or length.parts < known[0].parts:
            return max(1, round(self._all(length)))
        last, tokens = known
        more = self.frame * (length.parts - last.parts) + self.token * (length.characters - last.characters)
        return tokens + round(more)

    def observe(self, pid: int, length: Length, tokens: int) -> None:
        """A prompt of a run's had so many tokens, 1 or more."""
        if pid:
            self._last[pid] = length, tokens
        parts, characters = (length.parts + FRAME) / tokens, length.characters / tokens
        kept = (1 - FORGET) * STAYS
        self._parts = FORGET * self._parts + kept * BELIEF[0] + parts * parts
        self._both = FORGET * self._both + parts * characters
        self._characters = FORGET * self._characters + kept * BELIEF[1] + characters * characters
        self._by_parts = FORGET * self._by_parts + kept * BELIEF[0] * FIRST[0] + parts
        self._by_characters = FORGET * self._by_characters + kept * BELIEF[1] * FIRST[1] + characters
        least = self._parts * self._characters - self._both * self._both
        self.frame = (self._by_parts * self._characters - self._by_characters * self._both) / least
        self.token = (self._by_characters * self._parts - self._by_parts * self._both) / least
        if self.frame < 0:
            self.frame, self.token = 0.0, self._by_characters / self._characters
        elif self.token < 0:
            self.frame, self.token = self._by_parts / self._parts, 0.0

    def ended(self, pid: int) -> None:
        """A run is over."""
        self._last.pop(pid, None)

    def _all(self, length: Length) -> float:
        return self.frame * (length.parts + FRAME) + self.token * length.characters
