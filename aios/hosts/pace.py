"""How fast the calls of one agent come in: one that sends thousands takes no more of the event loop than any other."""

from __future__ import annotations

import anyio.lowlevel

PASSES = 16
"""Passes of the event loop within which a call is through that nothing holds up, from its frame to its answer's."""


class Pace:
    """Lets a call in once the one before it is through, or has had as many passes of the loop as that takes.

    In each pass every task that is ready makes one step, and a call needs several. An agent whose calls came in as
    they are read would make a step for its reader, its writer and each call between them in every pass, and so
    everybody else's call, which takes as many passes, would take that many times as long. With one call in motion at
    a time it makes one step a pass, as does an agent that makes its calls one after the other. A call that waits for
    its slot or for a tool is past its passes, and the next goes by it.
    """

    def __init__(self) -> None:
        self._moving: int | None = None

    async def enter(self, id: int) -> None:
        """Wait until the call may come in; it is in motion then."""
        for _ in range(PASSES):
            if self._moving is None:
                break
            await anyio.lowlevel.checkpoint()
        self._moving = id

    def through(self, id: int) -> None:
        """The call's answer has been sent."""
        if id == self._moving:
            self._moving = None
