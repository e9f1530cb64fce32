"""Sets of files: all that a query matches, in groups, and changes of all of it in two steps."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from aios_storage.embedders import Floats
from aios_storage.index.index import IndexEntry
from aios_storage.index.query import STOP_WORDS
from aios_storage.index.words import grams, split
from aios_storage.library import Library
from aios_storage.search.search import Query
from aios_syscalls.errors import BadRequest, Conflict

ROUNDS = 30
WORD = re.compile(r"[^\W\d_][\w-]{2,}")
BODY = 4000
"""Characters of a file that a group's name may come of."""
_KEY = secrets.token_bytes(32)


def all_matching(library: Library, query: Query) -> list[IndexEntry]:
    """The files that a query finds, best first; without text all that meet its conditions, by path."""
    library.index.catch_up()
    if not query.text.strip():
        return library.index.selected(library.index.select(query.filters))[: query.limit]
    hits = library.search(query).hits
    by_path = {entry.path: entry for entry in library.index.selected(library.index.select(query.filters))}
    return [by_path[hit.path] for hit in hits if hit.path in by_path]


def grouped(library: Library, entries: Sequence[IndexEntry], by: str, most: int) -> dict[str, list[str]]:
    """Paths in groups: by `topic`, `author`, `type`, `month`, `directory`, or a field of the files' heads.

    `author` is who changed a file last, and `field:author` what its head says; others need no `field:`. Topics are
    clusters of what the files mean, named after words that are frequent in one and rare elsewhere. Raises BadRequest
    where no file has such a field.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        match by:
            case "author":
                groups[entry.author].append(entry.path)
            case "type":
                groups[entry.kind].append(entry.path)
            case "month":
                groups[datetime.fromtimestamp(entry.modified).strftime("%Y-%m")].append(entry.path)
            case "directory":
                groups[entry.path.rpartition("/")[0] or "."].append(entry.path)
            case "topic":
                pass
            case _:
                field = by.lower().removeprefix("field:")
                for key, value in library.index.fields(entry.document):
                    if key == field:
                        groups[value].append(entry.path)
    if by == "topic":
        groups.update(_topics(library, entries, most))
    if entries and not groups:
        raise BadRequest(f"no file states a field {by}; group by topic, author, type, month or directory", "by")
    return dict(sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0])))


def confirmed(entries: Sequence[IndexEntry], what: str, token: str | None) -> str | None:
    """The token that confirms a change of just these files as they are; None where the one given does.

    Raises Conflict for a token of other files, or of these as they were.
    """
    said = "\n".join([what, *(f"{entry.seq} {entry.path}" for entry in entries)])
    right = hmac.new(_KEY, said.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
    if token is None:
        return right
    if not hmac.compare_digest(token, right):
        raise Conflict("what matches is not what was confirmed any more; look at the list again", field="token")
    return None


def _topics(library: Library, entries: Sequence[IndexEntry], most: int) -> Mapping[str, list[str]]:
    """Clusters of the files that have vectors; the others are a group of their own."""
    vectors = library.index.means([entry.document for entry in entries])
    known = [entry for entry in entries if entry.document in vectors]
    groups: dict[str, list[str]] = {}
    if known:
        matrix = np.stack([vectors[entry.document] for entry in known])
        clusters: dict[int, list[IndexEntry]] = defaultdict(list)
        for entry, cluster in zip(known, _clusters(matrix, min(most, max(1, len(known) // 2))), strict=True):
            clusters[cluster].append(entry)
        groups = _named(library, list(clusters.values()))
    if len(known) < len(entries):
        groups["(not embedded yet)"] = [entry.path for entry in entries if entry.document not in vectors]
    return groups


def _clusters(matrix: Floats, count: int) -> list[int]:
    """Spherical k-means (Dhillon, Modha 2001), begun with points far from each other (k-means++)."""
    dice = np.random.default_rng(0)
    centres = [matrix[0]]
    while len(centres) < count:
        away = 1 - np.max(matrix @ np.stack(centres).T, axis=1)
        away = np.clip(away, 0, None) ** 2
        if not away.sum():
            break
        centres.append(matrix[dice.choice(len(matrix), p=away / away.sum())])
    middle = np.stack(centres)
    nearest = np.argmax(matrix @ middle.T, axis=1)
    for _ in range(ROUNDS):
        sums = np.stack([matrix[nearest == at].sum(axis=0) for at in range(len(middle))])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        middle = np.where(lengths > 0, sums / np.maximum(lengths, 1e-9), middle)
        moved = np.argmax(matrix @ middle.T, axis=1)
        if (moved == nearest).all():
            break
        nearest = moved
    return [int(at) for at in nearest]


def _parts(word: str) -> list[str]:
    """A word, or what a run of a script without blanks is made of."""
    return [word] if word.isascii() else [part for each in split(word) for part in grams(each)]


def _named(library: Library, clusters: Sequence[Sequence[IndexEntry]]) -> dict[str, list[str]]:
    counts = []
    for cluster in clusters:
        words: Counter[str] = Counter()
        for entry in cluster:
            text = f"{library.index.titled(entry.document)} {library.index.body(entry.id)[:BODY]}".lower()
            words.update({part for word in WORD.findall(text) for part in _parts(word)} - STOP_WORDS)
        counts.append(words)
    everywhere = sum(counts, Counter())
    total = sum(map(len, clusters))
    named: dict[str, list[str]] = {}
    for cluster, words in zip(clusters, counts, strict=True):

        def telling(word: str, words: Counter[str] = words, size: int = len(cluster)) -> float:
            inside, outside = words[word] / size, (everywhere[word] - words[word] + 0.5) / (total - size + 1)
            return inside * float(np.log(inside / outside)) if inside > outside else 0.0

        best = sorted(words, key=lambda word: (-telling(word), word))[:3]
        name = ", ".join(best) or "others"
        named.setdefault(name, []).extend(entry.path for entry in cluster)
    return named
