"""Kills: of a program that changes files, at any moment and at named points, and of the owner of an index."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from aios.bench import Report, at_least, at_most
from aios.bench.crash.flushing import measure
from aios.bench.crash.killing import POINTS, Root
from aios.setup import EMBEDDER, default_embedder
from aios_syscalls import ModelFailed

GOALS = (
    at_least("random_kills", 200),
    at_least("points", 10),
    at_least("kills_at_each_point", 20),
    at_least("flush_kills", 30),
    at_most("faults", 0),
    at_least("index_equals_a_new_one", 1),
    at_least("flush_recall", 0.9),
    at_most("flush_disk_ratio", 2),
    at_most("first_answer_after_kill_s", 1),
    at_most("index_back_after_kill_s", 90),
)
FULL, QUICK = (200, 20, 30, 100_000), (8, 1, 3, 4_000)
EACH = 25
"""Kills after which the index is compared with a new one."""


def main(quick: bool) -> Report:
    """Everything, in some 20 minutes on two cores; a part of it when `quick`."""
    embedder = default_embedder()
    if embedder is None:
        raise ModelFailed(f"{EMBEDDER.what} is not at {EMBEDDER.path}; fetch it with: python -m aios.setup")
    random_kills, each, flushes, chunks = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="aios-bench-", ignore_cleanup_errors=True) as work:
        root = Root(Path(work, "changed"))
        root.path.mkdir()
        plan = [None] * random_kills + [point for point in POINTS for _ in range(each)]
        reached: Counter[str] = Counter()
        same = True
        for number, point in enumerate(plan):
            if root.kill(number, point) and point:
                reached[point] += 1
            if number % EACH == EACH - 1 or number == len(plan) - 1:
                same = root.same_answers() and same
                _tell(f"{number + 1} of {len(plan)} kills, {len(root.faults)} faults")
        place = Path(work, "indexed")
        place.mkdir()
        figures = measure(place, embedder, chunks, flushes, _tell)
    return Report.of(
        "crash",
        {
            "random_kills": float(random_kills),
            "points": float(len(reached)),
            "kills_at_each_point": float(min(reached[point] for point in POINTS)),
            "faults": float(len(root.faults)),
            "index_equals_a_new_one": float(same),
            **figures,
        },
        () if quick else GOALS,
        notes=root.faults[:20],
    )


def _tell(what: str) -> None:
    import sys

    print(f"aios bench crash: {what}", file=sys.stderr, flush=True)
