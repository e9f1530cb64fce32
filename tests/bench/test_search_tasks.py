"""The tasks' F1 on a small set: right where the heads decide, None where the set has no such task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aios.bench.search.tasks import f1, measure

DOCUMENTS = [
    {
        "id": "a.rst",
        "authors": ["Ann", "Bo"],
        "status": "Final",
        "text": "Author: Ann, Bo\nStatus: Final\nYear: 1\n\nX",
    },
    {"id": "d/b.rst", "authors": ["Bo"], "status": "Draft", "text": "Author: Bo\nStatus: Draft\nYear: 2002\n\nby Ann"},
]
TASKS = [
    {"kind": "keyword-single", "cond": [["author", "Ann"]], "gold": ["a.rst"]},
    {"kind": "keyword-or", "cond": ["or", ["author", "Ann"], ["status", "Draft"]], "gold": ["a.rst", "d/b.rst"]},
    {"kind": "metadata-range", "cond": ["and", ["author", "Bo"], ["year", 2002]], "gold": ["a.rst"]},
    {"kind": "rollback-n", "n": 1, "gold": ["a.rst"]},
]


def test_measure(tmp_path: Path) -> None:
    for name, rows in (("docs.jsonl", DOCUMENTS), ("tasks.jsonl", TASKS)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = measure(tmp_path, tmp_path / "root")
    assert {name: value for name, value in found.items() if value is not None} == {
        "tasks.keyword-single.f1": 1.0,
        "tasks.keyword-or.f1": 1.0,
        "tasks.metadata-range.f1": 0.0,
        "tasks.group-author.f1": 1.0,
        "tasks.group-status.f1": 1.0,
    }
    assert found["tasks.keyword-and.f1"] is None


def test_a_set_without_tasks_has_no_figures(tmp_path: Path) -> None:
    assert set(measure(tmp_path, tmp_path / "root").values()) == {None}


def test_f1() -> None:
    assert f1(set(), set()) == 1.0
    assert f1({"a"}, set()) == f1(set(), {"a"}) == 0.0
    assert f1({"a", "b"}, {"a"}) == pytest.approx(2 / 3)
