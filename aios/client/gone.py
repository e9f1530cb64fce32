"""Hearing a daemon for as long as there is one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVarTuple

import anyio

from aios_syscalls import NoKernel

Ts = TypeVarTuple("Ts")


def daemon_gone() -> NoKernel:
    """The error of a call that the daemon did not live to answer."""
    return NoKernel("the daemon has gone, and what was asked of it with it; see why: aios logs; start one: aios up")


@asynccontextmanager
async def listening(listen: Callable[[*Ts], Coroutine[Any, Any, None]], *arguments: *Ts) -> AsyncIterator[None]:
    """Run `listen` while the context is open, whose errors are raised as they are, not in an exception group."""
    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen, *arguments)
        try:
            yield
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
