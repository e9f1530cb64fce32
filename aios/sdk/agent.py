"""What an agent program is given: every syscall as a method, family by family."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from pydantic import JsonValue

from aios.sdk.file_calls import FileCalls
from aios.sdk.gathering import gather
from aios.sdk.llm_calls import LlmCalls
from aios.sdk.process_calls import ProcessCalls
from aios.sdk.tool_calls import ToolCalls
from aios_syscalls.port import Port

T = TypeVar("T")


class Agent(LlmCalls, ToolCalls, FileCalls, ProcessCalls):
    """A process's view of the kernel; every method raises the ABI's errors."""

    def __init__(self, port: Port, pid: int, state: JsonValue = None) -> None:
        ProcessCalls.__init__(self, port, pid)
        self.state = state
        """What the program gave to its last `checkpoint` in an earlier life; None in one that begins."""

    async def gather(self, *awaitables: Awaitable[T], width: int = 32) -> list[T]:
        """As the function; futures of one graph are one syscall."""
        return await gather(*awaitables, width=width)
