"""What is derived from the files: their text by keyword, their pieces, and the vectors of these.

All of it may be lost at any time, and is made again from the truth; but for vectors, which are dear, that takes
seconds. Rows that are behind the truth are never answered with: who asks catches up first.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aios_storage.disk.failpoint import reach
from aios_storage.embedders import Floats
from aios_storage.index.derive import BODY, follow
from aios_storage.index.filters import Filters, Selection, refuse_many, select
from aios_storage.index.query import Keywords
from aios_storage.index.rebuilding import RebuildableDatabase
from aios_storage.index.vector_recovery import crc
from aios_storage.versions.files import Files
from aios_storage.versions.version import Version
from aios_syscalls.errors import BadRequest, NotFound

BATCH = 200
"""Versions that are caught up with in one transaction."""
COMMON, MANY = 4, 10_000
"""A term in more than a quarter of the files says little about any; it is left out where files are many."""
SCORED, RANKED = 2500, 10_000
"""To score a file takes SQLite a microsecond, to match one a twentieth. So the rarest words of a query alone are scored
by, as many as so many files have; and of words that are all more frequent, so many files, the latest, are ranked."""
FREQUENCIES = 20_000
"""Terms whose frequencies are remembered."""
WAL_MOST = 4 * 1024 * 1024
"""Bytes of the write-ahead log before it is moved into the database."""
NAME_WEIGHT = 2.0
"""A word in a file's name counts as so many in its text."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What cannot be found by its meaning yet."""

    files: int = 0
    chunks: int = 0

    def __bool__(self) -> bool:
        return self.chunks > 0


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A file in the index; `modified` in seconds since the epoch."""

    id: int
    path: str
    seq: int
    document: int
    size: int
    modified: float
    author: str
    kind: str


@dataclass(frozen=True, slots=True)
class IndexedChunk:
    """Where a chunk is: bytes and lines of its document's text."""

    document: int
    ordinal: int
    start: int
    end: int
    line: int
    last_line: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class PendingChunk:
    """A piece that has no vector yet."""

    hash: bytes
    text: str


