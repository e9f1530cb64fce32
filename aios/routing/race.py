"""Two models at one call: hedging (Dean and Barroso 2013, The Tail at Scale)."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from aios.routing.attempt import Attempt
from aios_syscalls import AiosError, Reply


async def race(
    first: Attempt, second: Attempt, slow_s: float, may_hedge: Callable[[], bool]
) -> tuple[Attempt, Reply | AiosError]:
    """Who begins the answer first, with what came of it; the second begins after `slow_s` seconds of silence.

    Whoever speaks has won even if it fails then, for nobody may speak after it; the other is stopped at once.
    """
    ended: dict[Attempt, Reply | AiosError] = {}
    won: list[Attempt] = []
    news = anyio.Event()

    async def run(attempt: Attempt, other: Attempt) -> None:
        def win() -> None:
            if not won:
                won.append(attempt)
                other.stop()
                news.set()

        with attempt.scope:
            try:
                ended[attempt] = await attempt.run(win)
                win()
            except AiosError as error:
                ended[attempt] = error
        news.set()

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, first, second)
            with anyio.move_on_after(slow_s):
                await news.wait()
            if not news.is_set() and may_hedge():
                tasks.start_soon(run, second, first)
    except BaseException:
        first.bill()
        second.bill()
        raise
    winner = won[0] if won else [*ended][-1]
    for loser in (first, second):
        if loser is not winner and loser.begun:
            outcome = ended.get(loser)
            why = outcome.message if isinstance(outcome, AiosError) else f"{winner.name!r} was faster"
            loser.abandon(why, outcome if isinstance(outcome, Reply) else None)
    return winner, ended[winner]
