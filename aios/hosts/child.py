"""The agent's side of its own process: run one program over one channel."""

from __future__ import annotations

import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import anyio

from aios.frames import Frames
from aios.hosts import program
from aios.sdk import Agent
from aios.sdk.socket_port import SocketPort
from aios_syscalls import AgentFailed, AiosError


def main(channel: int) -> None:
    """Serve the program that the kernel names on this socket, then end."""
    anyio.run(_main, socket.socket(fileno=channel))


async def _main(sock: socket.socket) -> None:
    async with Frames.over(sock) as frames:
        order = await frames.receive()
        port = SocketPort(frames)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(port.listen)
            outcome = await _outcome(order, Agent(port, order["pid"]))
            sys.stdout.flush()  # once the kernel has the outcome, it may end this process
            await frames.send(outcome)
            tasks.cancel_scope.cancel()


async def _outcome(order: dict[str, Any], agent: Agent) -> dict[str, Any]:
    path = Path(order["program"])
    try:
        return {"result": await program.run(path, agent, order["task"])}
    except AiosError as error:
        return {"error": error.to_wire()}
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        line = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(line.filename).name}:{line.lineno}"
        failure = AgentFailed(f"{path.stem} raised {type(error).__name__} at {where}: {error}")
        return {"error": failure.to_wire()}
