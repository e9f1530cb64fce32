"""The llm family on one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, assert_never, cast
from weakref import WeakKeyDictionary

import anyio

from aios.context import Snapshot
from aios.kernel.core import Turn
from aios.models import Backend, Caller, Embedder, Model, Ranker, guess_tokens
from aios_syscalls import Chat, ChatReply, Embed, LlmCall, Rank, Reply


class SpeedObserver(Protocol):
    """Learns from what chats take; see `aios.routing.speed`."""

    def observe(self, read: int, written: int, seconds: float) -> None:
        """A slice has read and written so many tokens in so many seconds."""

    def served(self, seconds: float) -> None:
        """A whole call has taken so long on its slot."""


class LlmCore:
    """Runs chats on a model, a slice at a time, or at once rankings on a model and texts through an embedder.

    Whatever the backend refuses must not come here: that is the router's to see to. It tells `speed` what chats
    take, and `resumed` the tokens and seconds of each slice that goes on with one.
    """

    def __init__(
        self,
        backend: Backend,
        speed: SpeedObserver | None = None,
        resumed: Callable[[int, float], None] = lambda _tokens, _seconds: None,
    ) -> None:
        self._backend, self._speed, self._resumed = backend, speed or _Nobody(), resumed
        self._begun: WeakKeyDictionary[Snapshot, _Begun] = WeakKeyDictionary()
        """What paused chats have taken so far."""

    async def run(self, turn: Turn) -> Reply | Snapshot:
        call = cast(LlmCall, turn.call)
        match call:
            case Chat():
                return await self._chat(call, turn)
            case Rank():
                return await cast(Ranker, self._backend).rank(call)
            case Embed():
                return await cast(Embedder, self._backend).embed(call)
            case _:
                assert_never(call)

    async def _chat(self, call: Chat, turn: Turn) -> Reply | Snapshot:
        caller = Caller(turn.pid, turn.program, turn.crowded)
        before = turn.snapshot.tokens if turn.snapshot else 0
        begun = self._begun.pop(turn.snapshot, None) if turn.snapshot else None
        began = anyio.current_time() + self._backend.wait_s  # what rate limits take is no work
        outcome = await cast(Model, self._backend).generate(call, turn.snapshot, turn.budget, turn.emit, caller)
        seconds = max(0.0, anyio.current_time() - began)
        written = outcome.tokens if isinstance(outcome, Snapshot) else outcome.usage.completion_tokens
        written = max(0, written - before)
        if turn.snapshot:
            self._speed.observe(0, written, seconds)
            self._resumed(written, seconds)
        first = begun.first if begun else (written, seconds)
        taken = seconds + (begun.seconds if begun else 0.0)
        if isinstance(outcome, Snapshot):
            self._begun[outcome] = _Begun(taken, first)
        else:
            # How much of the prompt had to be read is known only now.
            self._speed.observe(_read(call, outcome), *first)
            self._speed.served(taken)
            if not call.parallel_tool_calls and len(outcome.tool_uses) > 1:  # a server that has not heeded it
                outcome = outcome.model_copy(update={"tool_uses": outcome.tool_uses[:1]})
        return outcome


class _Nobody:
    """Learns nothing."""

    def observe(self, read: int, written: int, seconds: float) -> None:
        pass

    def served(self, seconds: float) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Begun:
    """A paused chat: the seconds that it has had, and what it wrote in its first slice, in how many seconds."""

    seconds: float
    first: tuple[int, float]


def _read(call: Chat, reply: ChatReply) -> int:
    """The tokens that were read, in the measure in which the forecast counts them; what was cached was not."""
    usage = reply.usage
    cached = usage.cached_tokens / usage.prompt_tokens if usage.prompt_tokens else 0.0
    return round(guess_tokens(call) * max(0.0, 1 - cached))
