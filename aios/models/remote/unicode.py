"""Text out of what servers send: halves of characters are joined across pieces, what is none becomes U+FFFD; no I/O.

Bytes that are no UTF-8 come here as PEP 383 has them (`surrogateescape`), so that a character whose bytes, or whose two
surrogates, were sent in two pieces is whole again.
"""

from __future__ import annotations

import re

_ODD = re.compile("[\0\ud800-\udfff]")
_LONE = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")
MAX_UNFINISHED = 3
"""Bytes, or halves, of a character that is not whole."""
_UNFINISHED = re.compile(
    "(?:[\ud800-\udbff]|[\udcc2-\udcdf]|[\udce0-\udcef][\udc80-\udcbf]?|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})\\Z"
)


def _is_plain(text: str) -> bool:
    """Whether nothing can be odd about it, as far as can be told in no time."""
    return text.isascii() and "\0" not in text


def well_formed(text: str) -> str:
    """`text` with its pairs of surrogates and its bytes joined; lone ones and NULs are U+FFFD."""
    if _is_plain(text) or not _ODD.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _LONE.sub("\ufffd", joined).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class Joiner:
    """Makes well-formed text of pieces; the beginning of a character waits for its end."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that `piece` completes."""
        if not self._held and _is_plain(piece):
            return piece
        text = self._held + piece
        held = _UNFINISHED.search(text[-MAX_UNFINISHED:])
        self._held = held.group() if held else ""
        return well_formed(text[: len(text) - len(self._held)])

    def flush(self) -> str:
        """What is left when no more comes."""
        held, self._held = self._held, ""
        return well_formed(held)
