"""The llm family on one model."""

from __future__ import annotations

from typing import assert_never, cast

from aios.context import Snapshot
from aios.kernel.core import Turn
from aios.models.base import Backend, Embedder, Model, Ranker
from aios_syscalls import Chat, Embed, LlmCall, Rank, Reply


class LlmCore:
    """Runs chats on a model, a slice at a time, or at once rankings on a model and texts through an embedder.

    Whatever the backend refuses must not come here: that is the router's to see to.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def run(self, turn: Turn) -> Reply | Snapshot:
        call = cast(LlmCall, turn.call)
        match call:
            case Chat():
                return await cast(Model, self._backend).generate(call, turn.snapshot, turn.budget, turn.emit)
            case Rank():
                return await cast(Ranker, self._backend).rank(call)
            case Embed():
                return await cast(Embedder, self._backend).embed(call)
            case _:
                assert_never(call)
