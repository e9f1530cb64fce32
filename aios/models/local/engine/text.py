"""From token bytes to text that may be shown: whole characters, no stop string, no tool call."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

CALL_BEGINS = "<tool_call>"
"""What a model writes before a tool call."""
CALL_ENDS = "</tool_call>"


class ShownText:
    """Takes a generation's bytes and gives back text as soon as it is final.

    Bytes of a half character are held back, as is any end that may yet turn out to be the beginning of a stop string.
    With `tools`, everything from the beginning of a tool call on is held back to the end.
    """

    def __init__(self, stop: Sequence[str] = (), tools: bool = False) -> None:
        self.value = ""
        """The text so far, without a stop string and what follows it."""
        self.stopped = False
        """Whether a stop string has come."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(text for text in stop if text)
        self._tools = tools
        self._shown = 0

    @property
    def shown(self) -> str:
        """The text that was given back."""
        return self.value[: self._shown]

    def add(self, data: bytes) -> str:
        """Take the bytes of a token; the text that is final now."""
        if self.stopped:
            return ""
        searched = len(self.value)
        self.value += self._decoder.decode(data)
        self._cut(searched)
        return self._show(self._final())

    def flush(self) -> str:
        """The rest of the text, now that nothing follows. Half a character is left out."""
        return self._show(len(self.value))

    def _cut(self, searched: int) -> None:
        """End at the stop string that is complete first, so that it does not matter how the text came in pieces."""
        ends = []
        for stop in self._stop:
            at = self.value.find(stop, max(0, searched - len(stop) + 1))
            if at >= 0:
                ends.append((at + len(stop), at))
        if ends:
            self.stopped = True
            self.value = self.value[: min(ends)[1]]

    def _final(self) -> int:
        """How much of the text cannot become part of a stop string or a tool call any more."""
        ends = [len(self.value)]
        if not self.stopped:
            ends += [_before_partial(self.value, stop) for stop in self._stop]
        if self._tools:
            if self.value.lstrip()[:1] in ("", "{", "["):
                return 0
            at = self.value.find(CALL_BEGINS)
            ends.append(at if at >= 0 else _before_partial(self.value, CALL_BEGINS))
        return min(ends)

    def _show(self, end: int) -> str:
        start, self._shown = self._shown, max(self._shown, end)
        return self.value[start : self._shown]


def _before_partial(text: str, pattern: str) -> int:
    """Where the longest end of `text` begins that is a beginning of `pattern`."""
    for length in range(min(len(pattern) - 1, len(text)), 0, -1):
        if text.endswith(pattern[:length]):
            return len(text) - length
    return len(text)