class Index(RebuildableDatabase):
    """The index of some files. Any process may have one, and write it: SQLite orders them."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._frequency: dict[str, int] = {}
        self._counted = -1
        self._pending: tuple[Pending, float] | None = None
        super().__init__(files.version_store.place / "index.db")

    # --- following the truth

    def catch_up(self) -> int:
        """Take in what changed since; returns how many versions that were."""
        return self._guarded(self._catch_up)

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Make all but the vectors anew from the truth."""
        self._guarded(self._clear)
        total = self._files.last_seq()
        while self._guarded(self._catch_up_some):
            if progress:
                progress(self._guarded(self._through), total)

    def _clear(self) -> None:
        with self._database.transaction("NORMAL", "index") as connection:
            for table in ("document", "entry", "chunk", "field", "todo", "fts", "text"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("DELETE FROM meta WHERE key IN ('through', 'mark')")

    def purge(self) -> None:
        """Forget all that no file has any more, vectors too, so that not a byte of it is left."""
        self.catch_up()
        self._guarded(self._purge)

    def _purge(self) -> None:
        with self._database.transaction("NORMAL", "purge-index") as connection:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("DELETE FROM vector WHERE hash NOT IN (SELECT hash FROM chunk)")
            connection.execute("INSERT INTO fts (fts) VALUES ('optimize')")
            connection.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (secrets.token_hex(8),))
        connection.execute("VACUUM")
        self._tamper_check.checkpoint(connection, 0)

    @property
    def generation(self) -> str:
        """Another word after vectors were lost or purged: what was made of those before is void then."""
        return str(self._guarded(lambda: self._meta("generation")))

    def _catch_up(self) -> int:
        count = 0
        while some := self._catch_up_some():
            count += some
        return count

    def _catch_up_some(self) -> int:
        through, last = self._through(), self._files.last_seq()
        if through > self._files.last_seq(ever=True) or not self._followed(through):
            self._clear()  # the truth is another one than what was followed, or an older one that was put back
            through = 0
        if through >= last:
            return 0
        with self._database.transaction("NORMAL", "index") as connection:
            versions = self._files.changes_since(self._through(), BATCH)
            for version in {each.path: each for each in versions}.values():
                follow(connection, self._files, version)
            if versions:
                marks = [("through", versions[-1].seq), ("mark", _mark(versions[-1]))]
                connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", marks)
        self._pending = None
        self._tamper_check.checkpoint(connection, WAL_MOST)
        return len(versions)

    def _followed(self, through: int) -> bool:
        """Whether the last version that was followed is the one that the truth has there, if it has any."""
        try:
            return not through or self._meta("mark") == _mark(self._files.by_seq(through))
        except NotFound:  # it was pruned
            return True

    def _through(self) -> int:
        return int(self._meta("through") or 0)

    # --- questions

    def select(self, filters: Filters) -> Selection | None:
        """The files that meet the filters, as a condition; None for all. Raises BadRequest for too many of them."""
        refuse_many(filters)
        tagged = self._files.tagged(filters.tags) if filters.tags else None
        return select(filters, tagged)

    def selected(self, selection: Selection | None) -> list[IndexEntry]:
        """The files of a selection, by path."""
        sql, parameters = _where(selection)
        return [_entry(row) for row in self._ask(f"{_ENTRY}{sql} ORDER BY path", parameters)]

    def keywords(self, keywords: Keywords, limit: int, among: Selection | None = None) -> list[tuple[int, float]]:
        """Entry ids and BM25 scores, larger for better, of the best matches."""
        return self._guarded(lambda: self._keywords(keywords, limit, among))

    def _keywords(self, keywords: Keywords, limit: int, among: Selection | None) -> list[tuple[int, float]]:
        expression = keywords.expression(self._telling(keywords.any))
        if not expression:
            return []
        sql, parameters = _where(among)
        join = f"JOIN entry ON entry.id = fts.rowid{sql} AND" if sql else "WHERE"
        rows = self._read().execute(
            f"SELECT id, score FROM (SELECT fts.rowid AS id, -bm25(fts, {NAME_WEIGHT}, 1.0) AS score FROM fts {join} "
            "fts MATCH ? ORDER BY fts.rowid DESC LIMIT ?) ORDER BY score DESC LIMIT ?",
            (*parameters, expression, RANKED, limit),
        )
        return [(int(id), float(score)) for id, score in rows]

    def entries(self, ids: Iterable[int]) -> dict[int, IndexEntry]:
        """The files of these ids, without those that the truth knows otherwise by now."""
        wanted = list(ids)
        rows = self._ask(f"{_ENTRY} WHERE id IN ({', '.join('?' * len(wanted))})", wanted)
        found = [_entry(row) for row in rows]
        heads = self._files.heads_of([each.path for each in found])
        return {each.id: each for each in found if each.path in heads and heads[each.path].seq == each.seq}

    def holders(
        self, hashes: Sequence[bytes], among: Selection | None = None
    ) -> dict[bytes, list[tuple[int, IndexedChunk]]]:
        """The files that have these pieces, as entry ids, and where."""
        sql, parameters = _where(among)
        found: dict[bytes, list[tuple[int, IndexedChunk]]] = {}
        for at in range(0, len(hashes), 500):
            part = hashes[at : at + 500]
            query = (
                f"SELECT entry.id, {_PIECE} FROM chunk JOIN entry ON entry.document = chunk.document "
                f"{sql or ' WHERE 1'} AND chunk.hash IN ({', '.join('?' * len(part))})"
            )
            for id, *piece in self._ask(query, (*parameters, *part)):
                found.setdefault(piece[-1], []).append((id, IndexedChunk(*piece)))
        return found

    def alive(self, hashes: Sequence[bytes]) -> set[bytes]:
        """Those of these pieces that a file has."""
        found: set[bytes] = set()
        for at in range(0, len(hashes), 500):
            part = hashes[at : at + 500]
            marks = ", ".join("?" * len(part))
            found.update(
                hash for (hash,) in self._ask(f"SELECT DISTINCT hash FROM chunk WHERE hash IN ({marks})", part)
            )
        return found

    def unembedded(self, ids: Sequence[int]) -> set[int]:
        """Those of these files that have a piece without a vector."""
        marks = ", ".join("?" * len(ids))
        sql = f"SELECT id FROM entry WHERE id IN ({marks}) AND document IN (SELECT document FROM todo)"
        return {id for (id,) in self._ask(sql, ids)}

    def hashes(self, among: Selection | None = None, most: int = -1) -> list[bytes]:
        """The pieces of the files of a selection, each once; `most` of them, or all."""
        sql, parameters = _where(among)
        query = f"SELECT DISTINCT hash FROM chunk WHERE document IN (SELECT document FROM entry{sql}) LIMIT ?"
        return [hash for (hash,) in self._ask(query, (*parameters, most))]

    def pieces(self, document: int) -> list[IndexedChunk]:
        """The pieces of a document, in order."""
        rows = self._ask(f"SELECT {_PIECE} FROM chunk WHERE document = ? ORDER BY ordinal", (document,))
        return [IndexedChunk(*row) for row in rows]

    def body(self, id: int) -> str:
        """The text of a file, as it was extracted."""
        row = self._one(BODY, (id,))
        return str(row[0] or "") if row else ""

    def fields(self, document: int) -> list[tuple[str, str]]:
        """What a document's own head says: pairs of a key and a value."""
        rows = self._ask("SELECT key, shown FROM field WHERE document = ? ORDER BY rowid", (document,))
        return [(key, value) for key, value in rows]

    def values(self, key: str, among: Selection | None = None) -> list[tuple[str, int]]:
        """The values of a field and how many files have each, the most frequent first."""
        sql, parameters = _where(among)
        rows = self._ask(
            "SELECT max(field.shown), count(DISTINCT entry.id) AS files FROM field JOIN entry USING (document)"
            f"{sql or ' WHERE 1'} AND field.key = ? GROUP BY field.value ORDER BY files DESC, field.value",
            (*parameters, key.lower()),
        )
        return [(shown, count) for shown, count in rows]

    def wordless(self, below: Sequence[str] = (".",)) -> list[tuple[str, str]]:
        """The files at or below these paths that are found by their names alone, and why, by path."""
        paths = tuple(path for path in below if path != ".") if "." not in below else ()
        sql, parameters = _where(self.select(Filters(within=paths)) if paths else None)
        query = "SELECT entry.path, document.why FROM entry JOIN document ON document.id = entry.document"
        return self._ask(f"{query}{sql or ' WHERE 1'} AND document.why <> '' ORDER BY entry.path", parameters)

    def titled(self, document: int) -> str:
        """A document's title, empty for none."""
        row = self._one("SELECT title FROM document WHERE id = ?", (document,))
        return str(row[0]) if row else ""

    # --- vectors

    def pending(self) -> Pending:
        """What has no vector yet; where much is, as of a moment ago."""
        begun = time.monotonic()
        if self._pending is not None and begun < self._pending[1]:
            return self._pending[0]
        row = self._one(
            "SELECT (SELECT count(*) FROM entry WHERE document IN (SELECT document FROM todo)), "
            "(SELECT count(*) FROM todo)"
        )
        now = time.monotonic()
        # Searches all say it: counting must not cost more than a tenth of the time.
        self._pending = Pending(*row), now + 10 * (now - begun)
        return self._pending[0]

    def count(self) -> int:
        """How many files there are."""
        row = self._one("SELECT count(*) FROM entry")
        return int(row[0]) if row else 0

    def embeddings(self) -> int:
        """How many vectors were ever kept: it only grows, by one for each piece that somebody embedded."""
        row = self._one("SELECT seq FROM sqlite_sequence WHERE name = 'vector'")
        return int(row[0]) if row else 0

    def model(self) -> tuple[str, int] | None:
        """The id and the dimension of the model whose vectors are here; None while there are none."""
        rows = dict(self._ask("SELECT key, value FROM meta WHERE key IN ('model', 'dimension')"))
        return (str(rows["model"]), int(rows["dimension"])) if "model" in rows else None

    def use(self, model: str, dimension: int) -> None:
        """Say which model's vectors are to come. Raises BadRequest where those of another are here."""
        known = self.model()
        if known == (model, dimension):
            return
        if known is not None:
            raise BadRequest(
                f"the vectors below {self._files.path} are of {known[0]} ({known[1]} dimensions), and {model} "
                f"({dimension}) cannot be mixed with them; go on with those, or embed all anew: aios files reembed",
                "embedder",
            )
        self.reembed(model, dimension)

    def reembed(self, model: str, dimension: int) -> None:
        """Have this model's vectors from now on; what it has made already is not made again."""
        self._guarded(lambda: self._reembed(model, dimension))

    def _reembed(self, model: str, dimension: int) -> None:
        with self._database.transaction("NORMAL", "reembed") as connection:
            pairs = [("model", model), ("dimension", dimension)]
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", pairs)
            connection.execute("DELETE FROM todo")
            connection.execute(
                "INSERT OR IGNORE INTO todo SELECT hash, document, ordinal FROM chunk WHERE NOT EXISTS "
                "(SELECT 1 FROM vector WHERE vector.hash = chunk.hash AND model = ?)",
                (model,),
            )
        self._pending = None

    def todo(self, limit: int) -> list[PendingChunk]:
        """Pieces that have no vector yet, the heads of files first."""
        rows = self._ask(
            "SELECT todo.hash, chunk.start, chunk.end, (SELECT id FROM entry WHERE document = todo.document) "
            "FROM todo JOIN chunk USING (document, ordinal) ORDER BY todo.ordinal, todo.document LIMIT ?",
            (limit,),
        )
        bodies: dict[int, bytes] = {}
        found = []
        for hash, start, end, id in rows:
            if id not in bodies:
                bodies[id] = self.body(id).encode("utf-8", "surrogatepass")
            found.append(PendingChunk(hash, bodies[id][start:end].decode("utf-8", "surrogatepass")))
        return found

    def embedded(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        """Keep vectors, as float16, of pieces by their hashes."""
        self._guarded(lambda: self._embedded(model, vectors))

    def _embedded(self, model: str, vectors: Mapping[bytes, bytes]) -> None:
        with self._database.transaction("NORMAL", "embed") as connection:
            rows = [(hash, model, data, crc(hash, data)) for hash, data in vectors.items()]
            connection.executemany("INSERT OR REPLACE INTO vector (hash, model, data, crc) VALUES (?, ?, ?, ?)", rows)
            reach("embedded")
            connection.executemany("DELETE FROM todo WHERE hash = ?", [(hash,) for hash in vectors])
        self._pending = None
        self._tamper_check.checkpoint(connection, WAL_MOST)

    def vectors(self, after: int = 0) -> list[tuple[int, bytes, bytes]]:
        """The present model's vectors after this id, in order: id, hash, data."""
        return self.some_vectors(after, -1)

    def means(self, documents: Sequence[int]) -> dict[int, Floats]:
        """The direction of what documents mean on the whole: unit vectors, of those whose head is embedded."""
        known = self.model()
        found: dict[int, Floats] = {}
        for document in set(documents) if known else ():
            rows = self._ask(
                "SELECT data FROM chunk JOIN vector USING (hash) WHERE document = ? AND model = ? "
                "ORDER BY ordinal LIMIT 16",
                (document, known[0] if known else ""),
            )
            if rows:
                mean = np.frombuffer(b"".join(data for (data,) in rows), np.float16).reshape(len(rows), -1)
                vector = mean.astype(np.float32).mean(axis=0)
                found[document] = vector / max(float(np.linalg.norm(vector)), 1e-9)
        return found

    def some_vectors(self, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """The first of `vectors` after an id."""
        known = self.model()
        return self._ask(
            "SELECT id, hash, data FROM vector WHERE model = ? AND id > ? ORDER BY id LIMIT ?",
            (known[0] if known else "", after, limit),
        )

    # --- parts

    def _telling(self, terms: Sequence[str]) -> tuple[str, ...]:
        """The terms without those that so many files have that they only cost time, unless all are such."""
        files = int(self._read().execute("SELECT count(*) FROM entry").fetchone()[0])
        if files < MANY or len(terms) < 2:
            return tuple(terms)
        if abs(files - self._counted) > files // 10 or len(self._frequency) > FREQUENCIES:
            self._frequency, self._counted = {}, files
        for term in terms:
            if term not in self._frequency:
                sql = "SELECT count(*) FROM (SELECT 1 FROM fts WHERE fts MATCH ? LIMIT ?)"
                self._frequency[term] = self._read().execute(sql, (term, files // COMMON)).fetchone()[0]
        rare: list[str] = []
        total = 0
        for term in sorted(terms, key=self._frequency.__getitem__):
            total += self._frequency[term]
            if rare and (self._frequency[term] >= files // COMMON or total > SCORED):
                break
            rare.append(term)
        return tuple(term for term in terms if term in rare)


def _mark(version: Version) -> str:
    return f"{version.path} {version.number} {version.time}"


_ENTRY = "SELECT id, path, seq, document, size, modified, author, kind FROM entry"
_PIECE = "chunk.document, chunk.ordinal, chunk.start, chunk.end, chunk.line, chunk.last_line, chunk.hash"


def _entry(row: Sequence[Any]) -> IndexEntry:
    id, path, seq, document, size, modified, author, kind = row
    return IndexEntry(id, path, seq, document, size, modified, author, kind)


def _where(selection: Selection | None) -> tuple[str, tuple[Any, ...]]:
    return ("", ()) if selection is None else (f" WHERE {selection.sql}", selection.parameters)
