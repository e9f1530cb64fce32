"""How fast files become searchable."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path

from aios_storage import Library, Query
from aios_storage.embedders import Embedder
from aios_syscalls.errors import KernelBug

WRITES = 1000
LARGE = 100_000
"""Bytes of the file in which a line is edited."""
RESCANNED = 10_000
QUESTION = "how are penguins counted from space?"
PENGUINS = (
    "Penguins are counted from space: satellites see the colour of their guano on the ice, which tells where a colony "
    "is and how large; emperor penguins, whose colonies nobody can walk to in winter, were counted so for the first "
    "time, and the pictures showed twice as many penguins as had been thought to live in Antarctica."
)


def indexing(texts: Mapping[str, str], embedder: Embedder, root: Path) -> dict[str, float]:
    """Files and MB a second from the disk to found by meaning, and the embedding's share of that time."""
    for path, text in texts.items():
        (root / path).write_text(text, "utf-8")
    size = sum((root / path).stat().st_size for path in texts)
    with Library(root, embedder) as library:
        embedder.embed(["loaded before the clock runs"])
        start = time.perf_counter()
        library.refresh()
        read = time.perf_counter()
        chunks = library.embed()
        end = time.perf_counter()
    taken = end - start
    return {
        "files_per_s": len(texts) / taken,
        "mb_per_s": size / 1e6 / taken,
        "embedding_share": (end - read) / taken,
        "keyword_files_per_s": len(texts) / (read - start),
        "chunks_per_s": chunks / (end - read),
    }


def writes(root: Path, count: int = WRITES) -> dict[str, float]:
    """Acknowledged writes of 1 kB a second; each is found by its keyword as soon as it has returned."""
    words = [f"word{number}" for number in range(500)]
    choose = random.Random(1)
    taken = 0.0
    with Library(root) as library:
        for number in range(count):
            text = f"unique{number} " + " ".join(choose.choices(words, k=140))
            start = time.perf_counter()
            library.files.write(f"{number}.txt", text.encode())
            taken += time.perf_counter() - start
            if number % 50 == 0 and [hit.path for hit in library.search(f"unique{number}").hits] != [f"{number}.txt"]:
                raise KernelBug(f"{number}.txt was written and cannot be found by its word; please report this")
    return {"writes_per_s": count / taken}


def edit(text: str, embedder: Embedder, root: Path, size: int = LARGE) -> dict[str, float]:
    """From the write of one line in a large file until a question about it finds it, and what that embeds."""
    lines = (text * (size // len(text) + 1))[:size].splitlines()
    # Repeated text would share its vectors, and the edit would cost nothing.
    lines = [f"{line} ({number})" if number % 7 == 0 else line for number, line in enumerate(lines)]
    with Library(root, embedder) as library:
        library.files.write("large.txt", "\n".join(lines).encode())
        library.embed()
        library.search(QUESTION)
        lines[len(lines) // 2] = PENGUINS
        start = time.perf_counter()
        library.files.write("large.txt", "\n".join(lines).encode())
        embedded = library.embed()
        hits = library.search(Query(QUESTION, "semantic")).hits
        taken = time.perf_counter() - start
    if not hits or not hits[0].line <= len(lines) // 2 + 1 <= hits[0].last_line:
        raise KernelBug("a line was written and is not found by its meaning; please report this")
    return {"write_to_searchable_s": taken, "edit_embeds": float(embedded)}


def moves(embedder: Embedder, root: Path) -> dict[str, float]:
    """Pieces embedded when a file is renamed, copied and rolled back: none."""
    with Library(root, embedder) as library:
        library.files.write("a.txt", b"The first version speaks of harbours and ships.\n")
        library.embed()
        library.files.write("a.txt", b"The second one is about mountains.\n")
        library.embed()
        library.files.move("a.txt", "b.txt")
        library.files.copy("b.txt", "c.txt")
        library.files.rollback("b.txt", -1)
        return {"rename_copy_rollback_embeds": float(library.embed())}


def rescan(root: Path, count: int = RESCANNED) -> dict[str, float]:
    """Looking at small files again of which none has changed."""
    for number in range(count):
        folder = root / f"{number // 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(f"file {number} says {number * 7919 % 10007}\n")
    with Library(root) as library:
        library.refresh()
        start = time.perf_counter()
        again = library.refresh()
        taken = time.perf_counter() - start
    if again.unchanged != count or again.changed:
        raise KernelBug(f"of {count} unchanged files {again.unchanged} were seen as such; please report this")
    return {"rescan_10000_s": taken * RESCANNED / count}
