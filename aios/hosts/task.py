"""Agents as tasks of the kernel's own event loop: for tests, and for programs that are trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from anyio import get_cancelled_exc_class

from aios.hosts import program as programs
from aios.hosts.failure import failure
from aios.sdk import Agent
from aios_syscalls import AiosError
from aios_syscalls.port import ProcessPort


class TaskHost:
    """Runs programs as tasks: nothing to start, nothing to copy, but a program that blocks, blocks everything.

    `mains` adds programs that are functions rather than files.
    """

    def __init__(self, directories: Sequence[Path] = (), mains: Mapping[str, programs.Main] | None = None) -> None:
        self._directories = directories or programs.default_directories()
        self._mains = mains or {}

    async def find(self, program: str) -> str:
        return program if program in self._mains else programs.program_name(program, self._directories)

    async def run(self, program: str, task: str, port: ProcessPort, pid: int) -> str:
        try:
            return await self._call(program, Agent(port, pid), task)
        except (get_cancelled_exc_class(), GeneratorExit, AiosError):
            raise
        except BaseException as error:  # nothing that a program raises may end the kernel
            raise failure(error, Path(program).stem, self._path(program)) from error

    async def _call(self, program: str, agent: Agent, task: str) -> str:
        if path := self._path(program):
            return await programs.run(path, agent, task)
        return await self._mains[program](agent, task)

    def _path(self, program: str) -> Path | None:
        return None if program in self._mains else programs.find_program(program, self._directories)
