"""Sockets that a forked child must not hold: with a copy in it, their peer would not see that the parent ended."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache
from weakref import WeakSet


def close_in_forks(sock: socket.socket) -> None:
    """Close the copy of a socket that each child forked from now on has."""
    _sockets().add(sock)


@cache
def _sockets() -> WeakSet[socket.socket]:
    sockets: WeakSet[socket.socket] = WeakSet()

    def close() -> None:
        for sock in list(sockets):
            with suppress(OSError):
                sock.close()

    os.register_at_fork(after_in_child=close)
    return sockets
