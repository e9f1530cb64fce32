"""The zygote: a small process with the SDK loaded, which forks agents in milliseconds.

The kernel never forks itself: it has threads, an event loop and secrets that an agent must not inherit. Over its
one socket come `{"start": log}` with an agent's channel as a file descriptor, and `{"kill": pid}`; back go
`{"started": pid}` and, for each child, `{"exited": pid, "status": code}` (negative: the signal). When the socket
closes, the kernel is gone, and everything here ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NoReturn

import anyio
import anyio.lowlevel

from aios.hosts import child

PR_SET_PDEATHSIG = 1
"""Of prctl(2): an agent dies with the zygote, which alone could end it."""


class Zygote:
    """Forks, kills and reaps agents as the kernel says. One thread, no event loop."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._buffer = b""
        self._fds: list[int] = []

    def serve(self) -> None:
        """Work until the kernel hangs up; then end the agents that are left."""
        reaper, wakeup = socket.socketpair()
        wakeup.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(reaper, selectors.EVENT_READ)
        try:
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if reaper in ready:
                    reaper.recv(4096)
                    self._reap()
                if self._control in ready:
                    for order in self._orders():
                        self._obey(order)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)

    def _orders(self) -> Iterator[dict[str, Any]]:
        data, fds, _, _ = socket.recv_fds(self._control, 65536, 16)
        if not data:
            raise EOFError
        self._fds += fds
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        yield from map(json.loads, lines)

    def _obey(self, order: dict[str, Any]) -> None:
        if "start" in order:
            channel = self._fds.pop(0)
            pid = os.fork()
            if pid == 0:
                self._become_agent(channel, order["start"])
            os.close(channel)
            self._children.add(pid)
            self._tell({"started": pid})
        elif order["kill"] in self._children:
            os.kill(order["kill"], signal.SIGKILL)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._children.discard(pid)
                self._tell({"exited": pid, "status": os.waitstatus_to_exitcode(status)})

    def _tell(self, fact: dict[str, int]) -> None:
        self._control.sendall(json.dumps(fact).encode() + b"\n")

    def _become_agent(self, channel: int, log: str) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            for fd in self._fds:
                os.close(fd)
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(out, 1)
            os.dup2(out, 2)
            # By line, so that a killed agent's output is there too.
            sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
            child.main(channel)
            code = 0
        finally:
            # Never back into the zygote's own frames, whatever happened.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    # Loads the event loop's modules once, here, instead of in every agent.
    anyio.run(anyio.lowlevel.checkpoint)
    Zygote(socket.socket(fileno=int(sys.argv[1]))).serve()
