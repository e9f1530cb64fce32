"""Starting, ending and asking the daemon of this home."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

import anyio
import anyio.to_thread

from aios.link.control import ask_daemon
from aios.link.launch import daemon_command, daemon_environment, start_daemon
from aios.link.place import Place
from aios.record import lives
from aios.terminal.output import say
from aios_syscalls import Cancelled, Conflict, Expired, NoKernel

END_S = 30.0
"""For which a daemon that was told to end may take."""
LOOK_S = 0.05
PATIENCE_S = 2.0
"""After which it is told what is waited for."""


def ask(question: Mapping[str, Any]) -> Any:
    """The daemon's answer. Raises NoKernel, Expired, and what it answers with."""
    return anyio.run(ask_daemon, Place.of_home(), dict(question))


def up() -> tuple[dict[str, Any], bool]:
    """Start a daemon, where none runs, and wait until it is ready; its status, and whether it is new."""
    return anyio.run(_up, Place.of_home())


async def _up(place: Place) -> tuple[dict[str, Any], bool]:
    with suppress(NoKernel):
        status = await ask_daemon(place, {"status": True})
        if not status["ending"]:
            return status, False
        say(f"waits for the daemon that ends, process {status['os_pid']}")
        await anyio.to_thread.run_sync(_await_end, status["os_pid"], status["began"])
    started = start_daemon(place)
    began = time.monotonic()

    def told(_status: Mapping[str, Any]) -> None:
        if time.monotonic() > began + PATIENCE_S:
            say("the daemon loads its models; see how far it is with: aios status, Ctrl-C leaves it to that", once=True)

    status = await started.ready(told)
    return status, status["os_pid"] == started.process.pid


def run_in_foreground() -> NoReturn:
    """Become the daemon."""
    place = Place.of_home()
    if (owner := place.owner()) is not None:
        raise Conflict(f"a daemon serves {place.directory.parent} already, process {owner}; end it with: aios down")
    command = daemon_command()
    os.execve(command[0], command, daemon_environment())


def down(*, wait: bool = False) -> int:
    """End the daemon, with `wait` once all its runs have ended; which process it was. Raises NoKernel, Expired."""
    place = Place.of_home()
    os_pid, began = anyio.run(_tell_to_end, place, wait)
    _await_end(os_pid, began)
    return os_pid


def _await_end(os_pid: int, began: float) -> None:
    until = time.monotonic() + END_S
    while lives(os_pid, began):
        if time.monotonic() > until:
            raise Expired(
                f"the daemon, process {os_pid}, was told to end and has not within {END_S:g} s; see why: aios logs, "
                f"or end it: kill -9 {os_pid}"
            )
        time.sleep(LOOK_S)


async def _tell_to_end(place: Place, wait: bool) -> tuple[int, float]:
    """Which process was told, and when it began."""
    try:
        status = await ask_daemon(place, {"status": True})
        if wait and status["runs"]:
            say(f"waits for {len(status['runs'])} runs to end; Ctrl-C lets the daemon go on")
        with suppress(Cancelled):  # it was quicker than its answer
            await ask_daemon(place, {"wait" if wait else "stop": True}, within_s=None if wait else END_S)
        return status["os_pid"], status["began"]
    except Conflict:  # of another version, which takes a signal all the same
        if (owner := place.owner()) is None:
            raise
        os.kill(owner, signal.SIGTERM)
        return owner, time.time()
