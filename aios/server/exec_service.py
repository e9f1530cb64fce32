"""One command that runs under `aios exec`: a process of the kernel, with a token of its own for the wires."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from aios.boot import BootedKernel
from aios.frames import Frames
from aios.link.order import RunOrder
from aios.server.callers import Callers
from aios.server.door import Principal
from aios.server.orders import open_order
from aios.server.sessions import SessionHost, client_process, without_time_limit
from aios.server.tokens import Tokens


async def serve_command(
    frames: Frames,
    order: RunOrder,
    program: str,
    task: str,
    booted: BootedKernel,
    callers: Callers,
    tokens: Tokens,
    listen: Callable[[], Awaitable[str]],
) -> None:
    """A run whose process is a command, until that has ended or is killed; what asks with its token is its child."""
    config, host = without_time_limit(order.configuration()), SessionHost()
    opening = open_order(booted, order, config, host)
    url = await listen()
    async with opening as opened, client_process(opened.run, host, program, task) as session:
        principal = Principal(f"exec-{session.pid}")
        with tokens.lent(principal) as token:
            async with callers.member_run(principal, opened.run, host, session.pid):
                models = [{"name": each.name, "context": each.context} for each in callers.models()]
                await frames.send({"pid": session.pid, "token": token, "url": url, "models": models})
                await _until_over(frames, session.ended)


async def _until_over(frames: Frames, ended: anyio.Event) -> None:
    """Wait until the command's side hangs up, or its process was ended."""
    async with anyio.create_task_group() as tasks:

        async def hear() -> None:
            with suppress(anyio.EndOfStream, ValueError, anyio.DelimiterNotFound):
                while True:
                    await frames.receive()
            tasks.cancel_scope.cancel()

        tasks.start_soon(hear)
        await ended.wait()
        tasks.cancel_scope.cancel()
