"""Kills the owner of an index while it fills Chroma, and looks at what its successor answers."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aios.bench.search import latency
from aios_storage.client import Owner
from aios_storage.embedders import open_embedder
from aios_storage.library import Library
from aios_storage.vectors import Exact
from aios_syscalls import KernelBug, StorageFailed

ASKED = 20
NEAREST = 10
PATIENCE_S = 180.0


def measure(root: Path, embedder: str, chunks: int, kills: int, tell: Callable[[str], None]) -> dict[str, float]:
    """What is left after the kills: the share of the nearest that is found, the disk, and the time to be back."""
    latency.fill(open_embedder(embedder), root, chunks, tell)
    dice = random.Random(1)
    most = 0
    for number in range(kills):
        child = _start(root, embedder)
        owner = _reach(root, child)
        _until(partial(_filling, owner))
        time.sleep(dice.random() * 0.6)
        child.send_signal(signal.SIGKILL)
        child.wait()
        owner.close()
        most = max(most, _size(root / ".aios" / "index"))
        tell(f"the owner was killed while it filled the index, {number + 1} of {kills}")
    began = time.monotonic()
    child = _start(root, embedder)
    owner = _reach(root, child)
    question = latency.questions(1)[0]
    owner.nearest(question, NEAREST, None)
    first = time.monotonic() - began
    tell("a new owner fills the index")
    _until(lambda: owner.status()["chroma"] == "ready")
    back = time.monotonic() - began
    found = _share_found(root, embedder, owner)
    owner.stop()
    child.wait()
    whole = _size(root / ".aios" / "index")
    return {
        "flush_kills": float(kills),
        "flush_recall": found,
        "flush_disk_ratio": most / whole,
        "first_answer_after_kill_s": first,
        "index_back_after_kill_s": back,
    }


def _start(root: Path, embedder: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "aios_storage.owner", str(root), "--embedder", embedder, "--chroma-from", "1"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _reach(root: Path, child: subprocess.Popen[bytes]) -> Owner:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and child.poll() is None:
        try:
            if found := Owner.find(root):
                return found
        except StorageFailed:  # the socket of the one that was killed
            pass
        time.sleep(0.01)
    raise KernelBug(f"the owner of {root} does not come up ({child.returncode}); please report this")


def _filling(owner: Owner) -> bool:
    state = owner.status()["chroma"]
    return " of " in state or state == "ready"


def _until(there: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not there():
        if time.monotonic() > until:
            raise KernelBug(f"the index is not there after {PATIENCE_S:g} s; please report this")
        time.sleep(0.02)


def _share_found(root: Path, embedder: str, owner: Owner) -> float:
    """Of the nearest pieces, found by looking at each, how many the owner names.

    The questions are far from all made-up vectors, which is the hardest case for an approximate index.
    """
    shared = 0
    with Library(root) as library:
        exact = Exact(library.index, open_embedder(embedder))
        for question in latency.questions(ASKED):
            right = {hash for hash, _ in exact.nearest(question, NEAREST)}
            shared += len(right & {hash for hash, _ in owner.nearest(question, NEAREST, None)})
    return shared / (ASKED * NEAREST)


def _size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
