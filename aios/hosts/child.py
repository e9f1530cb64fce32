"""The agent's side of its own process: run one program over one channel."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import anyio

from aios.frames import Frames, send_blocking
from aios.hosts import program
from aios.hosts.failure import failure, own_place, single
from aios.hosts.steady import SteadyLoop
from aios.sdk import Agent, SocketPort
from aios.wall import Level
from aios_syscalls import AgentFailed, AiosError

SEND_S = 5.0
"""For which a process that may be stuck tries to say why it failed."""


def main(channel: int, level: Level) -> int:
    """Serve the program that the kernel names on this socket, behind a wall of this level; the status to leave with."""
    return _Process(socket.socket(fileno=channel), level).run()


class _Process:
    """One program's run, and how it is ended: SIGTERM cancels it, and a second one interrupts it where it stands."""

    def __init__(self, sock: socket.socket, level: Level) -> None:
        self._sock, self._level = sock, level
        self._pid = os.getpid()
        self._name, self._program = "agent", Path("agent")
        self._status = 1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked = False

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._end)
        try:
            anyio.run(self._main, backend_options={"loop_factory": SteadyLoop})
        except BaseException as error:
            # A SystemExit or KeyboardInterrupt out of a task takes the event loop along. A process that the program
            # has forked does not speak for it.
            if not self._asked and os.getpid() == self._pid:
                self._send_blocking(self._failed(error))
        self._loop = None
        return self._status

    async def _main(self) -> None:
        self._scope = anyio.CancelScope()
        self._loop = asyncio.get_running_loop()
        frames = Frames.over(self._sock)  # not closed before the process ends: `run` may need it still
        order = await frames.receive()
        self._name, self._program = order["name"], Path(order["program"])
        port = self._port(frames, order)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(port.listen)
            with self._scope:
                outcome = await self._outcome(order, Agent(port, order["pid"], order.get("state")))
            if not self._scope.cancelled_caught:
                with suppress(Exception):  # the program's own, closed or replaced as it liked
                    sys.stdout.flush()  # before the kernel knows, for it then shows the log
                await frames.send(outcome)
            tasks.cancel_scope.cancel()

    def _port(self, frames: Frames, order: dict[str, Any]) -> SocketPort:
        if not order.get("durable"):
            return SocketPort(frames)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteadyLoop)
        loop.hold(order["clock"], repeating=order["repeating"])
        return SocketPort(frames, clock=loop, first=order["first"])

    async def _outcome(self, order: dict[str, Any], agent: Agent) -> dict[str, Any]:
        sys.path.append(str(self._program.parent))  # last: what lies beside a program replaces no module
        try:
            result = await program.run(self._program, agent, order["task"])
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            return self._failed(AgentFailed(f"{self._name} raised CancelledError, and nobody had cancelled it"))
        except BaseException as error:
            return self._failed(error)
        self._status = 0
        return {"result": result}

    def _failed(self, error: BaseException) -> dict[str, Any]:
        with suppress(Exception):  # as above
            traceback.print_exception(error)
        wire = failure(error, self._name, self._program, self._level).to_wire()
        cause = single(error)
        return {"error": wire, "at": own_place(cause, self._program) if isinstance(cause, AiosError) else None}

    def _send_blocking(self, frame: dict[str, Any]) -> None:
        with suppress(OSError):
            self._sock.settimeout(SEND_S)
            send_blocking(self._sock, frame)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        """Cancel the program by its event loop, if that still turns; else raise SystemExit in whatever it does."""
        if self._loop is not None and not self._asked:
            self._loop.call_soon_threadsafe(self._scope.cancel)
        elif self._loop is None or not self._scope.cancel_called:
            raise SystemExit("the kernel ends this process")
        self._asked = True
