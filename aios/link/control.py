"""One question to the daemon of a home, and its answer."""

from __future__ import annotations

from typing import Any

import anyio

from aios.link.greeting import greeted
from aios.link.peer import Peer, unknown
from aios.link.place import Place
from aios_syscalls import AiosError, Expired

ANSWER_S = 10.0
"""For which a daemon that is well may take to answer."""


async def ask_daemon(place: Place, question: dict[str, Any], within_s: float | None = ANSWER_S) -> Any:
    """The daemon's answer. Raises NoKernel where none runs, Expired, and what it answers with."""
    with anyio.move_on_after(within_s):
        return await _ask(place, question)
    raise Expired(
        f"the daemon, process {place.owner()}, has not answered within {within_s:g} s; see why: aios logs, or end it: "
        f"kill -9 {place.owner()}"
    )


async def _ask(place: Place, question: dict[str, Any]) -> Any:
    frames, _ = await greeted(place, "control")
    answer: Any = None
    failure: AiosError | None = None
    async with frames, anyio.create_task_group() as tasks:
        peer = Peer(frames, _asked)
        tasks.start_soon(peer.serve)
        try:
            answer = await peer.ask(question)
        except AiosError as error:
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return answer


async def _asked(question: dict[str, Any]) -> Any:
    raise unknown(question)
