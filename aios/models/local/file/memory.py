"""How much memory a model takes once it is loaded, and whether the machine has that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from aios.context import GRAIN
from aios.models.local.file.gguf import Header
from aios_syscalls import ModelFailed

MEBIBYTE = 1 << 20
OVERHEAD_BYTES = 100 * MEBIBYTE
"""The interpreter, its libraries, and llama.cpp's smaller buffers; measured with SmolLM2."""
CHUNK = 512
"""Tokens in the largest batch."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of the machine's memory, about; what goes to a GPU is not in it."""

    path: Path
    weights: int
    cache: int
    work: int

    @classmethod
    def of(cls, path: Path, slots: int, context: int, gpu_layers: int = 0) -> Needs:
        """What a model takes with `gpu_layers` of its layers on a GPU, all if negative. Raises ModelFailed."""
        header = Header.read(path)
        layers = max(1, header.layers)
        here = 0.0 if gpu_layers < 0 else max(0, layers - gpu_layers) / layers
        return cls(
            path,
            weights=int(here * header.bytes),
            cache=int(here * header.token_bytes * slots * context),
            work=OVERHEAD_BYTES + int(here * header.scores_bytes(context, CHUNK)),
        )

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.work

    def check(self, free: int) -> None:
        """Raise ModelFailed if it does not fit into `free` bytes."""
        if self.total > free:
            raise ModelFailed(
                f"{self.path} needs about {mb(self.total)} of memory ({mb(self.weights)} weights, {mb(self.cache)} for "
                f"its slots, {mb(self.work)} to work with) and {mb(free)} are free; configure fewer slots, a shorter "
                "context or a smaller model, or memory.models_mb, so that models take turns"
            )


@dataclass(frozen=True, slots=True)
class KeptContexts:
    """How much is kept of the contexts of programs: each slot has one in its part of the KV cache, the others' states
    are in memory and on disk. `token_bytes` is what a token takes there.
    """

    slots: int
    context: int
    token_bytes: int
    memory_bytes: int
    disk_bytes: int

    @property
    def capacity(self) -> int:
        """Tokens, where contexts are as long as a slot lets them be."""
        return int(self.context * self.contexts(self.context))

    def contexts(self, tokens: int) -> float:
        """How many of so many tokens each are kept; a state that fits into no memory does not get to the disk either.

        One less than fit: to bring a state up, that which gives its slot away is saved first.
        """
        size = tokens * self.token_bytes
        buffer = -(-size // GRAIN) * GRAIN
        if buffer > self.memory_bytes:
            return self.slots
        return self.slots + max(0.0, self.memory_bytes // buffer + self.disk_bytes / size - 1)

    def takes(self, tokens: int) -> int:
        """The share of the capacity that a context of so many tokens takes."""
        return math.ceil(self.capacity / self.contexts(min(max(1, tokens), self.context)))


def kept(path: Path, slots: int, context: int, memory_bytes: int, disk_bytes: int) -> KeptContexts | None:
    """What a model's file says of it, without loading that; None where that is no bound. Raises ModelFailed."""
    # A model without attention has a state of one size, which its header does not tell.
    token_bytes = Header.read(path).token_bytes
    return KeptContexts(slots, context, token_bytes, memory_bytes, disk_bytes) if token_bytes else None


def mb(count: int) -> str:
    """Bytes as the configuration counts them."""
    return f"{-(-count // MEBIBYTE):,} MB"
