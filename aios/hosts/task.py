"""Agents as tasks of the kernel's own event loop: for tests, and for programs that are trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aios.hosts import program as programs
from aios.sdk import Agent
from aios_syscalls.port import Port


class TaskHost:
    """Runs programs as tasks: nothing to start, nothing to copy, but a program that blocks, blocks everything.

    `mains` adds programs that are functions rather than files.
    """

    def __init__(self, directories: Sequence[Path] = (), mains: Mapping[str, programs.Main] | None = None) -> None:
        self._directories = directories or programs.default_directories()
        self._mains = mains or {}

    def find(self, program: str) -> str:
        return program if program in self._mains else programs.name(program, self._directories)

    async def run(self, program: str, task: str, port: Port, pid: int) -> str:
        agent = Agent(port, pid)
        if program in self._mains:
            return await self._mains[program](agent, task)
        return await programs.run(programs.find(program, self._directories), agent, task)
