"""How good answers were, kept from run to run: what the router has learnt from."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

KEPT = 2_000
"""Of each model, the newest."""


class Outcome(NamedTuple):
    """A model's answer to a question, the length of which it was the beginning and end of, and how good it was."""

    model: str
    question: str
    length: int
    answer: str
    score: float


class Outcomes:
    """A table of outcomes in a file of the user's alone; several kernels may share it.

    It is no more than a memory: where the file cannot be used, nothing is kept, and `trouble` says why.
    """

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self._path = path
        self._added = 0
        self._database: sqlite3.Connection | None = None

    def read(self, models: Iterable[str]) -> list[Outcome]:
        """What is known of some models, oldest first."""
        found: list[tuple[int, Outcome]] = []
        for model in models:
            rows = self._run(
                "SELECT rowid, model, question, length, answer, score FROM outcomes WHERE model = ? "
                "ORDER BY rowid DESC LIMIT ?",
                (model, KEPT),
            )
            found += [(row[0], Outcome(*row[1:])) for row in rows if _sound(*row[2:])]
        return [outcome for _, outcome in sorted(found, key=lambda each: each[0])]

    def add(self, model: str, question: str, length: int, answer: str, score: float) -> None:
        """Keep an outcome; it survives this process."""
        self._run(
            "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", (time.time(), model, question, length, answer, score)
        )
        self._added += 1
        if self._added % 100 == 0:
            self._run(
                "DELETE FROM outcomes WHERE model = ? AND rowid <= "
                "(SELECT rowid FROM outcomes WHERE model = ? ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
                (model, model, KEPT),
            )

    def count(self) -> int:
        """How many are kept."""
        rows = self._run("SELECT count(*) FROM outcomes", ())
        return int(rows[0][0]) if rows else 0

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _run(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        if self.trouble:
            return []
        try:
            if self._database is None:
                self._database = self._open()
            return self._database.execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY and self._database is not None:
                return []  # another kernel is at it; what matters is not this row
            self.trouble = f"what the router learns is not kept: {self._path}: {error}"
            return []

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))
        # A row is written in some 50 us; it survives the process, and a power cut may take the last ones.
        database = sqlite3.connect(self._path, isolation_level=None, timeout=0.04)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(
            "CREATE TABLE IF NOT EXISTS outcomes "
            "(at REAL, model TEXT, question TEXT, length INTEGER, answer TEXT, score REAL)"
        )
        return database


def _sound(question: object, length: object, answer: object, score: object) -> bool:
    """Whether a row is one of ours: SQLite keeps whatever it is given."""
    texts = isinstance(question, str) and isinstance(answer, str) and isinstance(length, int) and length >= 0
    return texts and isinstance(score, float) and 0 <= score <= 1
