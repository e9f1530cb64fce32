"""The daemon's token and where it serves HTTP."""

from __future__ import annotations

from contextlib import suppress

from aios.link.control import ask_daemon
from aios.link.place import Place


async def listening(place: Place) -> str:
    """The URL at which the daemon serves HTTP, which it begins to if it did not. Raises NoKernel."""
    return str(await ask_daemon(place, {"listen": True}))


def made_new(place: Place) -> None:
    """Forget the token, so that the next who needs one makes it."""
    with suppress(FileNotFoundError):
        place.token.unlink()
