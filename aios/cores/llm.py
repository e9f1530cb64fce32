"""The llm family on one model."""

from __future__ import annotations

from typing import cast

from aios.context import Snapshot
from aios.kernel.core import Turn
from aios.models.base import Model
from aios_syscalls import LlmCall, Reply


class LlmCore:
    """Runs chats on a model, a slice at a time."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def run(self, turn: Turn) -> Reply | Snapshot:
        return await self._model.generate(cast(LlmCall, turn.call), turn.snapshot, turn.budget, turn.emit)
