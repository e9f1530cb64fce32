"""Counts the tokens of prompts in a process of its own, which no generation holds up."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

from aios.frames import Frames
from aios.models.local.supervisor.process import worker_environment
from aios.python import module_command
from aios_syscalls import Chat, ModelFailed
from aios_syscalls.errors import from_wire

MODULE = "aios.models.local.engine.tokenizer"
ATTEMPTS = 2
"""At a count: a process that has died meanwhile is started anew once."""


class Tokenizer:
    """Tells how many tokens a model would read of a chat; the first question starts its process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asking = anyio.Lock()
        self._running: tuple[Process, Frames] | None = None

    async def count(self, chat: Chat) -> int:
        """The tokens of the chat's prompt, template and tools included. Raises BadRequest, ModelFailed."""
        question = {"chat": chat.model_dump(mode="json")}
        async with self._asking:
            for _ in range(ATTEMPTS):
                with anyio.CancelScope(shield=True):  # half an answer would be taken for the next one's
                    answer = await self._answer(question)
                if answer is not None:
                    break
        if answer is None:
            raise ModelFailed(f"the process that counts tokens for {self._path} has died {ATTEMPTS} times; try again")
        if error := answer.get("error") or answer.get("failed"):
            raise from_wire(error)
        return int(answer["tokens"])

    async def close(self) -> None:
        """End the process, if there is one."""
        running, self._running = self._running, None
        if running is None:
            return
        process, frames = running
        with anyio.CancelScope(shield=True):
            await frames.__aexit__(None, None, None)
            if process.returncode is None:
                process.kill()
            await process.aclose()

    async def _answer(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """What the process says; None where it has died."""
        try:
            if self._running is None:
                self._running = await self._start()
                hello: dict[str, Any] = await self._running[1].receive()
                if "failed" in hello:
                    await self.close()
                    return hello
            _, frames = self._running
            await frames.send(question)
            answer: dict[str, Any] = await frames.receive()
            return answer
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.close()
            return None

    async def _start(self) -> tuple[Process, Frames]:
        ours, theirs = socket.socketpair()
        with theirs:
            command = module_command(MODULE, str(theirs.fileno()), str(self._path.absolute()))
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=worker_environment(),
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )
        return process, Frames.over(ours)
