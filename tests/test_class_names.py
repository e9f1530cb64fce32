"""One class name, one meaning: whoever reads it in one file knows it in all of them."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("aios", "storage/aios_storage", "syscalls/aios_syscalls")
ALLOWED = {
    "Embedder": "the same protocol twice: the store's library knows no kernel, and the kernel's models no library",
}


def test_no_class_of_the_product_shares_its_name() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert len(places) > 500
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert set(shared) == set(ALLOWED), shared
    assert len(ALLOWED) <= 8
