"""One client that has a process of its own on the daemon: what `aios.connect` talks to."""

from __future__ import annotations

from contextlib import suppress

import anyio

from aios.boot import BootedKernel, open_run, tool_box
from aios.config import runs_directory
from aios.cores.tool import ToolCore
from aios.frames import Frames
from aios.hosts.held import HeldBytes
from aios.hosts.session import Session
from aios.link.order import RunOrder
from aios.server.sessions import SessionHost, client_process, without_time_limit
from aios_syscalls import AiosError, Cancelled


async def serve_client(frames: Frames, order: RunOrder, program: str, booted: BootedKernel, held: HeldBytes) -> None:
    """A run with one process, which is the client, until it hangs up or is killed."""
    config, host = without_time_limit(order.configuration()), SessionHost()
    directory = runs_directory() / order.id
    tools = ToolCore(tool_box(config, directory))
    opening = open_run(booted, config, directory, host, tools, order.facts, model=config.model, priority=order.priority)
    async with opening as opened, client_process(opened.run, host, program) as session:
        await frames.send({"pid": session.pid})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_hang_up, session.ended, tasks.cancel_scope)
            with suppress(anyio.EndOfStream, AiosError):
                await Session(frames, opened.run.port(session.pid), anyio.Event(), HeldBytes(within=held)).serve()
            tasks.cancel_scope.cancel()
        if session.killed:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await frames.send({"closed": Cancelled(f"process {session.pid} was killed").to_wire()})


async def _hang_up(ended: anyio.Event, scope: anyio.CancelScope) -> None:
    await ended.wait()
    scope.cancel()
