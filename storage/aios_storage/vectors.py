"""Meaning: vectors of the index's pieces, and which of them are nearest to a text."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aios_storage.embedders import Embedder, Floats
from aios_storage.filters import Selection
from aios_storage.index import Index

BATCH = 16
"""Pieces embedded between two commits: about half a second's work, which a kill may cost."""
WIDE = 4
"""How many times as many as are wanted are looked at before a selection is looked up."""
Scored = tuple[bytes, float]
"""A piece's hash and the cosine of its vector to a question's."""


class Nearest(Protocol):
    """Finds pieces by meaning. Raises WorldError where it cannot at present."""

    @property
    def model(self) -> str:
        """The id of the embedder."""
        ...

    def nearest(self, text: str, limit: int, among: Selection | None) -> list[Scored]:
        """The nearest pieces, best first, of the files of a selection or of all."""
        ...


def embed_pending(
    index: Index, embedder: Embedder, most: int | None = None, progress: Callable[[int], object] | None = None
) -> int:
    """Embed pieces that have no vector, heads of files first, up to `most`; returns how many.

    Each batch is kept when it is done: whoever goes on later embeds none twice. `progress` takes the count so far.
    Raises BadRequest where the index has vectors of another embedder.
    """
    index.use(embedder.id, embedder.dimension)
    done = 0
    while most is None or done < most:
        todo = index.todo(BATCH if most is None else min(BATCH, most - done))
        if not todo:
            break
        rows = embedder.embed([each.text for each in todo]).astype(np.float16)
        index.embedded(embedder.id, {each.hash: row.tobytes() for each, row in zip(todo, rows, strict=True)})
        done += len(todo)
        if progress:
            progress(done)
    return done


class Exact:
    """Every vector of the index in memory, compared one by one: exact, 1.5 kB a piece at 384 dimensions; any thread."""

    def __init__(self, index: Index, embedder: Embedder) -> None:
        self._index, self._embedder = index, embedder
        self._lock = threading.Lock()
        self._matrix: Floats = np.empty((0, embedder.dimension), np.float32)
        self._hashes: list[bytes] = []
        self._rows: dict[bytes, int] = {}
        self._after = 0
        self._rebuilt = index.rebuilt

    @property
    def model(self) -> str:
        return self._embedder.id

    def nearest(self, text: str, limit: int, among: Selection | None = None) -> list[Scored]:
        """The nearest pieces of what is embedded by now. Raises what the embedder raises."""
        question = self._embedder.embed_query(text)
        matrix, hashes = self._refreshed()
        scores = matrix @ question
        if among is None:
            return [(hashes[row], float(scores[row])) for row in _best(scores, limit)]
        # Most of what a wide selection wants is among the best of all; a narrow one is looked up by itself.
        likely = _best(scores, WIDE * limit)
        inside = self._index.holders([hashes[row] for row in likely], among)
        found = [row for row in likely if hashes[row] in inside]
        if len(found) < limit and len(likely) < len(scores):
            rows = np.fromiter((self._rows[hash] for hash in self._index.hashes(among) if hash in self._rows), np.intp)
            found = [int(row) for row in rows[_best(scores[rows], limit)]]
        return [(hashes[row], float(scores[row])) for row in found[:limit]]

    def _refreshed(self) -> tuple[Floats, list[bytes]]:
        """The matrix with what was embedded since the last question."""
        with self._lock:
            if self._rebuilt != self._index.rebuilt:
                self._hashes, self._rows, self._after, self._rebuilt = [], {}, 0, self._index.rebuilt
            known = self._index.model()
            if known is None or known[0] != self.model:
                return self._matrix[:0], self._hashes
            fresh = list(self._index.vectors(self._after))
            if fresh:
                self._take(fresh)
            return self._matrix[: len(self._hashes)], self._hashes

    def _take(self, fresh: list[tuple[int, bytes, bytes]]) -> None:
        self._after = fresh[-1][0]
        # A piece that was embedded twice, by two who did not know of each other, has one row.
        fresh = [row for row in {row[1]: row for row in fresh}.values() if row[1] not in self._rows]
        old, count = len(self._hashes), len(self._hashes) + len(fresh)
        if count > len(self._matrix):
            # Half as much again, so that a growing index is not copied for every batch.
            matrix = np.empty((count + (old and count // 2), self._embedder.dimension), np.float32)
            matrix[:old] = self._matrix[:old]
            self._matrix = matrix
        data = np.frombuffer(b"".join(row[2] for row in fresh), np.float16)
        self._matrix[old:count] = data.reshape(len(fresh), -1)
        self._hashes += [row[1] for row in fresh]
        self._rows |= {row[1]: at for at, row in enumerate(fresh, old)}


def _best(scores: Floats, count: int) -> NDArray[np.intp]:
    """The places of the largest scores, best first; equal ones in order."""
    count = min(count, len(scores))
    if count <= 0:
        return np.empty(0, np.intp)
    best = np.argpartition(-scores, count - 1)[:count] if count < len(scores) else np.arange(count)
    best.sort()
    return best[np.argsort(-scores[best], kind="stable")]
