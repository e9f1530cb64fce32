"""How much memory a model takes once it is loaded, and whether the machine has that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aios.models.local.gguf import Header
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


def mb(count: int) -> str:
    """Bytes as the configuration counts them."""
    return f"{-(-count // MEBIBYTE):,} MB"
