"""An embedder that remembers: a second run of a bench embeds nothing again."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aios_storage.embedders import Embedder, Floats


class KeptVectors:
    """Another embedder, whose documents' vectors are kept in a file by the hash of their text, as float16."""

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self._embedder = embedder
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS vector (key BLOB PRIMARY KEY, data BLOB) WITHOUT ROWID")
        self.id, self.dimension, self.context = embedder.id, embedder.dimension, embedder.context
        self.computed = 0
        """Texts that were not known."""

    def close(self) -> None:
        self._database.close()

    def embed(self, texts: Sequence[str]) -> Floats:
        keys = [hashlib.sha256(f"{self.id}\0{text}".encode("utf-8", "surrogatepass")).digest() for text in texts]
        marks = ", ".join("?" * len(keys))
        known = dict(self._database.execute(f"SELECT key, data FROM vector WHERE key IN ({marks})", keys).fetchall())
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new:
            fresh = self._embedder.embed(list(new.values())).astype(np.float16)
            pairs = [(key, row.tobytes()) for key, row in zip(new, fresh, strict=True)]
            self._database.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?)", pairs)
            known |= dict(pairs)
            self.computed += len(new)
        data = np.frombuffer(b"".join(known[key] for key in keys), np.float16)
        return data.reshape(len(keys), self.dimension).astype(np.float32)

    def embed_query(self, text: str) -> Floats:
        return self._embedder.embed_query(text)
