"""What a kill costs: the owner of an index is killed while it writes its approximate index, again and again."""

from __future__ import annotations

import glob
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from aios.owner import meaning as meaning_of
from aios_storage import BruteForce, Library, OwnedVectors, Query
from aios_storage import OwnerClient as Client
from aios_storage.embedders.hashing import Hashing
from aios_syscalls.errors import StorageFailed

PARTS = 8
"""Pieces of a file, of about 1,000 characters each."""
VOCABULARY = 5000
QUESTIONS = 20
TOP = 10
FLUSHED = 1000
"""Vectors after which Chroma writes its graph."""
FLUSH_S = 60.0
"""For which a flush is waited for."""
FLUSHES = 6
"""A kill comes at one of so many first writes."""
LONG_S = 300.0
BATCH = 2000


def measure(
    chunks: int = 100_000, kills: int = 30, chroma_from: int = 20_000, tell: Callable[[str], None] = lambda _: None
) -> dict[str, float]:
    """What `kills` kills at the flush of an index of about `chunks` pieces leave.

    Of every kill: the slowest first answer in seconds, and how many questions were answered otherwise than by looking
    at each vector of a new index. At the end: seconds until the approximate index was back, how much of what is
    nearest it finds, problems of the files and their versions, and its bytes as a ratio to those of an undisturbed one.
    """
    with tempfile.TemporaryDirectory(prefix="aios-recovery-") as name:
        return Recovery(Path(name), chroma_from, tell).measure(chunks, kills)


