"""Tells reasoning between tags from the answer after it, piece by piece; no I/O."""

from __future__ import annotations

from collections.abc import Mapping

TAGS: Mapping[str, str] = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
}
"""What reasoning begins and ends with, where a server leaves it in the answer."""
MAX_BLANKS = 1024
"""Characters in front of a tag; so many blanks are looked through again with each piece."""


class ThinkSplitter:
    """Splits text in pieces into (answer, reasoning); only an answer that begins with a tag of `TAGS` has reasoning.

    Text that may be the beginning of a tag waits for the rest. Without its closing tag all of it is reasoning. Blanks
    around the reasoning are left out; an answer without any stays as it is.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._held = ""
        self._close = ""
        self._state = "text" if begun else "start"

    def feed(self, piece: str) -> tuple[str, str]:
        """The answer and the reasoning that are certain by now."""
        if self._state == "text":
            return piece, ""
        self._held += piece
        if self._state == "start" and not self._open():
            return ("", "") if self._state == "start" else (self._take(), "")
        return self._inside()

    def flush(self) -> tuple[str, str]:
        """What is left when no more comes."""
        held = self._take()
        return ("", held) if self._state == "thought" else (held, "")

    def _take(self) -> str:
        held, self._held = self._held, ""
        return held

    def _open(self) -> bool:
        """Whether reasoning has begun; the state is then no longer `start`, nor is it where none can begin."""
        text = self._held.lstrip()
        for tag, close in TAGS.items():
            if text.startswith(tag):
                self._state, self._close, self._held = "thought", close, text[len(tag) :]
                return True
        if len(self._held) > MAX_BLANKS or not any(tag.startswith(text) for tag in TAGS):
            self._state = "text"
        return False

    def _inside(self) -> tuple[str, str]:
        if self._state == "after":
            return self._after("")
        thought, close, rest = self._held.partition(self._close)
        if close:
            self._state, self._held = "after", rest
            return self._after(thought)
        keep = next((size for size in range(len(self._close) - 1, 0, -1) if thought.endswith(self._close[:size])), 0)
        self._held = thought[len(thought) - keep :]
        return "", thought[: len(thought) - keep]

    def _after(self, thought: str) -> tuple[str, str]:
        self._held = self._held.lstrip()
        if not self._held:
            return "", thought
        self._state = "text"
        return self._take(), thought
