"""Ridge regression that learns one example at a time and never forgets how to be exact."""

from __future__ import annotations

import random

import numpy as np

from aios.routing.features import BUCKETS, Floats, Ints


class Ridge:
    """Least squares over a few dense and many sparse features, with the penalty `strength` on each weight.

    Stochastic dual coordinate ascent (Shalev-Shwartz and Zhang 2013): each example has a dual variable, and a step sets
    it to its best value given all others. So a new example costs one step, steps over old ones lead to the exact
    solution, and an example can be taken out again.
    """

    def __init__(self, dense: int, strength: float, dense_scale: float, capacity: int, seed: int = 0) -> None:
        self._strength, self._scale, self._capacity = strength, dense_scale, capacity
        self._dense = np.zeros(dense + 1)
        self._sparse = np.zeros(BUCKETS)
        self._rows: list[tuple[Floats, Ints, Floats, float]] = []
        self._duals: list[float] = []
        self.next = 0
        """Where the next example goes."""
        self._dice = random.Random(seed)

    def __len__(self) -> int:
        return len(self._rows)

    def predict(self, dense: Floats, index: Ints, weights: Floats) -> tuple[float, float]:
        """What the dense features say of the target, and what the sparse ones add."""
        return self._of_dense(self._row(dense)), float(self._sparse[index] @ weights)

    def add(self, dense: Floats, index: Ints, weights: Floats, target: float, replay: int = 4) -> None:
        """Learn an example, in the place of the oldest when there are `capacity`; then go over some old ones again."""
        row = (self._row(dense), index, weights, target)
        if len(self._rows) < self._capacity:
            self._rows.append(row)
            self._duals.append(0.0)
        else:
            self._move(self.next, 0.0)
            self._rows[self.next] = row
        self._step(self.next)
        self.next = (self.next + 1) % self._capacity
        for _ in range(replay):
            self._step(self._dice.randrange(len(self._rows)))

    def settle(self, rounds: int) -> None:
        """Go over all examples so many times."""
        order = list(range(len(self._rows)))
        for _ in range(rounds):
            self._dice.shuffle(order)
            for place in order:
                self._step(place)

    def _row(self, dense: Floats) -> Floats:
        return np.append(dense * self._scale, 1.0)

    def _of_dense(self, row: Floats) -> float:
        return float(self._dense @ row)

    def _step(self, place: int) -> None:
        row, index, weights, target = self._rows[place]
        error = target - self._of_dense(row) - float(self._sparse[index] @ weights)
        dual = self._duals[place]
        size = float(row @ row) + float(weights @ weights)
        self._move(place, dual + (error - dual) / (1 + size / self._strength))

    def _move(self, place: int, dual: float) -> None:
        row, index, weights, _ = self._rows[place]
        change = (dual - self._duals[place]) / self._strength
        self._dense += change * row
        self._sparse[index] += change * weights
        self._duals[place] = dual
