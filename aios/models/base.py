"""What the kernel needs of a model, local or remote."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from aios.context import Snapshot
from aios_syscalls import Chat, ChatReply, Rank, RankReply

Emit = Callable[[str], None]
"""Takes the next piece of generated text, as soon as it is final; never blocks."""


class Model(Protocol):
    """A source of chat replies and likelihoods. Entering it makes it ready to serve, leaving it frees everything.

    Raises BadRequest for a call that it can never serve, ModelFailed for one that it could not serve now.
    """

    @property
    def name(self) -> str:
        """What a call's `model` field says to get this one."""

    @property
    def slots(self) -> int:
        """How many generations it runs at once."""

    @property
    def healthy(self) -> bool:
        """Whether a call sent now has a chance; the router asks."""

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit
    ) -> ChatReply | Snapshot:
        """Start `chat`, or continue it from `snapshot`, for at most `budget` tokens (None: to its end).

        A Snapshot means that the budget is used up. The reply's text is whole, whatever the slices; `emit` gets
        each piece once. When cancelled, everything held for this generation is freed.
        """

    async def rank(self, call: Rank) -> RankReply:
        """How likely the options are; takes one slot, and has no slices, for it generates nothing.

        Raises BadRequest if the model cannot tell the likelihood of a given text.
        """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
