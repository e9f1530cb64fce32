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
RARE = 32
"""Texts that have a word at most, for it to tell which of them are alike: the others say little, and are many."""
MAX_CHARS = 3_000
"""Of a text, its beginning and its end, are looked at: a decision must not take longer because a prompt does."""

WORD = re.compile(r"\w\w+")


@dataclass(frozen=True)
class QuestionText:
    """A prompt, read when it is asked about; `length` is that of the whole in characters."""

    content: str
    length: int

    @classmethod
    def of(cls, content: str, length: int | None = None) -> QuestionText:
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


class WordCounts:
    """How rare each hashed word is among the texts of the past."""

    def __init__(self) -> None:
        self.texts = 0
        self._seen = np.zeros(BUCKETS, np.int32)

    def add(self, text: QuestionText) -> None:
        """A text of the past."""
        self.texts += 1
        self._seen[np.fromiter(text.terms, np.int64, len(text.terms))] += 1

    def read(self, text: QuestionText) -> tuple[Ints, Floats, Ints]:
        """The text's words as indices, how much each weighs, and how many texts of the past have it.

        Words weigh the more the rarer they are: TF-IDF with logarithmic frequencies (Sparck Jones 1972).
        """
        index = np.fromiter(text.terms, np.int64, len(text.terms))
        seen = self._seen[index].astype(np.int64)
        return index, np.fromiter(text.terms.values(), float, len(index)) * _rarity(self.texts, seen), seen

    def weigh(self, text: QuestionText) -> tuple[Ints, Floats]:
        """The words of the text that the past has too, as indices and weights of length 1."""
        index, weights, seen = self.read(text)
        index, weights = index[seen > 0], weights[seen > 0]
        return index, weights / (math.sqrt(float(weights @ weights)) or 1.0)


class Precedents:
    """Which texts of the past have the words of a vocabulary that are rare."""

    def __init__(self, vocabulary: WordCounts) -> None:
        self._vocabulary = vocabulary
        # Numbers of texts, which come again after 65,535; 0 is none.
        self._having = np.zeros((BUCKETS, RARE), np.uint16)

    def add(self, text: QuestionText) -> None:
        """A text of the past, which the vocabulary is about to learn."""
        index, _, seen = self._vocabulary.read(text)
        self._having[index, seen % RARE] = self._vocabulary.texts % 0xFFFF + 1

    def likeness(self, text: QuestionText) -> float:
        """How much of what a text says, 0 to 1, one of the past says as well: the one that is most like it."""
        index, weights, seen = self._vocabulary.read(text)
        shares, rare = weights**2, (seen > 0) & (seen <= RARE)
        having = self._having[index[rare]]
        found = np.bincount(having.ravel(), np.repeat(shares[rare], RARE))[1:]
        return float(found.max() / shares.sum()) if len(found) else 0.0


def _rarity(texts: int, seen: Ints) -> Floats:
    rarity: Floats = 1 + np.log((1 + texts) / (1 + seen))
    return rarity
