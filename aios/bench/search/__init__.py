"""Search: how good its rankings are on sets with known answers, how fast it is, and the way back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aios.artifacts import EMBEDDER
from aios.bench import Bound, Report, at_least, at_most
from aios.bench.chart import Chart
from aios.bench.progress import progress
from aios.bench.search import concurrent, latency, leaks, minilm, quality, sets, speed, tasks, versions
from aios.bench.search.kept import KeptVectors
from aios.config import home
from aios_storage.embedders import Embedder
from aios_storage.embedders.granite import Granite
from aios_syscalls.errors import ModelFailed

GOALS = (
    at_least("writes_per_s", 200),
    at_most("write_to_searchable_s", 1),
    at_most("edit_embeds", 2),
    at_most("rename_copy_rollback_embeds", 0),
    at_most("rescan_10000_s", 2),
    at_most("keyword_p50_ms", 5),
    at_most("keyword_p95_ms", 15),
    at_most("query_p50_ms", 20),
    at_most("query_p95_ms", 50),
    at_most("filtered_p95_ms", 60),
    at_least("crowd_linear", 1),
    at_most("crowd_lost", 0),
    at_most("private_leaks", 0),
)
OF_SETS: Mapping[str, tuple[Bound, ...]] = {
    "scifact": (at_least("scifact.hybrid.ndcg10", 0.73),),
    "cosqa": (at_least("cosqa.hybrid.ndcg10", 0.59),),
    "peps": (at_least("peps.hybrid.ndcg10", 0.79), at_least("peps.top3.hit3", 0.81)),
}
"""Bounds for sets of these names, when all of a set is measured."""


@dataclass(frozen=True, slots=True)
class SearchSize:
    """How much of everything."""

    questions: tuple[int, int] | None
    """Of each set, and characters of documents."""
    files: int
    """That are indexed against the clock."""
    writes: int
    rescanned: int
    chunks: int
    queries: int
    rollbacks: int | None
    crowd: tuple[int, int]
    """Agents on the same files, and the calls of each."""
    leaks: int
    """Calls that look for what is private."""


FULL = SearchSize(None, 100, 1000, 10_000, latency.CHUNKS, 200, None, (8, 1000), 10_000)
QUICK = SearchSize((30, 500_000), 10, 300, 2_000, 10_000, 60, 40, (3, 40), 300)


def main(quick: bool, data: Path | None = None) -> Report:
    """Everything, in some 25 minutes on two cores the first time; later the sets' vectors are known."""
    if not EMBEDDER.path.is_file():
        raise ModelFailed(f"{EMBEDDER.what} is not at {EMBEDDER.path}; fetch it with: python -m aios.artifacts")
    places = sets.places(data or sets.DEFAULT) if data or sets.DEFAULT.is_dir() else []
    embedder = Granite(EMBEDDER.path, threads=_cores())
    with progress() as tell, tempfile.TemporaryDirectory(prefix="aios-bench-", ignore_cleanup_errors=True) as work:
        return _Run(QUICK if quick else FULL, embedder, Path(work), tell).report(places)


