"""Quality by the nearest questions of the past, in Chroma: how AIOS's smart routing does it."""

from __future__ import annotations

import itertools
import math
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from aios.routing.features import QuestionText, WordCounts

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

DIMENSION = 384
NEIGHBOURS = 64


class NearestQuestions:
    """The mean score of a model's answers to the `neighbours` questions that are nearest, drawn to its usual quality.

    A question's vector is its weighed words, hashed into `DIMENSION` numbers of either sign: its inner products are
    about those of the words, and no model need run for it.
    """

    def __init__(self, usual: Mapping[str, float], neighbours: int = NEIGHBOURS) -> None:
        self._usual, self._neighbours = usual, neighbours
        self._vocabulary = WordCounts()
        self._numbers = itertools.count()
        self._seen: dict[str, int] = {}
        self._pending: list[tuple[QuestionText, str, float]] = []
        self._made: Collection | None = None

    def predict(self, text: QuestionText, model: str) -> float:
        usual = self._usual.get(model, 0.5)
        self.settle()
        if not self.seen(model):
            return usual
        found = self._collection().query(
            query_embeddings=[self._vector(text)],
            n_results=self._neighbours,
            where={"model": model},
            include=["metadatas", "distances"],
        )
        scores = [float(row["score"]) for row in (found["metadatas"] or [[]])[0]]  # type: ignore[arg-type]
        return (sum(scores) + usual) / (len(scores) + 1)

    def learn(self, text: QuestionText, model: str, score: float) -> None:
        self._vocabulary.add(text)
        self._seen[model] = self.seen(model) + 1
        self._pending.append((text, model, score))

    def seen(self, model: str) -> int:
        return self._seen.get(model, 0)

    def settle(self) -> None:
        for start in range(0, len(self._pending), 1000):
            batch = self._pending[start : start + 1000]
            self._collection().add(
                ids=[str(next(self._numbers)) for _ in batch],
                embeddings=[self._vector(text) for text, _, _ in batch],
                metadatas=[{"model": model, "score": score} for _, model, score in batch],
            )
        self._pending.clear()

    def _vector(self, text: QuestionText) -> Any:
        index, weights = self._vocabulary.weigh(text)
        vector = np.zeros(DIMENSION)
        np.add.at(vector, index % DIMENSION, np.where(index // DIMENSION % 2, weights, -weights))
        length = math.sqrt(float(vector @ vector))
        return (vector / length if length else np.full(DIMENSION, DIMENSION**-0.5)).astype(np.float32)

    def _collection(self) -> Collection:
        if self._made is None:
            import chromadb
            from chromadb.config import Settings

            client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
            # All clients in memory share one store, where the name of one that is gone would be taken.
            name = f"questions-{uuid.uuid4()}"
            self._made = client.create_collection(
                name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
            )
        return self._made
