"""The tool family on a tool box."""

from __future__ import annotations

from typing import assert_never, cast

from aios.kernel.core import Turn
from aios.tools import ToolBox
from aios_syscalls import CallTool, CallToolReply, ListTools, ListToolsReply, Reply, ToolCall


class ToolCore:
    """Calls and describes the tools of a box."""

    def __init__(self, box: ToolBox) -> None:
        self._box = box

    async def run(self, turn: Turn) -> Reply:
        match cast(ToolCall, turn.call):
            case CallTool(tool=tool, arguments=arguments):
                return CallToolReply(value=await self._box.call(tool, arguments))
            case ListTools(names=names):
                return ListToolsReply(tools=self._box.specs(names))
            case never:
                assert_never(never)
