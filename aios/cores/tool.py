"""The tool family on a tool box."""

from __future__ import annotations

from typing import Any, assert_never, cast

from aios.kernel.core import Turn
from aios.tools import ToolBox
from aios_syscalls import CallTool, CallToolReply, ListTools, ListToolsReply, Reply, Syscall, ToolCall


class ToolCore:
    """Calls and describes the tools of a box."""

    def __init__(self, box: ToolBox) -> None:
        self._box = box

    async def run(self, turn: Turn) -> Reply:
        return await serve_tool(self._box, turn.call)


async def serve_tool(box: ToolBox, call: Syscall[Any]) -> Reply:
    """The reply of a box to a call of the tool family. Raises BadRequest, NotFound, ToolFailed."""
    match cast(ToolCall, call):
        case CallTool(tool=tool, arguments=arguments):
            return CallToolReply(value=await box.call(tool, arguments))
        case ListTools(names=names):
            return ListToolsReply(tools=box.specs(names))
        case never:
            assert_never(never)
