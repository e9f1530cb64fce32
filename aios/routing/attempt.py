"""One call with one model: what it says, what it takes, how it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import anyio

from aios.kernel.core import RoutedCall
from aios.models import guess_tokens
from aios.routing.retries import MAX_AFTER_S
from aios.routing.router import Router
from aios_syscalls import AiosError, ChatReply, EmbedReply, LlmCall, ModelFailed, RankReply, Reply, Usage
from aios_syscalls.port import discard


class Attempt:
    """One call with one model. A `quiet` one says nothing until its answer has been found good."""

    def __init__(self, router: Router, passage: RoutedCall, name: str, *, quiet: bool = False) -> None:
        self.name, self.begun, self.scope = name, False, anyio.CancelScope()
        self._router, self._passage, self._quiet = router, passage, quiet
        self._call = cast(LlmCall, passage.call)
        self._pieces, self._stopped, self._billed = 0, False, False
        self.permanent_failure = False
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
            if isinstance(error, ModelFailed):
                self._router.failed(self.name)
            after = error.data.get("retry_after_s") or 0
            permanent = not isinstance(error, ModelFailed) or bool(error.data.get("permanent"))
            self.permanent_failure = permanent or after > MAX_AFTER_S
            raise

    def stop(self) -> None:
        """Somebody else was faster: not a word more."""
        self._stopped = True
        self.scope.cancel()

    def flush(self, reply: Reply) -> None:
        """Say at last what was held back."""
        if self._quiet and isinstance(reply, ChatReply) and reply.text:
            self._passage.emit(reply.text)

    def bill(self, reply: Reply | None = None) -> Usage:
        """Count what the answer took, or as far as was seen of one that broke off."""
        if isinstance(reply, ChatReply | EmbedReply | RankReply):
            usage = reply.usage
        elif self._pieces:
            usage = Usage(prompt_tokens=guess_tokens(self._call), completion_tokens=self._pieces, estimated=True)
        else:
            return Usage()
        if self._billed:
            return usage
        self._billed = True
        self._passage.charge(usage.total, self._router.forecast.usd(self.name, usage))
        return usage

    def abandon(self, why: str, reply: Reply | None = None) -> None:
        """The call goes on elsewhere; what was taken here is counted."""
        usage = self.bill(reply)
        told = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        self._passage.left(f"llm:{self.name}", {"why": why, "model": self.name, "usage": told})
