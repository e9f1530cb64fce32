"""Why an answer ended, in the words of many servers; no I/O."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import JsonValue

Finish = Literal["stop", "length", "tool_use"]

NO_END = re.compile(
    r"filter|safety|unsafe|harm|block|prohibit|recitation|spii|sensitive|moderat|polic|complian|guardrail|violat|toxic"
    r"|refus|den(?:y|ied)|error|fail|malform|unexpected|invalid|abort|cancel|interrupt|incomplete|pause|disconnect"
    r"|time.?d?.?out|overload|unavailable|insufficient|quota|rate.?limit|too_?many"
)
"""Reasons that mean a filter, an error or a break: what has come is no whole answer."""
LENGTH = re.compile(r"length|max.?(?:output.?|new.?)?tokens?|token.?limit|context.?window|truncat")
TOOLS = re.compile(r"tool|function")
NOT_YET = frozenset({"", "null", "none", "false", "0"})
"""What some servers send with each piece before the last."""


def reason(value: JsonValue) -> str | None:
    """What a server names as the end of an answer; None where it names none."""
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    text = "" if value is None else str(value)
    return None if text.strip().lower() in NOT_YET else text


def finish_of(named: str) -> Finish | None:
    """What a reason means; None for one that is no end. A word that nobody knows is an end: the server has stopped."""
    word = named.lower()
    if NO_END.search(word):
        return None
    if LENGTH.search(word):
        return "length"
    return "tool_use" if TOOLS.search(word) else "stop"
