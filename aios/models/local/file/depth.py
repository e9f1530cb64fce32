"""How deeply a call's JSON is nested: what reads it in the worker gives up at 200 levels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aios_syscalls import BadRequest, Chat, Rank

DEEPEST = 180
"""Levels of a value within a call."""


def is_too_deep(value: Any, most: int = DEEPEST) -> bool:
    """Whether a JSON value has more levels than `most`."""
    level, depth = [value], 0
    while level and depth <= most:
        containers = [each for each in level if isinstance(each, dict | list | tuple)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
        depth += 1
    return bool(level)


def check_depth(call: Chat | Rank) -> None:
    """Raises BadRequest, which names the field, for a call that the worker could not read."""
    for field, value in _values(call):
        if is_too_deep(value):
            raise BadRequest(f"{field} is nested too deeply, more than {DEEPEST} levels; flatten it", field)


def _values(call: Chat | Rank) -> Iterator[tuple[str, Any]]:
    if isinstance(call, Chat) and call.response_schema is not None:
        yield "response_schema", call.response_schema
    for tool in call.tools:
        yield "tools", tool.parameters
    for message in call.messages:
        for use in message.tool_uses:
            yield "messages", use.arguments
