"""How good answers were, kept from run to run: what the router has learnt from."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from aios.learned_table import Rows

TABLE = (
    "CREATE TABLE IF NOT EXISTS outcomes (at REAL, model TEXT, question TEXT, length INTEGER, answer TEXT, score REAL)"
)
KEPT = 2_000
"""Of each model, the newest."""


class GradedAnswer(NamedTuple):
    """A model's answer to a question, the length of which it was the beginning and end of, and how good it was."""

    model: str
    question: str
    length: int
    answer: str
    score: float


class Outcomes:
    """Outcomes in a file of the user's alone (learned_table.py)."""

    def __init__(self, path: Path) -> None:
        self._rows = Rows(path, TABLE, "what the router learns")
        self._added = 0

    @property
    def trouble(self) -> str:
        """Why nothing is kept; empty while there is no trouble."""
        return self._rows.trouble

    def read(self, models: Iterable[str]) -> list[GradedAnswer]:
        """What is known of some models, oldest first."""
        found: list[tuple[int, GradedAnswer]] = []
        for model in models:
            rows = self._rows.run(
                "SELECT rowid, model, question, length, answer, score FROM outcomes WHERE model = ? "
                "ORDER BY rowid DESC LIMIT ?",
                (model, KEPT),
            )
            found += [(row[0], GradedAnswer(*row[1:])) for row in rows if _sound(*row[2:])]
        return [outcome for _, outcome in sorted(found, key=lambda each: each[0])]

    def add(self, model: str, question: str, length: int, answer: str, score: float) -> None:
        """Keep an outcome; it survives this process."""
        self._rows.run(
            "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", (time.time(), model, question, length, answer, score)
        )
        self._added += 1
        if self._added % 100 == 0:
            self._rows.run(
                "DELETE FROM outcomes WHERE model = ? AND rowid <= "
                "(SELECT rowid FROM outcomes WHERE model = ? ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
                (model, model, KEPT),
            )

    def count(self) -> int:
        """How many are kept."""
        rows = self._rows.run("SELECT count(*) FROM outcomes")
        return int(rows[0][0]) if rows else 0

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()


def _sound(question: object, length: object, answer: object, score: object) -> bool:
    """Whether a row is one of ours: SQLite keeps whatever it is given."""
    texts = isinstance(question, str) and isinstance(answer, str) and isinstance(length, int) and length >= 0
    return texts and isinstance(score, float) and 0 <= score <= 1
