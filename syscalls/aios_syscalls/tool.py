"""Family tool: call a tool, list the tools."""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from aios_syscalls.base import Effect, Many, Reply, Syscall
from aios_syscalls.json_value import JsonObject
from aios_syscalls.llm import ToolSpec

__all__ = [
    "CallTool",
    "CallToolReply",
    "ListTools",
    "ListToolsReply",
    "ToolCall",
]


class CallToolReply(Reply):
    """What the tool returned, as JSON."""

    value: JsonValue


class CallTool(Syscall[CallToolReply]):
    """Run a registered tool; arguments off its schema are a BadRequest that names the field."""

    name: ClassVar[str] = "tool.call"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE

    tool: str
    arguments: JsonObject = {}


class ListToolsReply(Reply):
    """The tools that the caller may use, by name."""

    tools: tuple[ToolSpec, ...]


class ListTools(Syscall[ListToolsReply]):
    """Describe tools; no names means all of them."""

    name: ClassVar[str] = "tool.list"
    effect: ClassVar[Effect] = Effect.PURE

    names: Many[str] = ()


ToolCall = CallTool | ListTools
