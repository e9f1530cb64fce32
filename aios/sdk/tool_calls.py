"""The tool family, as methods of whoever has a port."""

from __future__ import annotations

from pydantic import JsonValue

from aios_syscalls import CallTool, ListTools, ToolSpec
from aios_syscalls.port import Port


class ToolCalls:
    """Tools; every method raises the ABI's errors."""

    def __init__(self, port: Port) -> None:
        self.port = port

    async def call(self, tool: str, /, **arguments: JsonValue) -> JsonValue:
        """What a tool returns."""
        return (await self.port.submit(CallTool(tool=tool, arguments=arguments))).value

    async def tools(self, *names: str) -> tuple[ToolSpec, ...]:
        """Descriptions of the named tools, or of all."""
        return (await self.port.submit(ListTools(names=names))).tools
