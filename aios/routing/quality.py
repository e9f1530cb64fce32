"""How good a model's answer to a text will be, learnt from how good its answers were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from aios.routing.features import Floats, Ints, Precedents, QuestionText, WordCounts
from aios.routing.ridge import Ridge

CAPACITY = 20_000
"""Examples of each model that are kept."""
HARDER = 0.15
"""By how much of its usual error a model errs more when a text is e times as long, before anything is learnt."""

LEAST_TRUST, ALIKE = 0.3, 0.3
"""How much of what words say is believed of a text that is unlike all others, and likeness from which on it is all."""


class Quality(Protocol):
    """Predicts from 0, useless, to 1, as good as can be; about, for what it knows is little."""

    def predict(self, text: QuestionText, model: str) -> float: ...

    def learn(self, text: QuestionText, model: str, score: float) -> None:
        """An answer of a model was so good."""

    def seen(self, model: str) -> int:
        """How many answers of a model it knows."""

    def settle(self) -> None:
        """Make the most of what has been learnt, after much at once."""


class Linear:
    """A model's usual quality, more or less for a long text, and more or less for its words.

    What the words say counts by how much of the text one of the past has as well. A text that is unlike all of them is
    judged by its length above all, which carries over to what is new where words do not.
    """

    def __init__(self, usual: Mapping[str, float], *, words: bool = True, strength: float = 8.0) -> None:
        self._usual, self._words, self._strength = usual, words, strength
        self._vocabulary = WordCounts()
        self._precedents = Precedents(self._vocabulary)
        self._models: dict[str, Ridge] = {}
        self._examples: dict[str, list[tuple[QuestionText, float]]] = {}

    def predict(self, text: QuestionText, model: str) -> float:
        expected = self._expected(text, model)
        ridge = self._models.get(model)
        if ridge is None:
            return expected
        by_length, by_words = ridge.predict(text.size, *self._weigh(text))
        return expected + by_length + self._trust(text) * by_words

    def learn(self, text: QuestionText, model: str, score: float) -> None:
        if self._words:
            self._precedents.add(text)
            self._vocabulary.add(text)
        ridge = self._models.setdefault(model, self._new())
        examples = self._examples.setdefault(model, [])
        if len(examples) < CAPACITY:
            examples.append((text, score))
        else:
            examples[ridge.next] = text, score
        ridge.add(text.size, *self._weigh(text), score - self._expected(text, model))

    def seen(self, model: str) -> int:
        return len(self._examples.get(model, ()))

    def settle(self) -> None:
        """Weigh all words by what is known of them now, and go over all examples."""
        for model, examples in self._examples.items():
            ridge = self._models[model] = self._new()
            for text, score in examples:
                ridge.add(text.size, *self._weigh(text), score - self._expected(text, model), replay=0)
            ridge.settle(rounds=6)

    def _expected(self, text: QuestionText, model: str) -> float:
        usual = self._usual.get(model, 0.5)
        return usual - HARDER * (1 - usual) * float(text.size[0])

    def _new(self) -> Ridge:
        return Ridge(1, self._strength, 0.5, CAPACITY)

    def _weigh(self, text: QuestionText) -> tuple[Ints, Floats]:
        return self._vocabulary.weigh(text) if self._words else (np.zeros(0, np.int64), np.zeros(0))

    def _trust(self, text: QuestionText) -> float:
        """How much of what the words say is believed, 0 to 1."""
        return (
            min(1.0, LEAST_TRUST + self._precedents.likeness(text) / ALIKE * (1 - LEAST_TRUST)) if self._words else 0.0
        )
