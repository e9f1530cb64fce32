"""The route of every call: by its family, or with the router's help over one model or several."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import anyio

from aios.kernel.core import Passage
from aios.models.base import guess_tokens
from aios.models.retries import MAX_AFTER_S, MOST, Retries
from aios.models.router import Decision, Router
from aios_syscalls import (
    AiosError,
    BadRequest,
    BudgetExceeded,
    Chat,
    ChatReply,
    EmbedReply,
    Feedback,
    LlmCall,
    ModelFailed,
    Noted,
    RankReply,
    Reply,
    Usage,
)
from aios_syscalls.port import discard

GOOD_ENOUGH = 0.5
"""How likely a cheap model's answer must be right, or the next model is asked."""


class Dispatch:
    """Leads calls over lanes: what is no model's goes to the lane of its family, `llm:NAME` serves the rest.

    A model that fails before its first word is tried again, or its place is taken by the next in the router's order;
    what has been heard is never taken back. With `hedge`, a second model is asked where the first is slower than it is
    with nineteen calls of twenty (Dean and Barroso 2013, The Tail at Scale).
    """

    def __init__(self, router: Router, retries: Retries, *, hedge: bool = False) -> None:
        self._router, self._retries, self._hedge = router, retries, hedge

    async def __call__(self, passage: Passage) -> Reply:
        call = passage.call
        if isinstance(call, Feedback):
            self._router.feedback(call.answered, passage.pid, call.score)
            return Noted()
        if not isinstance(call, LlmCall):
            return await passage.run(call.family())
        decision = self._router.decide(call, passage.pid, passage.program, passage.account.left())
        if decision.facts:
            passage.routed(decision.facts)
        self._retries.call()
        return await self._serve(passage, decision)

    async def _serve(self, passage: Passage, decision: Decision) -> Reply:
        waiting, attempts = list(decision.order), 0
        hopeless: set[str] = set()
        fair: tuple[Attempt, ChatReply] | None = None
        while True:
            attempt = Attempt(self._router, passage, waiting.pop(0), quiet=decision.judged and bool(waiting))
            attempts += 1
            try:
                if self._hedge and waiting and not decision.judged:
                    second = Attempt(self._router, passage, waiting[0])
                    attempt, outcome = await self._race(attempt, second)
                    if second.begun:
                        waiting.remove(second.name)
                    hopeless |= {each.name for each in (attempt, second) if each.hopeless}
                    if isinstance(outcome, AiosError):
                        raise outcome
                    reply = outcome
                else:
                    reply = await attempt.run()
            except (ModelFailed, BadRequest, BudgetExceeded) as error:
                if fair is not None and not attempt.heard:
                    attempt.leave(error.message)
                    return self._answered(passage, *fair)  # a fair answer is better than none
                try:
                    wait_s = self._wait(waiting, attempt, error, attempts, decision, hopeless)
                except AiosError:
                    attempt.settle()
                    raise
                attempt.leave(error.message)
                await anyio.sleep(wait_s)
                if len(waiting) == 1 and not self._router.healthy(waiting[0]):
                    raise
                continue
            except BaseException:
                attempt.settle()  # who gives up a call pays for what has come of it
                raise
            if fair is None and isinstance(reply, ChatReply) and decision.judged and waiting:
                verdict = self._router.judge(cast(Chat, passage.call), reply)
                if verdict.good < GOOD_ENOUGH:
                    self._router.escalated(cast(Chat, passage.call), reply, verdict)
                    attempt.leave(f"right with {verdict.good:.2f} only: {verdict.reason}", reply)
                    fair = attempt, reply
                    continue
            attempt.settle(reply)
            return self._answered(passage, attempt, reply)

    def _wait(
        self,
        waiting: list[str],
        attempt: Attempt,
        error: ModelFailed | BadRequest | BudgetExceeded,
        attempts: int,
        decision: Decision,
        hopeless: set[str],
    ) -> float:
        """How long to wait after an error before the first of `waiting` is tried; raises it where that is no use.

        `hopeless` are those that would only fail the same way again.
        """
        if isinstance(error, ModelFailed):
            self._router.forecast.speeds[attempt.name].failed()
        elif error.data.get("reason") != "context_length":
            raise error
        if attempt.heard:
            raise error
        after = error.data.get("retry_after_s")
        if attempt.hopeless:
            hopeless.add(attempt.name)
        waiting[:] = filter(self._router.healthy, waiting)
        if waiting:
            return 0.0
        again = [name for name in dict.fromkeys((*decision.order, attempt.name)) if name not in hopeless]
        if not again or attempts >= MOST or not self._retries.take():
            raise error
        name = min(filter(self._router.healthy, again), key=self._router.wait_s, default=again[-1])
        waiting.append(name)
        return self._retries.wait_s(attempts, after if name == attempt.name else None)

    async def _race(self, first: Attempt, second: Attempt) -> tuple[Attempt, Reply | AiosError]:
        """Who begins the answer first, with what came of it; the second begins late, and if there is a retry left."""
        slow_s = self._router.forecast.speeds[first.name].slow_s
        if slow_s is None:
            return first, await first.run()
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
                if not news.is_set() and self._retries.take():
                    tasks.start_soon(run, second, first)
        except BaseException:
            first.settle()
            second.settle()
            raise
        # Who spoke has won even if it failed then: nobody may speak after it.
        winner = won[0] if won else [*ended][-1]
        for loser in (first, second):
            if loser is not winner and loser.begun:
                other = ended.get(loser)
                if isinstance(other, ModelFailed):
                    self._router.forecast.speeds[loser.name].failed()
                why = other.message if isinstance(other, AiosError) else f"{winner.name!r} was faster"
                loser.leave(why, other if isinstance(other, Reply) else None)
        return winner, ended[winner]

    def _answered(self, passage: Passage, attempt: Attempt, reply: Reply) -> Reply:
        attempt.speak(reply)
        call = passage.call
        if not isinstance(reply, ChatReply) or not isinstance(call, Chat):
            return reply
        self._router.check(call, reply)
        self._router.served(passage.id, passage.pid, passage.program, call, reply)
        return reply.model_copy(update={"call": passage.id})


