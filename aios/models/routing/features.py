"""A text as numbers: its length, and its words by their rarity."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BUCKETS = 1 << 18
"""Hashed words; two share one now and then, which costs next to nothing (Weinberger et al. 2009, Feature Hashing)."""
MAX_CHARS = 3_000
"""Of a text, its beginning and its end, are looked at: a decision must not take longer because a prompt does."""

WORD = re.compile(r"\w\w+")


@dataclass(frozen=True)
class Text:
    """A prompt, read when it is asked about; `length` is that of the whole in characters."""

    content: str
    length: int

    @classmethod
    def of(cls, content: str, length: int | None = None) -> Text:
        """The beginning and the end of a text, and how long it is, or all that comes with it."""
        size = len(content) if length is None else length
        if len(content) > MAX_CHARS:
            content = content[: MAX_CHARS // 2] + "\n" + content[-MAX_CHARS // 2 :]
        return cls(content, size)

    @cached_property
    def terms(self) -> dict[int, float]:
        """The hashed words and pairs of words, with the logarithm of how often they come."""
        words = [word.encode("utf-8", "replace") for word in WORD.findall(self.content.lower())]
        counts = Counter(words)
        counts.update(map(b" ".join, pairwise(words)))
        return {crc32(term) % BUCKETS: 1.0 + math.log(count) for term, count in counts.items()}

    @cached_property
    def size(self) -> Floats:
        """The logarithm of the length, about 0 and 1 wide."""
        return np.array([math.log1p(self.length) - 5.5])


class Vocabulary:
    """How rare each hashed word is among the texts of the past."""

    def __init__(self) -> None:
        self.texts = 0
        self._seen = np.zeros(BUCKETS, np.int32)

    def add(self, text: Text) -> None:
        """A text of the past."""
        self.texts += 1
        self._seen[np.fromiter(text.terms, np.int64, len(text.terms))] += 1

    def weigh(self, text: Text) -> tuple[Ints, Floats, float]:
        """The text's words as indices and weights of length 1, and how much of it the past has words for, 0 to 1.

        Words weigh the more the rarer they are: TF-IDF with logarithmic frequencies (Sparck Jones 1972).
        """
        index = np.fromiter(text.terms, np.int64, len(text.terms))
        seen = self._seen[index]
        weights = np.fromiter(text.terms.values(), float, len(index)) * (1 + np.log((1 + self.texts) / (1 + seen)))
        known, mass = seen > 0, weights**2
        if not known.any():
            return index[:0], weights[:0], 0.0
        index, weights = index[known], weights[known]
        return index, weights / math.sqrt(float(weights @ weights)), float(mass[known].sum() / mass.sum())