class Recovery:
    """A root, its questions, and their right answers."""

    def __init__(self, root: Path, chroma_from: int, tell: Callable[[str], None]) -> None:
        self.root, self.tell = root, tell
        self.options = ("--chroma-from", str(chroma_from))
        self.embedder = Hashing()
        self.spec = f"hashing:{self.embedder.dimension}"
        self.dice = random.Random(11)
        self.words = ["".join(self.dice.choices("abcdefghiklmnoprstuvw", k=7)) for _ in range(VOCABULARY)]
        self.questions = [" ".join(self.dice.sample(self.words, 4)) for _ in range(QUESTIONS)]

    def measure(self, chunks: int, kills: int) -> dict[str, float]:
        self._fill(chunks)
        self.flushes = max(1, min(FLUSHES, chunks // 2 // FLUSHED))
        right = self._right()
        self.tell(f"{len(right)} questions, {kills} kills")
        clean_bytes = self._undisturbed()
        firsts, by_meaning, wrong, most_bytes, aimed = [0.0], 0, 0, 0, 0
        back_s = 0.0
        near = right
        for number in range(kills):
            self._spoil()
            meaning = meaning_of(self.root, self.spec, *self.options)
            with Library(self.root, nearest=meaning) as library:
                aimed += self._kill(meaning.reach())
                killed = time.monotonic()
                first = library.search(Query(self.questions[0], limit=TOP))
                firsts.append(time.monotonic() - killed)
                by_meaning += not first.notes
                owner = _reached(meaning)
                found = [owner.nearest(text, TOP, None) for text in self.questions]
                wrong += sum(not _same(one, other) for one, other in zip(found, right, strict=True))
                most_bytes = max(most_bytes, self._bytes())
                if number == kills - 1:
                    _wait(owner, lambda status: status["chroma"] == "ready")
                    back_s = time.monotonic() - killed
                    near = [owner.nearest(text, TOP, None) for text in self.questions]
                owner.stop()
            self.tell(f"kill {number + 1}: first answer after {firsts[-1]:.2f} s")
        most_bytes = max(most_bytes, self._bytes())
        with Library(self.root) as library:
            problems = library.files.fsck().problems
        self.tell("; ".join(map(str, problems)))
        recall = np.mean(
            [len(_hashes(one) & _hashes(other)) / len(other) for one, other in zip(near, right, strict=True)]
        )
        return {
            "recovery_kills": float(kills),
            "recovery_kills_at_flush": float(aimed),
            "recovery_first_answer_s": max(firsts),
            "recovery_first_by_meaning": by_meaning / max(kills, 1),
            "recovery_index_back_s": back_s,
            "recovery_wrong_answers": float(wrong),
            "recovery_recall10": float(recall),
            "recovery_problems": float(len(problems)),
            "recovery_disk_ratio": most_bytes / clean_bytes,
        }

    def _fill(self, chunks: int) -> None:
        """Files, taken in by one look at all, and their vectors."""
        count = max(1, chunks // PARTS)
        for number in range(count):
            place = self.root / f"d{number % 100}"
            place.mkdir(exist_ok=True)
            paragraphs = (" ".join(self.dice.choices(self.words, k=120)) for _ in range(PARTS))
            (place / f"f{number}.txt").write_text("\n\n".join(paragraphs) + "\n", "utf-8")
        with Library(self.root) as library:
            library.refresh()
            library.index.catch_up()
            library.index.use(self.embedder.id, self.embedder.dimension)
            while todo := library.index.todo(BATCH):
                rows = self.embedder.embed([each.text for each in todo]).astype(np.float16)
                vectors = {each.hash: row.tobytes() for each, row in zip(todo, rows, strict=True)}
                library.index.embedded(self.embedder.id, vectors)
            self.tell(f"{library.index.count()} files, {library.index.embeddings()} pieces")

    def _right(self) -> list[list[tuple[bytes, float]]]:
        with Library(self.root, self.embedder) as library:
            exact = BruteForce(library.index, self.embedder)
            return [exact.nearest(text, TOP) for text in self.questions]

    def _undisturbed(self) -> int:
        """The bytes of an approximate index that nobody killed."""
        owner = Client.start(self.root, self.spec, *self.options)
        _wait(owner, lambda status: status["chroma"] == "ready")
        owner.stop()
        return self._bytes()

    def _spoil(self) -> None:
        """Have the approximate index made anew: what was closed in order would not be written again."""
        (self.root / ".aios" / "index" / "clean.json").unlink(missing_ok=True)

    def _kill(self, owner: Client) -> bool:
        """Kill the owner as it writes its approximate index; whether it was writing."""
        pid = int(owner.status()["pid"])
        wanted = self.dice.randrange(self.flushes) + 1
        seen, until = dict(self._flushed()), time.monotonic() + FLUSH_S
        writing = False
        while wanted and time.monotonic() < until:
            now = dict(self._flushed())
            if any(seen.get(path) != look for path, look in now.items()):
                writing = True
                wanted -= 1
            seen = now
            if wanted:
                time.sleep(0.0005)
        time.sleep(self.dice.choice([0, 0, 0.001, 0.005]))
        os.kill(pid, signal.SIGKILL)
        return writing

    def _flushed(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """The files of the graph, which are written at a flush, as they look."""
        # Path.glob raises where the folder it lists is being made anew; glob.glob then finds nothing.
        for path in map(Path, glob.glob(str(self.root / ".aios" / "index" / "store-*" / "*" / "*.bin"))):
            try:
                info = path.stat()
            except FileNotFoundError:
                continue
            yield str(path), (info.st_size, info.st_mtime_ns)

    def _bytes(self) -> int:
        total = 0
        for folder, _, names in os.walk(self.root / ".aios" / "index"):
            for name in names:
                with suppress(FileNotFoundError):  # it is being made anew
                    total += os.stat(os.path.join(folder, name)).st_size
        return total


def _reached(meaning: OwnedVectors) -> Client:
    """The new owner, however long it takes."""
    until = time.monotonic() + LONG_S
    while True:
        try:
            return meaning.reach()
        except StorageFailed:
            if time.monotonic() > until:
                raise


def _wait(owner: Client, ready: Callable[[dict[str, object]], bool]) -> None:
    until = time.monotonic() + LONG_S
    while not ready(status := owner.status()):
        if time.monotonic() > until:
            raise TimeoutError(f"the owner of the index is not done: {status}")
        time.sleep(0.05)


def _same(found: list[tuple[bytes, float]], right: list[tuple[bytes, float]]) -> bool:
    """Whether these are the nearest; pieces that are equally near may come in any order, and one may be missed.

    The approximate index may have answered already: of ten it may miss two.
    """
    scores = dict(right)
    if any(hash in scores and abs(scores[hash] - score) > 1e-4 for hash, score in found):
        return False
    return len(found) == len(right) and len(_hashes(found) & _hashes(right)) >= len(right) - 2


def _hashes(found: list[tuple[bytes, float]]) -> set[bytes]:
    return {hash for hash, _ in found}
