"""The route of every call: by its family, or with the router's help over one model or several."""

from __future__ import annotations

import anyio

from aios.kernel.core import RoutedCall
from aios.routing.attempt import Attempt
from aios.routing.race import race
from aios.routing.retries import MAX_ATTEMPTS, Retries
from aios.routing.router import Decision, Router
from aios_syscalls import (
    AiosError,
    BadRequest,
    BudgetExceeded,
    CallId,
    Chat,
    ChatReply,
    GiveFeedback,
    GiveFeedbackReply,
    LlmCall,
    ModelFailed,
    Reply,
)

GOOD_ENOUGH = 0.5
"""How likely a cheap model's answer must be right, or the next model is asked."""

Failure = ModelFailed | BadRequest | BudgetExceeded


class Dispatch:
    """Leads calls over lanes: what is no model's goes to the lane of its family, `llm:NAME` serves the rest.

    A model that fails before its first word is tried again, or its place is taken by the next in the router's order;
    what has been heard is never taken back. With `hedge`, a second model is asked where the first is slower than it is
    with nineteen calls of twenty.
    """

    def __init__(self, router: Router, retries: Retries, *, hedge: bool = False) -> None:
        self._router, self._retries, self._hedge = router, retries, hedge

    async def __call__(self, passage: RoutedCall) -> Reply:
        call = passage.call
        if isinstance(call, GiveFeedback):
            self._router.feedback(CallId.parse(call.answered), passage.pid, call.score)
            return GiveFeedbackReply()
        if not isinstance(call, LlmCall):
            return await passage.run(call.family())
        decision = self._router.decide(call, passage.pid, passage.program, passage.account.left())
        if decision.facts:
            passage.routed(decision.facts)
        self._retries.call()
        return await FallbackRun(passage, decision, self._router, self._retries, hedge=self._hedge).run()


class FallbackRun:
    """One call's way over models: at most `MAX_ATTEMPTS` attempts with those that have failed, one with each other."""

    def __init__(
        self, passage: RoutedCall, decision: Decision, router: Router, retries: Retries, *, hedge: bool
    ) -> None:
        self._passage, self._decision, self._router, self._retries = passage, decision, router, retries
        self._hedge = hedge and not decision.judged
        self._waiting = list(decision.order)
        self._attempts = 0
        self._permanent_failures: set[str] = set()
        """Who would only fail the same way again."""
        self._best_rejected: tuple[float, Attempt, ChatReply] | None = None
        """The best answer that was not good enough, and how likely it is right."""

    async def run(self) -> Reply:
        """The answer of the first model that gives one which will do; raises the last error where none does."""
        while True:
            attempt = Attempt(self._router, self._passage, self._waiting.pop(0), quiet=self._judges())
            self._attempts += 1
            try:
                attempt, outcome = await self._try(attempt)
            except BaseException:
                attempt.bill()  # who gives up a call pays for what has come of it
                raise
            if isinstance(outcome, AiosError):
                await self._fail(attempt, outcome)
            elif self._will_do(attempt, outcome):
                attempt.bill(outcome)
                return self._answer(attempt, outcome)
            if not self._waiting:
                # Nobody is left who could do better, and a fair answer is better than none.
                assert self._best_rejected is not None
                return self._answer(*self._best_rejected[1:])

    def _judges(self) -> bool:
        """Whether the next answer is judged: there is somebody left to ask."""
        return self._decision.judged and bool(self._waiting)

    async def _try(self, attempt: Attempt) -> tuple[Attempt, Reply | Failure]:
        """What came of an attempt, or of the one that overtook it."""
        slow_s = self._router.slow_s(attempt.name) if self._hedge and self._waiting else None
        if slow_s is None:
            try:
                return attempt, await attempt.run()
            except (ModelFailed, BadRequest, BudgetExceeded) as error:
                return attempt, error
        second = Attempt(self._router, self._passage, self._waiting[0])
        winner, outcome = await race(attempt, second, slow_s, self._retries.take)
        if second.begun:
            self._waiting.remove(second.name)
        self._permanent_failures |= {each.name for each in (attempt, second) if each.permanent_failure}
        if isinstance(outcome, AiosError) and not isinstance(outcome, Failure):
            raise outcome
        return winner, outcome

    async def _fail(self, attempt: Attempt, error: Failure) -> None:
        """See to it that the next of the waiting, if there is one, is worth a try; raises the error otherwise."""
        if attempt.heard or not (self._best_rejected or self._retryable(error)):
            attempt.bill()
            raise error
        if attempt.permanent_failure:
            self._permanent_failures.add(attempt.name)
        self._waiting = list(filter(self._router.healthy, self._waiting))
        wait_s = 0.0
        if not self._waiting and self._best_rejected is None:
            wait_s = self._again(attempt, error)
        attempt.abandon(error.message)
        await anyio.sleep(wait_s)
        if wait_s and not self._router.healthy(self._waiting[0]):
            raise error

    def _retryable(self, error: Failure) -> bool:
        """Whether another model, or another attempt, may do better."""
        return isinstance(error, ModelFailed) or error.data.get("reason") == "context_length"

    def _again(self, attempt: Attempt, error: Failure) -> float:
        """Let a model be tried again, and say after how many seconds; raises the error where that is no use."""
        tried = dict.fromkeys((*self._decision.order, attempt.name))
        again = [name for name in tried if name not in self._permanent_failures]
        if not again or self._attempts >= MAX_ATTEMPTS or not self._retries.take():
            attempt.bill()
            raise error
        name = min(filter(self._router.healthy, again), key=self._router.wait_s, default=again[-1])
        self._waiting.append(name)
        after_s = error.data.get("retry_after_s") if name == attempt.name else None
        return self._retries.wait_s(self._attempts, after_s)

    def _will_do(self, attempt: Attempt, reply: Reply) -> bool:
        """Whether an answer is good enough, or nobody is left to give a better one."""
        call = self._passage.call
        if not self._judges() or not isinstance(reply, ChatReply) or not isinstance(call, Chat):
            return True
        verdict = self._router.judge(call, reply)
        if verdict.good >= GOOD_ENOUGH:
            return True
        self._router.escalated(call, reply, verdict)
        attempt.abandon(f"right with {verdict.good:.2f} only: {verdict.reason}", reply)
        if self._best_rejected is None or verdict.good > self._best_rejected[0]:
            self._best_rejected = verdict.good, attempt, reply
        return False

    def _answer(self, attempt: Attempt, reply: Reply) -> Reply:
        attempt.flush(reply)
        call = self._passage.call
        if not isinstance(reply, ChatReply) or not isinstance(call, Chat):
            return reply
        self._router.check(call, reply)
        self._router.served(self._passage.id, self._passage.pid, self._passage.program, call, reply)
        return reply.model_copy(update={"call": str(self._passage.id)})
