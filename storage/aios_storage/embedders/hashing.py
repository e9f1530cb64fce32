"""Vectors of the words that a text has, without a model: for machines without one, and to try things fast."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from aios_storage.embedders import Floats
from aios_syscalls.errors import BadRequest

DIMENSION = 256
_WORD = re.compile(r"\w+")


class Hashing:
    """Feature hashing (Weinberger et al., 2009) of words, each counted once: texts are near that share words."""

    context = 1 << 20

    def __init__(self, argument: str = "") -> None:
        if argument and not (argument.isascii() and argument.isdigit() and int(argument)):
            raise BadRequest(f"hashing:{argument} names no dimension; write hashing:{DIMENSION}", "embedder")
        self.dimension = int(argument or DIMENSION)
        self.id = f"hashing-{self.dimension}"

    def embed(self, texts: Sequence[str]) -> Floats:
        """One float32 row of length one a text."""
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in set(_WORD.findall(text.lower())) or {""}:
                number = int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
                row[(number >> 1) % self.dimension] += 1 if number & 1 else -1
            if not row.any():  # its words cancel each other out
                row[0] = 1
        unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def embed_query(self, text: str) -> Floats:
        """The vector of a question; one row."""
        row: Floats = self.embed([text])[0]
        return row
