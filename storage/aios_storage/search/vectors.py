"""Meaning: vectors of the index's pieces, and which of them are nearest to a text."""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import numpy as np

from aios_storage.embedders import Embedder, Floats
from aios_storage.index.filters import Selection
from aios_storage.index.index import Index

BATCH = 16
"""Pieces embedded between two commits: about half a second's work, which a kill may cost."""
WIDE = 4
"""How many times as many as are wanted are looked at, of which some are in no file, or in none that is selected."""
NARROW = 3000
"""Pieces of a selection that is compared by itself from the start."""
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


class BruteForce:
    """Every vector of the index in memory, as float32, compared one by one: exact; any number of threads."""

    def __init__(self, index: Index, embedder: Embedder) -> None:
        self._index, self._embedder = index, embedder
        self._lock = threading.Lock()
        self._matrix: Floats = np.empty((0, embedder.dimension), np.float32)
        self._hashes: list[bytes] = []
        self._rows: dict[bytes, int] = {}
        self._ids: list[int] = []
        self._generation = index.generation

    @property
    def model(self) -> str:
        return self._embedder.id

    @property
    def count(self) -> int:
        """How many vectors are in memory."""
        return len(self._hashes)

    def nearest(self, text: str, limit: int, among: Selection | None = None) -> list[Scored]:
        """The nearest pieces of what is embedded by now. Raises what the embedder raises."""
        return self.near(self._embedder.embed_query(text), limit, among)

    def near(self, vector: Floats, limit: int, among: Selection | None = None, after: int = 0) -> list[Scored]:
        """The pieces whose vectors are nearest to one, of those that were kept after the id `after`."""
        matrix, hashes = self._refreshed()
        first = bisect.bisect_right(self._ids, after) if after else 0
        if among is not None:
            few = self._index.hashes(among, NARROW + 1)
            if len(few) <= NARROW:
                return self._narrow(matrix, vector, limit, few, first)
        scores = matrix[first:] @ vector
        # All but a few are alive, as a rule; how many are selected cannot be known.
        count = limit if among is None else WIDE * limit
        while True:
            best = _best(scores, count)
            kept = self._kept([hashes[first + at] for at in best], among)
            found = [(hash, float(scores[at])) for at in best if (hash := hashes[first + at]) in kept]
            if len(found) >= limit or len(best) == len(scores):
                return found[:limit]
            if among is not None:
                return self._narrow(matrix, vector, limit, self._index.hashes(among), first)
            count *= WIDE

    def _kept(self, hashes: Sequence[bytes], among: Selection | None) -> Collection[bytes]:
        """Those that a file of the selection has. Vectors outlive their pieces: a rollback embeds nothing."""
        return self._index.alive(hashes) if among is None else self._index.holders(hashes, among)

    def _narrow(self, matrix: Floats, vector: Floats, limit: int, hashes: Iterable[bytes], first: int) -> list[Scored]:
        """The nearest of these pieces alone."""
        known = [hash for hash in hashes if self._rows.get(hash, -1) >= first]
        rows = np.fromiter((self._rows[hash] for hash in known), np.intp, len(known))
        scores = matrix[rows] @ vector
        return [(known[at], float(scores[at])) for at in _best(scores, limit)]

    def scores(self, vector: Floats, hashes: Sequence[bytes]) -> list[Scored]:
        """How near these pieces are, without those that are not known."""
        matrix, _ = self._refreshed()
        known = [hash for hash in hashes if hash in self._rows]
        values = matrix[[self._rows[hash] for hash in known]] @ vector
        return [(hash, float(value)) for hash, value in zip(known, values, strict=True)]

    def refresh(self) -> int:
        """Take in what was embedded meanwhile; returns how many vectors there are."""
        self._refreshed()
        return self.count

    def _refreshed(self) -> tuple[Floats, list[bytes]]:
        """The matrix with what was embedded since the last question."""
        with self._lock:
            if (generation := self._index.generation) != self._generation:
                self._hashes, self._rows, self._ids, self._generation = [], {}, [], generation
            known = self._index.model()
            if known is None or known[0] != self.model:
                return self._matrix[:0], []
            fresh = list(self._index.vectors(self._ids[-1] if self._ids else 0))
            if fresh:
                self._take(fresh)
            return self._matrix[: len(self._hashes)], self._hashes

    def _take(self, fresh: list[tuple[int, bytes, bytes]]) -> None:
        old, count = len(self._hashes), len(self._hashes) + len(fresh)
        if count > len(self._matrix):
            # Half as much again, so that a growing index is not copied for every batch.
            matrix = np.empty((count + (old and count // 2), self._embedder.dimension), np.float32)
            matrix[:old] = self._matrix[:old]
            self._matrix = matrix
        data = np.frombuffer(b"".join(row[2] for row in fresh), np.float16)
        self._matrix[old:count] = data.reshape(len(fresh), -1)
        self._hashes += [row[1] for row in fresh]
        self._ids += [row[0] for row in fresh]
        self._rows |= {row[1]: at for at, row in enumerate(fresh, old)}


def _best(scores: Floats, count: int) -> list[int]:
    """The places of the largest scores, best first; of equal ones the first."""
    count = min(count, len(scores))
    if count <= 0:
        return []
    some = np.sort(np.argpartition(scores, -count)[-count:])
    best: list[int] = some[np.argsort(-scores[some], kind="stable")].tolist()
    return best
