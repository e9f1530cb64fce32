"""The way back: real histories of files, gone back in by number and by date."""

from __future__ import annotations

import gzip
import hashlib
import json
import statistics
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aios.bench.search.sets import rows
from aios_storage import Files

KINDS = ("rollback-n", "rollback-date")
RAW = "text"


def histories(place: Path) -> list[dict[str, Any]]:
    """The versions of a set, oldest first."""
    with gzip.open(place / "versions.jsonl.gz", "rt", encoding="utf-8", newline="") as lines:
        return [json.loads(line) for line in lines]


def present(place: Path) -> bool:
    """Whether a set has histories and tasks."""
    return (place / "versions.jsonl.gz").is_file() and (place / "tasks.jsonl").is_file()


def measure(place: Path, root: Path, most: int | None) -> dict[str, float]:
    """How many of the tasks give back the expected bytes, how long each takes, and what keeping all takes on disk."""
    now = [0.0]
    versions = histories(place)
    last: dict[str, int] = {}
    with Files(root, clock=lambda: now[0]) as files:
        for row in versions:
            now[0] = _local(row["date"]).timestamp()
            last[row["id"]] = files.write(row["id"], row[RAW].encode()).number
    raw, kept = sum(len(row[RAW].encode()) for row in versions), _size(root / ".aios")
    tasks = [row for row in rows(place / "tasks.jsonl") if row["kind"] in KINDS and row["gold"][0] in last][:most]
    exact, times = 0, []
    # What a task writes must not be what the next one finds by its date.
    now[0] = time.time()
    with Files(root, clock=lambda: now[0]) as files:
        for task in tasks:
            path = task["gold"][0]
            # A day is over when its last microsecond is.
            day = "date" in task and datetime.fromisoformat(task["date"]) + timedelta(days=1, microseconds=-1)
            start = time.perf_counter()
            files.rollback(path, day or last[path] - task["n"])
            times.append(1e3 * (time.perf_counter() - start))
            exact += hashlib.sha256((root / path).read_bytes()).hexdigest() == task["expect_sha256"]
    return {
        "rollback_exact": float(exact),
        "rollback_tasks": float(len(tasks)),
        "rollback_p50_ms": statistics.median(times),
        "rollback_max_ms": max(times),
        "store_ratio": kept / raw,
    }


def _local(date: str) -> datetime:
    """A time as its author's clock had it, which is what a task's day is of."""
    return datetime.fromisoformat(date).replace(tzinfo=None)


def _size(folder: Path) -> int:
    """Bytes on the disk of all below a folder, but for the index, which can be made again."""
    return sum(
        path.stat().st_blocks * 512
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("index")
    )
