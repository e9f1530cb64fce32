"""A Chroma collection of the index's vectors: fast for many, and never trusted.

Killed while it writes, Chroma leaves what cannot be opened, blows up, or answers wrongly. So a flag says that all was
written in order; it is taken away while the collection is open, and without it the directory is deleted and made anew
from the vectors in the index's database. Whoever opens it ought to be a process that may die: Chroma's library panics.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from aios_storage.embedders import Floats

BATCH = 4000
"""Vectors added at once; Chroma takes 5,461."""
SEARCHED = 400
"""Candidates of HNSW's search: with its default of 100 a third of the nearest to an odd question is missed."""
FORMAT = 2
NAME = "pieces"


class Chroma:
    """The nearest of many vectors, about; for one process at a time, which holds the owner's lock.

    Raises what Chroma raises, BaseExceptions among it.
    """

    def __init__(self, place: Path, model: str, dimension: int, generation: str) -> None:
        self._place = place
        self.generation = generation
        self._flag = place / "clean.json"
        self._says = {"format": FORMAT, "model": model, "dimension": dimension, "generation": generation}
        self._client: Any = None
        self.count = 0
        self.through = 0
        """The id of the last vector that is in here."""
        store = self._clean()
        if store is not None:
            self._flag.unlink()
            with suppress(Exception):  # whatever keeps it from being opened: then it is made anew below
                self._collection = self._open(store)
                if self._collection.count() == self.count:
                    return
        self.discard()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._collection = self._open(f"store-{secrets.token_hex(4)}")

    def add(self, rows: Sequence[tuple[int, bytes]], vectors: Floats) -> None:
        """Take in vectors, given with their ids, which go up, and their pieces' hashes."""
        for at in range(0, len(rows), BATCH):
            part = rows[at : at + BATCH]
            self._collection.upsert(ids=[hash.hex() for _, hash in part], embeddings=vectors[at : at + BATCH])
            self.through = part[-1][0]
        self.count = int(self._collection.count())

    def nearest(self, vector: Floats, limit: int) -> list[bytes]:
        """The hashes of the nearest pieces, about, best first."""
        if not self.count:
            return []
        found = self._collection.query(query_embeddings=[vector], n_results=min(limit, self.count), include=[])
        return [bytes.fromhex(id) for id in found["ids"][0]]

    def close(self) -> None:
        """Write all, and say that it was written in order."""
        self._client.close()
        own = {"store": self._store, "through": self.through, "count": self.count, "files": self._checksums()}
        self._flag.write_text(json.dumps({**self._says, **own}), "utf-8")

    def discard(self) -> None:
        """Delete everything; nothing else may be called after."""
        if self._client is not None:
            with suppress(BaseException):  # its panics are no Exceptions; it goes anyway
                self._client.close()
        shutil.rmtree(self._place, ignore_errors=True)
        self.through = self.count = 0

    def _clean(self) -> str | None:
        """The directory of a collection that was closed in order and not altered since; None for none."""
        try:
            said = json.loads(self._flag.read_text("utf-8"))
            if {key: said[key] for key in self._says} == self._says and said["files"] == self._checksums():
                self.count, self.through = int(said["count"]), int(said["through"])
                return str(said["store"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def _checksums(self) -> dict[str, int]:
        """Of every file, to tell one that was altered since; against accidents, hence CRC."""
        found = {}
        for file in sorted(path for path in self._place.rglob("*") if path.is_file() and path != self._flag):
            check = 0
            with file.open("rb") as source:
                while piece := source.read(1 << 20):
                    check = crc32(piece, check)
            found[str(file.relative_to(self._place))] = check
        return found

    def _open(self, store: str) -> Any:
        # Chroma remembers a directory for the life of the process, even a deleted one: a new one needs a new name.
        self._store = store
        import chromadb
        from chromadb.config import Settings

        # Its settings name modules to import, and are otherwise read from a file `.env` in the working directory too.
        settings = Settings(_env_file=None, anonymized_telemetry=False, is_persistent=True)
        self._client = chromadb.PersistentClient(path=str(self._place / store), settings=settings)
        return self._client.get_or_create_collection(
            NAME,
            configuration={"hnsw": {"space": "cosine", "ef_search": SEARCHED}},
            embedding_function=None,
        )


def as_floats(data: Sequence[bytes]) -> Floats:
    """Vectors of float16 bytes as rows of float32."""
    return np.frombuffer(b"".join(data), np.float16).reshape(len(data), -1).astype(np.float32)
