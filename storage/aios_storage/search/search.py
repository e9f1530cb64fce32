"""Search: by meaning, by keywords, or both."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from aios_storage.embedders import FLOORS, Embedder
from aios_storage.index.filters import Filters, Selection
from aios_storage.index.index import Index, IndexedChunk, IndexEntry, Pending
from aios_storage.index.query import STOP_WORDS, Keywords, parse_query
from aios_storage.search.fusion import fuse
from aios_storage.search.snippet import Terms, says, snippet
from aios_storage.search.vectors import BruteForce, Nearest
from aios_storage.versions.files import Files
from aios_storage.versions.rows import Head
from aios_syscalls.errors import BadRequest, ModelFailed, NotFound, WorldError

__all__ = ["BruteForce", "Embedder", "Filters", "Finder", "Hit", "Nearest", "Pending", "Query", "Results"]

Mode = Literal["hybrid", "semantic", "keyword"]
Why = Literal["kw", "vec", "both"]
MODES = ("hybrid", "semantic", "keyword")
DEPTH = 100
"""Files of each ranking that are fused, or as many as are wanted."""
PIECES, MORE = 2, 8
"""Pieces asked for, for each file wanted, as several of the nearest may be of one file; and how many times as many
where that was too few."""
HEAD = 0.35
"""How much a file's head counts beside its nearest piece: what a file is about is said at its head, and among many
pieces of a long file one is near by chance."""
MAX_HITS = 1000
"""Hits of one search."""
ROUNDS = 3
"""How often a search is made anew since files that it found had changed on the disk."""
LIKE = 2000
"""Characters of a file that others are to be like."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for. `text` may have "phrases", +must and -never; `context` is lines on each side of the best."""

    text: str
    mode: Mode = "hybrid"
    filters: Filters = field(default_factory=Filters)
    limit: int = 10
    context: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A file that was found, with its best piece.

    `line` to `last_line` and bytes `start` to `end` (of the file's text, which is the file where it is plain) are the
    piece; `snippet` begins at line `at`, its best line is `best`, `marks` are characters of it that match. `why` is
    what found the file: keywords, its meaning, or both. `modified` is in seconds since the epoch.
    """

    path: str
    line: int
    last_line: int
    start: int
    end: int
    score: float
    why: Why
    snippet: str
    at: int
    best: int
    marks: tuple[tuple[int, int], ...]
    version: int
    size: int
    modified: float
    author: str


@dataclass(frozen=True, slots=True)
class Results:
    """Hits, best first; what cannot be found by meaning yet; and what else is to be known of how they were found."""

    hits: tuple[Hit, ...] = ()
    pending: Pending = field(default_factory=Pending)
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """The rankings of one search, by entry, and the nearest piece of each."""

    dense: dict[int, float] = field(default_factory=dict)
    nearest: dict[int, float] = field(default_factory=dict)
    """The cosine of each file's nearest piece."""
    sparse: dict[int, float] = field(default_factory=dict)
    pieces: dict[int, IndexedChunk] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def why(self, id: int) -> Why:
        if id not in self.sparse:
            return "vec" if id in self.dense else "kw"
        return "both" if id in self.dense else "kw"


class Finder:
    """Searches the files of an index; `nearest` finds by meaning, and without it keywords are all there is."""

    def __init__(self, files: Files, index: Index, nearest: Nearest | None = None) -> None:
        self._files, self._index, self.nearest = files, index, nearest

    def search(self, query: Query) -> Results:
        """The best hits, one a file, never of a file that is not or not so any more.

        Where finding by meaning fails a hybrid search goes on with keywords, and says so. Raises BadRequest for a
        malformed query, WorldError where a semantic one cannot be answered.
        """
        _check(query)
        return self._settled(query)

    def like(self, path: str, filters: Filters | None = None, limit: int = 10, context: int = 0) -> Results:
        """Files that are about what a file is about, without that file. Raises NotFound for one not in the index."""
        entry = self._entry(path)
        filters = filters or Filters()
        query = Query(
            self._index.body(entry.id)[:LIKE].strip() or entry.path,
            "semantic",
            replace(filters, without=(*filters.without, entry.path)),
            limit,
            context,
        )
        return self._settled(query, plain=True)

    def passage(self, hit: Hit) -> str:
        """The whole text of a hit's piece. Raises NotFound where its file is gone by now."""
        return (
            self._index.body(self._entry(hit.path).id)
            .encode("utf-8", "surrogatepass")[hit.start : hit.end]
            .decode("utf-8", "replace")
        )

    def _entry(self, path: str) -> IndexEntry:
        self._index.catch_up()
        for entry in self._index.selected(Selection("entry.path = ?", (self._files.alike(path),))):
            return entry
        raise NotFound(f"{path} is not in the index; is it ignored, or outside?", field="path")

    def _settled(self, query: Query, plain: bool = False) -> Results:
        """Results in which no file looks otherwise on the disk; of one that goes on changing, as it was at last."""
        for _ in range(ROUNDS):
            self._index.catch_up()
            results, stale = self._once(query, plain)
            if not stale:
                break
            self._files.scan(sorted(stale))
        return results

    def _once(self, query: Query, plain: bool = False) -> tuple[Results, set[str]]:
        """Results of what the index says, and those paths of them that look otherwise on the disk."""
        keywords = Keywords() if plain else parse_query(query.text)
        among = _narrowed(self._index.select(query.filters), keywords)
        found = _Found()
        depth = max(DEPTH, query.limit)
        if query.mode != "keyword":
            self._by_meaning(query, query.text if plain else _question(query.text, keywords), among, depth, found)
        found.notes += [f"{phrase} has no word to look for, and is left out" for phrase in keywords.silent]
        if query.mode == "keyword" and not (keywords.any or keywords.must):
            found.notes.append(f"{query.text[:80]!r} has no word to look for; name one that the files should have")
        if query.mode != "semantic":
            found.sparse = dict(self._index.keywords(keywords, depth, among))
        waiting = self._index.unembedded([*found.sparse]) if found.dense else ()
        scores = fuse(found.dense, found.sparse, self._index.count(), waiting)
        floor = FLOORS.get(self.nearest.model, -1.0) if self.nearest and found.dense else -1.0
        told = {id: score for id, score in scores.items() if id in found.sparse or found.nearest[id] >= floor}
        ranked = sorted(told, key=lambda id: (-scores[id], id))
        terms = Terms([word for word in keywords.words if word.lower() not in STOP_WORDS] or keywords.words)
        hits: list[Hit] = []
        stale: set[str] = set()
        for at in range(0, len(ranked), query.limit):
            part = ranked[at : at + query.limit]
            entries = self._index.entries(part)
            heads = self._files.heads_of([entry.path for entry in entries.values()])
            for id in part:
                if len(hits) < query.limit and (entry := entries.get(id)):
                    if self._changed(entry.path, heads.get(entry.path)):
                        stale.add(entry.path)
                    elif hit := self._hit(entry, scores[id], found, terms, query.context):
                        hits.append(hit)
            if len(hits) >= query.limit or stale:
                break
        return Results(tuple(hits), self._index.pending(), tuple(found.notes)), stale

    def _by_meaning(self, query: Query, text: str, among: Selection | None, depth: int, found: _Found) -> None:
        """Fill in the dense ranking: a file is as near as its nearest piece, and partly as its head."""
        try:
            nearest = self._usable()
            if not text.strip():
                return
            limit = PIECES * depth
            while True:
                pieces = nearest.nearest(text, limit, among)
                holders = self._index.holders([hash for hash, _ in pieces], among)
                if len(pieces) < limit or _files(holders) >= depth:
                    break
                limit *= MORE
            heads: dict[int, float] = {}
            for hash, score in pieces:
                for id, piece in holders.get(hash, ()):
                    if id not in found.nearest:
                        found.nearest[id], found.pieces[id] = score, piece
                    if piece.ordinal == 0:
                        heads[id] = score
            # A head that is not among the nearest is no nearer than the last of them.
            last = pieces[-1][1] if pieces else 0.0
            scores = {id: (1 - HEAD) * best + HEAD * heads.get(id, last) for id, best in found.nearest.items()}
            found.dense = dict(sorted(scores.items(), key=lambda each: (-each[1], each[0]))[:depth])
        except WorldError as error:
            if query.mode == "semantic":
                raise
            found.notes.append(f"found by keywords alone: {error.message}")

    def _usable(self) -> Nearest:
        if self.nearest is None:
            raise ModelFailed("there is no embedder; python -m aios.artifacts fetches the default one")
        known = self._index.model()
        if known is not None and known[0] != self.nearest.model:
            raise ModelFailed(
                f"what is embedded here is of {known[0]} and the embedder is {self.nearest.model}; "
                "use that one, or embed all anew: aios files reembed"
            )
        return self.nearest

    def _changed(self, path: str, head: Head | None) -> bool:
        """Whether another program changed a file since it was recorded."""
        try:
            # Looked at without care for links: nothing is read, and a file that is another one only looks changed.
            return head is None or not head.looks_like(os.lstat(self._files.path / path))
        except OSError:
            return True

    def _hit(self, entry: IndexEntry, score: float, found: _Found, terms: Terms, context: int) -> Hit | None:
        try:
            version = self._files.by_seq(entry.seq)
        except NotFound:
            return None
        body = self._index.body(entry.id)
        data = body.encode("utf-8", "surrogatepass")
        piece = self._piece(entry, data, found, terms)
        shown = snippet(body, piece.line, piece.last_line, terms, context)
        if not shown.marks and entry.id in found.sparse:
            shown = snippet(body, piece.line, piece.last_line, terms.apart(body), context)
        return Hit(
            path=entry.path,
            line=piece.line,
            last_line=piece.last_line,
            start=piece.start,
            end=piece.end,
            score=round(score, 6),
            why=found.why(entry.id),
            snippet=shown.text,
            at=shown.at,
            best=shown.best,
            marks=shown.marks,
            version=version.number,
            size=entry.size,
            modified=entry.modified,
            author=entry.author,
        )

    def _piece(self, entry: IndexEntry, data: bytes, found: _Found, terms: Terms) -> IndexedChunk:
        """Of a file's pieces the nearest, unless it has none of the words, or says nothing, and another does."""

        def read(piece: IndexedChunk) -> str:
            return data[piece.start : piece.end].decode("utf-8", "replace")

        def words(piece: IndexedChunk) -> tuple[int, int]:
            return terms.found(read(piece))

        near = found.pieces.get(entry.id)
        if near is not None and (words(near)[0] if entry.id in found.sparse else says(read(near))):
            return near
        pieces = self._index.pieces(entry.document) or [IndexedChunk(entry.document, 0, 0, 0, 1, 1, b"")]
        return max(pieces, key=lambda piece: (words(piece), says(read(piece)), -piece.ordinal))


def _files(holders: Mapping[bytes, Sequence[tuple[int, IndexedChunk]]]) -> int:
    return len({id for each in holders.values() for id, _ in each})


def _check(query: Query) -> None:
    if query.mode not in MODES:
        raise BadRequest(f"there is no mode {query.mode!r}; there are {', '.join(MODES)}", "mode")
    if not 1 <= query.limit <= MAX_HITS:
        raise BadRequest(f"limit is {query.limit}, but from 1 to {MAX_HITS} hits can be asked for", "limit")
    if query.context < 0:
        raise BadRequest(f"context is {query.context}, but counts lines from 0", "context")
    if not query.text.strip():
        raise BadRequest("the query is empty; say what to look for", "text")


def _question(text: str, keywords: Keywords) -> str:
    """What a query asks, without its signs."""
    return " ".join(keywords.words) if keywords.must or keywords.never or '"' in text else text


def _narrowed(among: Selection | None, keywords: Keywords) -> Selection | None:
    """A selection without the files that a query's signs rule out, whichever way they would be found."""
    conditions: Iterable[tuple[str, str]] = (
        *(("entry.id IN", term) for term in keywords.must),
        *(("entry.id NOT IN", term) for term in keywords.never),
    )
    sql = [among.sql] if among else []
    parameters = among.parameters if among else ()
    for condition, term in conditions:
        sql.append(f"{condition} (SELECT rowid FROM fts WHERE fts MATCH ?)")
        parameters += (term,)
    return Selection(" AND ".join(sql), parameters) if sql else None
