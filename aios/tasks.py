"""What tasks need beside anyio's own: something that happens again and again, and tasks beside an object's life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


class Signal:
    """Wakes all who wait, each time that it is notified; what was notified before is not waited for."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def notify(self) -> None:
        """It happens now."""
        happened, self._next = self._next, anyio.Event()
        happened.set()

    async def wait(self) -> None:
        """Until it happens next."""
        await self._next.wait()


@asynccontextmanager
async def background_tasks() -> AsyncIterator[TaskGroup]:
    """A task group whose body raises errors as they are: only those of its tasks come as a group.

    Leaving it waits for the tasks, which are cancelled first where they could not begin or the body cancels them.
    """
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    try:
        yield tasks
    finally:
        await tasks.__aexit__(None, None, None)
