"""An embedding model as the kernel sees it: an `Embedder` in front of a worker process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aios.models.base import ONLY_VECTORS
from aios.models.local.supervisor.client import LocalModel
from aios.models.local.supervisor.residency import Residency
from aios_syscalls import BadRequest, Chat, Embed, EmbedReply, LlmCall, Usage


class LocalEmbedder:
    """A GGUF model that embeds, in a worker process; the texts of up to `slots` calls take turns.

    Entering it loads the model: raises ModelFailed when that fails, BadRequest for a model that embeds nothing.
    `context` is the longest text in tokens, if the model was not made for shorter ones; `timeout_s` is for one text.
    """

    def __init__(
        self,
        path: Path,
        name: str | None = None,
        slots: int = 8,
        context: int = 2048,
        requantize: bool = True,
        on_progress: Callable[[str, float], None] | None = None,
        timeout_s: float = 60.0,
        gpu_layers: int | None = None,
        rss_limit_bytes: int | None = None,
        residency: Residency | None = None,
    ) -> None:
        self._worker = LocalModel(
            path,
            name,
            slots,
            context,
            requantize,
            memory_bytes=0,
            disk_bytes=0,
            on_progress=on_progress,
            timeout_s=timeout_s,
            gpu_layers=gpu_layers,
            rss_limit_bytes=rss_limit_bytes,
            residency=residency,
            embed=True,
        )
        self.name, self.slots = self._worker.name, slots

    local, wait_s = True, 0.0

    @property
    def healthy(self) -> bool:
        """Whether a worker is there or on its way."""
        return self._worker.healthy

    @property
    def pid(self) -> int | None:
        """The worker's process id, if there is a worker."""
        return self._worker.pid

    @property
    def info(self) -> dict[str, Any]:
        """What the worker said of the model when it was ready."""
        return self._worker.info

    async def count_tokens(self, chat: Chat) -> int | None:  # noqa: ARG002
        return None

    def demote(self, pid: int) -> None:
        pass

    def refusal(self, call: LlmCall) -> str:
        """As `Backend.refusal`."""
        return "" if isinstance(call, Embed) else ONLY_VECTORS

    async def embed(self, call: Embed) -> EmbedReply:
        """As `Embedder.embed`. Raises BadRequest, or ModelFailed: the model is down, or a text lost two workers."""
        vectors, tokens = [], 0
        for number, text in enumerate(call.texts):
            # One at a time, so that the texts of several calls take turns.
            try:
                reply = await self._worker.ask("embed", text=text, truncate=call.truncate)
            except BadRequest as error:
                raise BadRequest(f"texts.{number}: {error.message}", f"texts.{number}") from None
            vectors.append(tuple(reply["vector"]))
            tokens += reply["tokens"]
        usage = Usage(prompt_tokens=tokens)
        return EmbedReply(vectors=tuple(vectors), dimension=len(vectors[0]), model=self.name, usage=usage)

    async def stats(self) -> dict[str, Any]:
        """The worker's counts since its start, its memory in bytes, and what it knows of the model."""
        return await self._worker.stats()

    async def __aenter__(self) -> Self:
        await self._worker.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._worker.__aexit__(kind, error, trace)
