"""From token bytes to text: whole characters only, and nothing that may turn out to be a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextOut:
    """Collects a generation's bytes; gives out text once it is certain.

    Held back are bytes of an unfinished UTF-8 character, and an end that a stop string could begin with.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.text = ""
        """All of it so far, without the held back end."""
        self.stopped = False
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def add(self, data: bytes) -> str:
        """Take bytes; the text that is certain now. Sets `stopped` when a stop string is complete."""
        self._held += self._decode(data)
        ends = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            self.stopped = True
            return self._give(min(ends))
        return self._give(len(self._held) - self._doubtful())

    def finish(self) -> str:
        """No more bytes come; the rest of the text."""
        if self.stopped:
            return ""
        self._held += self._decode(b"", True)
        return self._give(len(self._held))

    def _give(self, size: int) -> str:
        given, self._held = self._held[:size], self._held[size:]
        self.text += given
        return given

    def _doubtful(self) -> int:
        """Length of the longest end of the held text that is a beginning of a stop string."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0
