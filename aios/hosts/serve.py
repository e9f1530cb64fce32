"""Serving one agent: its order, its calls, and how it ended, wherever its process is."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import anyio

from aios.frames import Frames
from aios.hosts.held import HeldBytes
from aios.hosts.session import NotAFrame, Session
from aios_syscalls import AgentFailed, AiosError, ReplayMismatch
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.port import ProcessPort


class AgentProcess(Protocol):
    """A process that runs a program, of this machine's or of a client's."""

    @property
    def program(self) -> str: ...

    @property
    def order(self) -> Mapping[str, Any]:
        """What it is told first, beside its task."""

    @property
    def exited(self) -> anyio.Event:
        """Set when it has ended."""

    async def leave(self) -> None:
        """Give it the time that it needs to end by itself, and then end it."""

    async def exit_reason(self) -> str:
        """How it ended without a result, as in "was ended by SIGKILL; what it printed is in ..."."""


def agent_frames(channel: socket.socket) -> Frames:
    """The kernel's end of an agent's channel."""
    # Not whole: an agent that does not read what it is sent must not outlive its cancellation.
    return Frames.over(channel, MAX_CALL_BYTES + 1024, whole=False)


async def serve_agent(agent: AgentProcess, task: str, frames: Frames, port: ProcessPort, held: HeldBytes) -> str:
    """An agent's result, once its process has come to its end. Raises AgentFailed, or the error that it ended with."""
    with suppress(anyio.BrokenResourceError):  # it has closed its channel, which the session finds
        opening = port.replay_log.opening() if port.replay_log else {}
        await frames.send({**agent.order, "task": task, **opening})
    result: str | AiosError
    try:
        result = await Session(frames, port, agent.exited, HeldBytes(within=held), port.replay_log).serve()
    except anyio.EndOfStream:
        raise AgentFailed(f"{agent.program} {await agent.exit_reason()}") from None
    except (NotAFrame, ReplayMismatch):
        raise
    except AiosError as error:
        result = error
    await agent.leave()
    if isinstance(result, AiosError):
        raise result
    return result
