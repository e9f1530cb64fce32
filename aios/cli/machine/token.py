"""The daemon's token and where it serves HTTP."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio

from aios.link.greeting import greeted
from aios.link.peer import Peer, unknown
from aios.link.place import Place


async def asked_control(place: Place, question: dict[str, Any]) -> Any:
    """What the daemon answers to a question of control. Raises NoKernel."""
    frames, _ = await greeted(place, "control")
    async with frames, anyio.create_task_group() as tasks:
        peer = Peer(frames, _refuse)
        tasks.start_soon(peer.serve)
        answer = await peer.ask(question)
        tasks.cancel_scope.cancel()
    return answer


async def listening(place: Place) -> str:
    """The URL at which the daemon serves HTTP, which it begins to if it did not. Raises NoKernel."""
    return str(await asked_control(place, {"listen": True}))


def made_new(place: Place) -> None:
    """Forget the token, so that the next who needs one makes it."""
    with suppress(FileNotFoundError):
        place.token.unlink()


async def _refuse(question: dict[str, Any]) -> Any:
    raise unknown(question)
