"""The retrieval tasks of a data set on real files: by keyword, by metadata, into groups.

A set has `docs.jsonl` (`id`, a file's name, and `text`, all that a system is given) and `tasks.jsonl` (`kind`, `gold`,
and `cond`: a pair of a field and a value, or `and`/`or` before several; `group`: a topic).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from aios_storage import Filters, Index, Library

KINDS = ("keyword-single", "keyword-and", "keyword-or", "metadata-range", "group")
GROUPED_BY = ("topic", "author", "status", "type")
"""The fields by which files are grouped."""


def measure(data: Path, root: Path) -> dict[str, float | None]:
    """Mean F1 of each kind of task, and of grouping by each field; None where the set has no such task.

    `root` is a directory for the files, which is made. Names are `tasks.<kind>.f1` and `tasks.group-<field>.f1`.
    """
    documents = list(_rows(data / "docs.jsonl"))
    root.mkdir(parents=True, exist_ok=True)
    for each in documents:
        path = root / each["id"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(each["text"], "utf-8", newline="")
    scores: defaultdict[str, list[float]] = defaultdict(list)
    with Library(root) as library:
        library.refresh()
        library.index.catch_up()
        for task in _rows(data / "tasks.jsonl"):
            condition = ["topic", task["group"]] if "group" in task else task.get("cond")
            if task["kind"] in KINDS and condition:
                scores[task["kind"]].append(f1(meeting(library.index, condition), set(task["gold"])))
        for key in GROUPED_BY:
            scores[f"group-{key}"] = _grouped(library.index, key, documents)
    names = (*KINDS, *(f"group-{key}" for key in GROUPED_BY))
    return {f"tasks.{name}.f1": fmean(scores[name]) if scores[name] else None for name in names}


def meeting(index: Index, condition: list[Any]) -> set[str]:
    """The files that meet a task's condition."""
    match condition:
        case ["and", *parts]:
            return _meeting(index, tuple((key, str(value)) for key, value in parts))
        case ["or", *parts]:
            return set().union(*(meeting(index, part) for part in parts))
        case [[_, _] as only]:
            return meeting(index, only)
        case [str(key), value]:
            return _meeting(index, ((key, str(value)),))
    raise ValueError(f"{condition} is no condition: a pair, or and/or before pairs")


def f1(found: set[str], gold: set[str]) -> float:
    """The harmonic mean of precision and recall; 1 where nothing was to be found, and nothing was."""
    return 2 * len(found & gold) / (len(found) + len(gold)) if found or gold else 1.0


def _meeting(index: Index, fields: tuple[tuple[str, str], ...]) -> set[str]:
    return {entry.path for entry in index.selected(index.select(Filters(fields=fields)))}


def _grouped(index: Index, key: str, documents: list[dict[str, Any]]) -> list[float]:
    """F1 of each group that the set's own metadata names."""
    gold: defaultdict[str, set[str]] = defaultdict(set)
    for each in documents:
        values = each.get(key) or each.get(f"{key}s") or []
        for value in [values] if isinstance(values, str) else values:
            gold[value].add(each["id"])
    return [f1(_meeting(index, ((key, value),)), files) for value, files in gold.items()]


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    return _lines(path) if path.exists() else ()


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