class _Run:
    """One run: its figures, why some are missing, and what they have to keep to."""

    def __init__(self, size: SearchSize, embedder: Embedder, work: Path, tell: Callable[[str], None]) -> None:
        self._size, self._embedder, self._work, self._tell = size, embedder, work, tell
        self._figures: dict[str, float | None] = {}
        self._missing: dict[str, str] = {}
        self._goals: list[Bound] = []
        self._parts: list[str] = []
        self._lined = ""
        """The text with the most lines, for the edit of one."""

    def report(self, places: list[Path]) -> Report:
        """Sets first, then speed on the texts of one of them, then the rest."""
        texts = self._sets(places)
        self._speed(texts)
        self._versions(places)
        self._tasks(places)
        self._tell("agents are at the same files, and one looks for what is private")
        self._figures |= concurrent.measure(*self._size.crowd)
        self._figures |= leaks.measure(self._size.leaks)
        self._tell(f"{self._size.chunks:,} pieces are made up, to be searched")
        self._figures |= latency.measure(
            self._embedder, self._fresh("latency"), self._size.chunks, self._size.queries, self._tell
        )
        goals = [*self._goals, *GOALS]
        ordered = {goal.name: self._figures[goal.name] for goal in goals}
        figures = ordered | self._figures
        return Report.of("search", figures, goals, missing=self._missing, notes=self._notes(), charts=self._charts())

    def _sets(self, places: list[Path]) -> Mapping[str, str]:
        """Rankings on every set. The texts of the last, for what is measured on any texts."""
        if not places:
            self._figures["hybrid_ge_parts"] = None
            self._missing["hybrid_ge_parts"] = f"there is no {sets.DEFAULT}; name a directory of sets with --data"
        texts: Mapping[str, str] = {f"{number}.txt": _made_up(number) for number in range(self._size.files)}
        kept = KeptVectors(self._embedder, home("cache") / "bench" / "vectors.db")
        try:
            for place in places:
                each = sets.read(place, self._size.questions)
                found = quality.measure(each, kept, self._fresh(f"set-{each.name}"), self._tell)
                self._figures |= found
                self._figures |= self._beside(each)
                self._parts.append(f"{each.name}: {len(each.documents):,} documents, {len(each.questions):,} questions")
                if each.whole:
                    self._goals += [goal for goal in OF_SETS.get(each.name, ()) if goal.name in found]
                texts = each.documents
                self._lined = max([self._lined, *texts.values()], key=_lines)
        finally:
            kept.close()
        if places:
            # Of thirty questions one is three hundredths: a bound would be about luck.
            if self._size.questions is None:
                self._goals.insert(0, at_least("hybrid_ge_parts", 1))
            self._figures["hybrid_ge_parts"] = quality.at_least_its_parts(self._figures)
        return texts

    def _beside(self, each: sets.Set) -> dict[str, float | None]:
        """AIOS's configuration on a set."""
        name = f"{each.name}.minilm256.ndcg10"
        weights = minilm.place()
        if weights is None:
            self._missing[name] = f"{minilm.VARIABLE} names no directory with model.onnx and tokenizer.json"
            return {name: None}
        self._tell(f"{each.name}: MiniLM on the first 256 tokens, beside the default")
        return {name: minilm.measure(each, weights)}

    def _speed(self, texts: Mapping[str, str]) -> None:
        self._tell("indexing, writing, scanning against the clock")
        some = dict(list(texts.items())[: self._size.files])
        self._figures |= speed.indexing(some, self._embedder, self._fresh("index"))
        self._figures |= speed.writes(self._fresh("writes"), self._size.writes)
        lined = max([self._lined, *texts.values()], key=_lines)
        self._figures |= speed.edit(lined, self._embedder, self._fresh("edit"))
        self._figures |= speed.moves(self._embedder, self._fresh("moves"))
        self._figures |= speed.rescan(self._fresh("rescan"), self._size.rescanned)

    def _versions(self, places: list[Path]) -> None:
        place = next(filter(versions.present, places), None)
        if place is None:
            for name in ("rollback_exact", "store_ratio"):
                self._figures[name] = None
                self._missing[name] = "no set has versions.jsonl.gz and tasks.jsonl"
            return
        self._tell(f"{place.name}: real histories are written, and gone back in")
        found = versions.measure(place, self._fresh("versions"), self._size.rollbacks)
        self._figures |= found
        self._goals += [
            at_least("rollback_exact", found["rollback_tasks"]),
            at_most("rollback_max_ms", 10),
            at_most("store_ratio", 0.2),
        ]

    def _tasks(self, places: list[Path]) -> None:
        """Tasks by keyword and by what a file's header says, and grouping."""
        for place in places:
            if (place / "tasks.jsonl").is_file():
                self._tell(f"{place.name}: tasks by keyword and by metadata")
                found = tasks.measure(place, self._fresh(f"tasks-{place.name}"))
                for name, value in found.items():
                    if value is not None:
                        self._figures[f"{place.name}.{name}"] = value
                        if "group" not in name:
                            self._goals.append(at_least(f"{place.name}.{name}", 1))

    def _fresh(self, name: str) -> Path:
        root = self._work / name
        root.mkdir()
        return root

    def _notes(self) -> list[str]:
        """How the figures came about."""
        size = self._size
        part = "all of each set" if size.questions is None else f"a part of each set ({size.questions[0]} questions)"
        return [
            f"Rankings: {part}; {'; '.join(self._parts) or 'no set'}. Each document is a file, each question a search "
            "of the library; keyword, dense and hybrid are its three modes, rrf fuses the first 100 of two of them. "
            f"Embedder: {self._embedder.id}, pieces of about 1,000 characters, the nearest counts for its file.",
            f"files_per_s, mb_per_s, embedding_share: {size.files} files, {_cores()} threads, until all is embedded. "
            f"writes_per_s: {size.writes} writes of 1 kB, durable, each found by its words when it returns.",
            f"Latency: {size.chunks:,} made-up pieces, warm, exact search in this process, the question's embedding "
            "included; filters by path, author, time, and two of them, from a hundredth of the files to all.",
            f"crowd: {size.crowd[0]} agents, each a process, {size.crowd[1]} calls each on the same files; private: "
            f"{size.leaks:,} random calls of an agent that may not see another's files.",
            "rescan_10000_s: "
            + ("as measured." if size.rescanned == speed.RESCANNED else f"{size.rescanned:,} files, scaled up."),
        ]

    def _charts(self) -> list[Chart]:
        names = [name.removesuffix(".hybrid.ndcg10") for name in self._figures if name.endswith(".hybrid.ndcg10")]
        modes = (*quality.MODES, "minilm256")
        series = {mode: {name: f"{name}.{mode}.ndcg10" for name in names} for mode in modes}
        return [Chart("rankings", "nDCG@10", series)] if names else []


def _lines(text: str) -> int:
    return text.count("\n")


def _made_up(number: int) -> str:
    """A text of about 10 kB, where there is no set to take one from."""
    return "\n".join(f"Line {line} of text {number} is about subject {line * number % 97}." for line in range(200))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
