"""Several awaitables at once."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable
from typing import TypeVar

import anyio

from aios_syscalls import BadRequest

T = TypeVar("T")


async def gather(*awaitables: Awaitable[T], width: int = 32) -> list[T]:
    """Await all, `width` at a time; their results in order. The first error cancels the rest and is raised as it is.

    The width keeps a program below the number of syscalls that one process may have under way.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise BadRequest(f"width is {width!r}; give how many may run at once, 1 or more", "width")
    for index, awaitable in enumerate(awaitables):
        if not isawaitable(awaitable):
            raise BadRequest(
                f"argument {index} of gather is {type(awaitable).__name__}, nothing to be awaited; give "
                "calls that are not awaited yet, as in gather(agent.ask(a), agent.ask(b))",
                str(index),
            )
    results: dict[int, T] = {}
    failures: list[Exception] = []
    places = anyio.Semaphore(width)

    async def one(index: int, awaitable: Awaitable[T]) -> None:
        try:
            async with places:
                results[index] = await awaitable
        except Exception as error:
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for index, awaitable in enumerate(awaitables):
            tasks.start_soon(one, index, awaitable)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(awaitables))]