class Attempt:
    """One call with one model. A `quiet` one says nothing until its answer has been found good."""

    def __init__(self, router: Router, passage: Passage, name: str, *, quiet: bool = False) -> None:
        self.name, self.begun, self.scope = name, False, anyio.CancelScope()
        self._router, self._passage, self._quiet = router, passage, quiet
        self._call = cast(LlmCall, passage.call)
        self._pieces, self._stopped, self._settled = 0, False, False
        self.hopeless = False
        """Whether it failed, and would fail again."""

    @property
    def heard(self) -> bool:
        """Whether the caller has got some of the answer."""
        return self._pieces > 0 and not self._quiet and self._passage.emit is not discard

    async def run(self, on_word: Callable[[], None] = lambda: None) -> Reply:
        """The model's answer; `on_word` is called when its first piece is there. Raises what the lane raises."""

        def emit(piece: str) -> None:
            if self._stopped:
                return
            self._pieces += 1
            if self._pieces == 1:
                on_word()
            if not self._quiet:
                self._passage.emit(piece)

        self.begun = True
        try:
            with self._passage.account.holding(*self._router.forecast.most(self.name, self._call)):
                return await self._passage.run(f"llm:{self.name}", emit=emit)
        except AiosError as error:
            after = error.data.get("retry_after_s") or 0
            permanent = not isinstance(error, ModelFailed) or bool(error.data.get("permanent"))
            self.hopeless = permanent or after > MAX_AFTER_S
            raise

    def stop(self) -> None:
        """Somebody else was faster: not a word more."""
        self._stopped = True
        self.scope.cancel()

    def speak(self, reply: Reply) -> None:
        """Say at last what was held back."""
        if self._quiet and isinstance(reply, ChatReply) and reply.text:
            self._passage.emit(reply.text)

    def settle(self, reply: Reply | None = None) -> Usage:
        """Count what the answer took, or as far as was seen of one that broke off."""
        if isinstance(reply, ChatReply | EmbedReply | RankReply):
            usage = reply.usage
        elif self._pieces:
            usage = Usage(prompt_tokens=guess_tokens(self._call), completion_tokens=self._pieces, estimated=True)
        else:
            return Usage()
        if self._settled:
            return usage
        self._settled = True
        self._passage.charge(usage.total, self._router.forecast.usd(self.name, usage))
        return usage

    def leave(self, why: str, reply: Reply | None = None) -> None:
        """The call goes on elsewhere; what was taken here is counted."""
        usage = self.settle(reply)
        told = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        self._passage.left(f"llm:{self.name}", {"why": why, "model": self.name, "usage": told})
