"""Starting the daemon of a home in the background."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from aios.link.control import ask_daemon
from aios.link.place import Place
from aios.python import child_path, module_command
from aios_syscalls import NoKernel

MODULE = "aios.server.daemon"
LOOK_S = 0.05
"""Between two looks at whether it answers."""
TOLD = 20
"""Lines of its log that tell why one did not come to start."""


def daemon_command(*, idle: bool = False) -> list[str]:
    """What runs the daemon; with `idle` it ends when nobody has needed it for a while."""
    return module_command(MODULE, *(["--idle"] if idle else []))


def daemon_environment() -> dict[str, str]:
    """This process's, in which nothing depends on the directory that it is in: the daemon is in another."""
    home = os.environ.get("AIOS_HOME")
    absolute = {"AIOS_HOME": str(Path(home).expanduser().absolute())} if home else {}
    return {**os.environ, "PYTHONPATH": child_path(), **absolute}


@dataclass
class StartedDaemon:
    """A daemon on its way up."""

    place: Place
    process: subprocess.Popen[bytes]
    begins: int
    """Where in the log its own lines begin."""

    async def ready(self, told: Callable[[dict[str, Any]], None] = lambda _status: None) -> dict[str, Any]:
        """Wait until a daemon with its models serves the home, this one or one that was quicker; its status.

        `told` hears of it meanwhile. Raises NoKernel where it has died.
        """
        while True:
            ended = self.process.poll() is not None
            try:
                status: dict[str, Any] = await ask_daemon(self.place, {"status": True})
            except NoKernel:
                if ended:
                    raise self._died() from None
            else:
                told(status)
                if status["ready"]:
                    return status
            await anyio.sleep(LOOK_S)

    def _died(self) -> NoKernel:
        """What to say of one that has not come to start."""
        return NoKernel(f"the daemon did not start; its log {self.place.log} says:\n{self._last_lines()}")

    def _last_lines(self) -> str:
        try:
            with open(self.place.log, "rb") as file:
                file.seek(self.begins)
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        return "\n".join(lines[-TOLD:]) or "nothing"


def start_daemon(place: Place, *, idle: bool = False) -> StartedDaemon:
    """Start a daemon that outlives this process and its terminal. Raises StorageFailed."""
    place.make()
    log = os.open(place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        begins = os.fstat(log).st_size
        process = subprocess.Popen(
            daemon_command(idle=idle),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=daemon_environment(),
            start_new_session=True,
        )
        # It outlives who starts it; should it not, somebody has to take notice of its end.
        threading.Thread(target=process.wait, daemon=True).start()
        return StartedDaemon(place, process, begins)
    finally:
        os.close(log)
