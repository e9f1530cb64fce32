"""How good the rankings are: each set as files below a root of its own, each question as a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aios.bench.search.sets import TOP, Set, ndcg, path_of, rows
from aios_storage import Library, Mode, Query
from aios_storage.embedders import Embedder

MODES = ("keyword", "dense", "rrf", "hybrid")
DEPTH = 100
RRF = 60
HIT = 3
TASK = "semantic-top3"
NOISE = 0.005
"""Of an nDCG@10: fewer than two questions of these sets."""


def measure(each: Set, embedder: Embedder, root: Path, tell: Callable[[str], None]) -> dict[str, float]:
    """nDCG@10 of every mode, and how often an answer is among the first three hits of the default."""
    for path, text in each.documents.items():
        (root / path).write_text(text, "utf-8", errors="surrogateescape", newline="")
    with Library(root, embedder) as library:
        library.refresh()
        total = library.pending().chunks
        library.embed(progress=lambda done: tell(f"{each.name}: {done:,} of {total:,} pieces embedded"))
        sums = dict.fromkeys(MODES, 0.0)
        hits = 0
        for number, (id, question) in enumerate(each.questions.items(), 1):
            dense = ranked(library, question, "semantic", DEPTH)
            keyword = ranked(library, question, "keyword", DEPTH)
            hybrid = ranked(library, question, "hybrid", TOP)
            for mode, found in zip(MODES, (keyword, dense, reciprocal(dense, keyword), hybrid), strict=True):
                sums[mode] += ndcg(found, each.relevant[id])
            hits += any(path in each.relevant[id] for path in hybrid[:HIT])
            tell(f"{each.name}: {number} of {len(each.questions)} questions")
        figures = _tasks(library, each)
    count = len(each.questions)
    figures |= {f"{each.name}.{mode}.ndcg10": total / count for mode, total in sums.items()}
    return figures | {f"{each.name}.hybrid.hit{HIT}": hits / count}


def _tasks(library: Library, each: Set) -> dict[str, float]:
    """How often an answer is among the first three hits, for a set's own tasks of that kind."""
    if not (each.place / "tasks.jsonl").is_file():
        return {}
    tasks = [row for row in rows(each.place / "tasks.jsonl") if row["kind"] == TASK]
    tasks = [row for row in tasks if any(path_of(id) in each.documents for id in row["gold"])]
    if not tasks:
        return {}
    hits = 0
    for task in tasks:
        # What is asked is behind the colon; before it is what to do.
        question = str(task["prompt"]).partition(": ")[2] or str(task["prompt"])
        found = ranked(library, question, "hybrid", int(task.get("k", HIT)))
        hits += bool({path_of(id) for id in task["gold"]} & {*found})
    return {f"{each.name}.top3.hit{HIT}": hits / len(tasks)}


def ranked(library: Library, question: str, mode: Mode, limit: int) -> list[str]:
    """The paths that a search finds. A question is plain text: what would be a sign in it is none."""
    return [hit.path for hit in library.search(Query(plain(question), mode, limit=limit)).hits]


def plain(question: str) -> str:
    """A question without what the query language reads as a sign."""
    words = question.replace('"', " ").split()
    return " ".join(
        word.lstrip("+-").rstrip("*") if word not in ("AND", "OR", "NOT") else word.lower() for word in words
    )


def reciprocal(*rankings: Sequence[str]) -> list[str]:
    """Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009)."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, path in enumerate(ranking, 1):
            scores[path] = scores.get(path, 0.0) + 1 / (RRF + rank)
    return sorted(scores, key=lambda path: -scores[path])


def at_least_its_parts(figures: Mapping[str, float | None]) -> float:
    """1 where the default is no worse than keywords, and than meaning, on every set, within noise."""
    for name, value in figures.items():
        each = name.removesuffix(".hybrid.ndcg10")
        if each != name and value is not None:
            parts = (figures[f"{each}.{mode}.ndcg10"] for mode in ("keyword", "dense"))
            if any(part is not None and value < part - NOISE for part in parts):
                return 0.0
    return 1.0
