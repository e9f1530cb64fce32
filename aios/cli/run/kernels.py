"""The kernel that a run is on: the daemon's where one runs that is made alike, or one of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

from aios.boot import BootedRun, DaemonRun, Durability, boot, run_on_daemon
from aios.config import Config
from aios.link.control import ask_daemon
from aios.link.launch import start_daemon
from aios.link.place import Place
from aios.terminal.output import say
from aios_syscalls import Conflict, NoKernel

OWN = frozenset({"models", "mains"})
"""Options that only a kernel of its own can have."""
Choice = Literal["daemon", "embedded"]
"""Where the user wants a run; without a choice on the daemon, if one runs."""


@asynccontextmanager
async def opened(
    config: Config, choice: Choice | None = None, durable: bool | Durability | None = None, **options: Any
) -> AsyncIterator[BootedRun | DaemonRun]:
    """A run; `options` are those of `boot`. Raises NoKernel where the daemon is wanted and none runs.

    Unless `durable` says otherwise, a run on the daemon can be resumed and another cannot; a Durability is of the run
    that is to be resumed.
    """
    async with AsyncExitStack() as stack:
        if run := await _on_daemon(stack, config, choice, {**options, "durable": _durability(durable, usual=True)}):
            yield run
        else:
            options["durable"] = _durability(durable, usual=False)
            yield await stack.enter_async_context(boot(config, **options))


def _durability(wanted: bool | Durability | None, *, usual: bool) -> Durability | None:
    if isinstance(wanted, Durability):
        return wanted
    return Durability() if (usual if wanted is None else wanted) else None


async def running_daemon() -> None:
    """See to it that a daemon runs: one that is started here ends when nobody has needed it for a while."""
    place = Place.of_home()
    try:
        await ask_daemon(place, {"status": True})
    except NoKernel:
        started = start_daemon(place, idle=True)
        await started.ready(lambda _status: None)
        say("a daemon was started, which ends when nobody has needed it for 15 minutes; end it with: aios down")


async def _on_daemon(
    stack: AsyncExitStack, config: Config, choice: Choice | None, options: dict[str, Any]
) -> DaemonRun | None:
    """A run on the daemon; None where there is to be none."""
    if choice == "embedded" or not config.isolate or options.keys() & OWN:
        return None
    if choice == "daemon":
        await running_daemon()
    try:
        return await stack.enter_async_context(run_on_daemon(config, **options))
    except NoKernel:
        if choice == "daemon":
            raise
    except Conflict as differs:
        if choice == "daemon":
            raise
        say(f"{differs.message}; this run has a kernel of its own")
    return None
