"""The llm family on one model."""

from __future__ import annotations

from typing import assert_never, cast

from aios.context import Snapshot
from aios.kernel.core import Turn
from aios.models.base import Model
from aios_syscalls import Chat, LlmCall, Rank, Reply


class LlmCore:
    """Runs chats on a model, a slice at a time, and rankings, which are over in one."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def run(self, turn: Turn) -> Reply | Snapshot:
        match cast(LlmCall, turn.call):
            case Chat() as chat:
                return await self._model.generate(chat, turn.snapshot, turn.budget, turn.emit)
            case Rank() as rank:
                return await self._model.rank(rank)
            case never:
                assert_never(never)
