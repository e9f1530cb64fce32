"""How long a search takes among 100,000 pieces: made-up texts and vectors that look like real ones."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from aios_storage import Author, Filters, Library, Mode, Query
from aios_storage.embedders import Embedder

CHUNKS = 100_000
PARTS = 4
"""Paragraphs of a file, of about 1,000 characters each."""
PIECES = 5
"""Of a file, on average."""
VOCABULARY = 30_000
TOPICS = 400
AUTHORS = 5
DISTANCE = 0.75
"""Of a vector to its topic's; it makes cosines of 0.4 to 0.8, as real ones are."""


def measure(embedder: Embedder, root: Path, chunks: int, queries: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Milliseconds of keyword, hybrid and filtered hybrid searches, warm, embedding the question included."""
    fill(embedder, root, chunks, tell)
    asked = questions(queries + 10)
    with Library(root, embedder) as library:
        figures = {"searched_chunks": float(len(library.index.hashes()))}
        runs: list[tuple[str, Mode, list[Filters]]] = [
            ("keyword", "keyword", [Filters()]),
            ("query", "hybrid", [Filters()]),
            ("filtered", "hybrid", _filters()),
        ]
        for name, mode, filters in runs:
            times = _times(library, asked, mode, filters)
            figures[f"{name}_p50_ms"], figures[f"{name}_p95_ms"] = median(times), times[int(0.95 * len(times))]
            tell(f"{name}: {figures[f'{name}_p50_ms']:.1f} ms")
    return figures


def questions(count: int) -> list[str]:
    """Questions of three frequent words and two rare ones."""
    choose = random.Random(7)
    words = _words(choose)
    common, rare = words[100:2000], words[2000:20000]
    return [" ".join(choose.sample(common, 3) + choose.sample(rare, 2)) for _ in range(count)]


def fill(embedder: Embedder, root: Path, chunks: int, tell: Callable[[str], None]) -> None:
    """Make files up, and their vectors, which are said to be this embedder's."""
    choose = random.Random(7)
    words = _words(choose)
    weights = [1 / (rank + 20) for rank in range(VOCABULARY)]
    with Library(root) as library:
        _fill(library, chunks // PIECES, words, weights, choose, tell)
        _embed(library, embedder, tell)


def _times(library: Library, asked: Sequence[str], mode: Mode, filters: Sequence[Filters]) -> list[float]:
    """Sorted, without the first ten, which warm up."""
    times = []
    for number, text in enumerate(asked):
        query = Query(text, mode, filters[number % len(filters)])
        start = time.perf_counter()
        library.search(query)
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times[10:])


def _filters() -> list[Filters]:
    """By directory, by author, by time, and two together: from a hundredth to half of the files."""
    return [
        Filters(paths=("7/",)),
        Filters(authors=("agent1",)),
        Filters(since=time.time() - 3600),
        Filters(paths=("*1.txt",), authors=("agent2", "agent3")),
    ]


def _fill(
    library: Library,
    files: int,
    words: list[str],
    weights: list[float],
    choose: random.Random,
    tell: Callable[[str], None],
) -> None:
    pool = choose.choices(words, weights, k=2_000_000)
    each = max(1, files // AUTHORS)
    for number in range(files):
        folder = library.root / str(number % 100)
        folder.mkdir(exist_ok=True)
        paragraphs = []
        for _ in range(PARTS):
            start = choose.randrange(len(pool) - 140)
            paragraphs.append("\n".join(" ".join(pool[at : at + 14]) for at in range(start, start + 140, 14)))
        (folder / f"{number}.txt").write_text("\n\n".join(paragraphs))
        if number % each == each - 1 or number == files - 1:
            library.files.by(Author(f"agent{number // each}")).scan()
            library.index.catch_up()
            tell(f"{number + 1:,} of {files:,} made-up files are indexed")


def _embed(library: Library, embedder: Embedder, tell: Callable[[str], None]) -> None:
    """Vectors about topics; half of each is noise."""
    draw = np.random.default_rng(7)
    centre = draw.normal(size=embedder.dimension)
    topics = _unit(centre / np.linalg.norm(centre) + _unit(draw.normal(size=(TOPICS, embedder.dimension))))
    library.index.use(embedder.id, embedder.dimension)
    while todo := library.index.todo(2000):
        noise = DISTANCE * _unit(draw.normal(size=(len(todo), embedder.dimension)))
        rows = _unit(topics[draw.integers(TOPICS, size=len(todo))] + noise).astype(np.float16)
        library.index.embedded(embedder.id, {each.hash: row.tobytes() for each, row in zip(todo, rows, strict=True)})
        tell(f"{library.pending().chunks:,} pieces wait for a made-up vector")


def _unit(rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    unit: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit


def _words(choose: random.Random) -> list[str]:
    letters = "abcdefghijklmnoprstuvwz"
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        found["".join(choose.choices(letters, k=choose.randint(4, 9)))] = None
    return list(found)
