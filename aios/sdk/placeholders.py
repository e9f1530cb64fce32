"""Marks in texts for answers that are still to come; nobody can make one up who has not been shown one."""

from __future__ import annotations

import re
import secrets
from functools import cache


def mark(graph: int, index: int) -> str:
    """The mark of a call of a graph."""
    return f"\x02{_key()}:{graph}:{index}\x03"


def within(text: str) -> bool:
    """Whether there is a mark of any graph in a text."""
    return _key() in text


def cut(text: str) -> list[str | tuple[int, int]]:
    """A text in parts, none empty; a mark as its graph and index."""
    pieces = re.split(f"\x02{_key()}:([0-9]+):([0-9]+)\x03", text)
    found: list[str | tuple[int, int]] = [pieces[0]]
    for graph, index, rest in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        found += (int(graph), int(index)), rest
    return [part for part in found if part != ""]


@cache
def _key() -> str:
    # At the first use, not at import: agents are forks of one process that has imported this.
    return secrets.token_hex(16)
