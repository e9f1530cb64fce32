"""Kills: of a program that changes files, at any moment and at named points, and of the owner of an index."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from aios.bench import Report, at_least, at_most
from aios.bench.crash.killing import POINTS, CrashRoot
from aios.bench.crash.recovery import measure

GOALS = (
    at_least("random_kills", 200),
    at_least("points", 10),
    at_least("kills_at_each_point", 20),
    at_least("recovery_kills_at_flush", 30),
    at_most("faults", 0),
    at_least("index_equals_a_new_one", 1),
    at_most("recovery_wrong_answers", 0),
    at_most("recovery_problems", 0),
    at_most("recovery_disk_ratio", 2),
    at_most("recovery_first_answer_s", 1),
    at_most("recovery_index_back_s", 90),
)
FULL, QUICK = (200, 20, 30, 100_000), (8, 1, 3, 4_000)
EACH = 25
"""Kills after which the index is compared with a new one."""


def main(quick: bool) -> Report:
    """Everything, in some 20 minutes on two cores; a part of it when `quick`."""
    random_kills, each, flushes, chunks = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="aios-bench-", ignore_cleanup_errors=True) as work:
        root = CrashRoot(Path(work, "changed"))
        root.path.mkdir()
        plan = [None] * random_kills + [point for point in POINTS for _ in range(each)]
        reached: Counter[str] = Counter()
        same = True
        for number, point in enumerate(plan):
            if root.kill(number, point) and point:
                reached[point] += 1
            if number % EACH == EACH - 1 or number == len(plan) - 1:
                same = root.same_answers() and same
                _tell("; ".join([f"{number + 1} of {len(plan)} kills, {len(root.faults)} faults", *root.faults[-3:]]))
    figures = measure(chunks, flushes, min(20_000, chunks // 2), _tell)
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
