"""The first frame of a connection to the daemon, and the daemon's answer to it."""

from __future__ import annotations

from typing import Any

import anyio

from aios import __version__
from aios.frames import Frames
from aios.link.forks import close_in_forks
from aios.link.place import Place
from aios_syscalls import Conflict, NoKernel
from aios_syscalls.errors import from_wire

PROTOCOL = 1
"""Of the frames that daemon and clients send each other; it changes with each form that an older side cannot read."""


def greeting(purpose: str, **more: Any) -> dict[str, Any]:
    """What a client says first: what it is of, what it is here for, and what goes with that."""
    return {"aios": PROTOCOL, "version": __version__, "for": purpose, **more}


def check_greeting(frame: Any) -> str:
    """What a client is here for. Raises Conflict for one of another protocol, or none."""
    if not isinstance(frame, dict) or frame.get("aios") != PROTOCOL:
        version = frame.get("version", "unknown") if isinstance(frame, dict) else "unknown"
        raise Conflict(
            f"the daemon is aios {__version__} with protocol {PROTOCOL}, and the client {str(version)[:40]} speaks "
            "another one; start the daemon anew: aios restart"
        )
    return str(frame.get("for"))


async def greeted(place: Place, purpose: str, **more: Any) -> tuple[Frames, Any]:
    """A connection to the daemon, and its answer. Raises NoKernel, and what the daemon refuses with."""
    sock = place.dial()
    if sock is None:
        raise NoKernel(f"no daemon runs at {place.directory.parent}; start one: aios up")
    if purpose == "client":
        close_in_forks(sock)
    frames = Frames.over(sock)
    try:
        await frames.send(greeting(purpose, **more))
        answer = await frames.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await frames.__aexit__(None, None, None)
        raise NoKernel(f"the daemon at {place.directory.parent} hung up; see why: aios logs") from None
    except BaseException:
        await frames.__aexit__(None, None, None)
        raise
    if "error" in answer:
        await frames.__aexit__(None, None, None)
        raise from_wire(answer["error"])
    return frames, answer["ok"]
