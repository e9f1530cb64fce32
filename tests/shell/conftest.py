"""A root of a few texts, and shells on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from aios_storage import Author, Files
from tests.cli import weights
from tests.shell.terminal import Terminal

TEXTS = {
    "docs/kettle.md": "# The kettle\n\nIt boils a litre of water in three minutes.\nThe lid never closed well.\n",
    "docs/mayor.txt": "Maria Keller was elected mayor of Ashford.\n",
    "docs/zebra.txt": "The zebra is a striped animal of the savannah.\n",
    "old/boil.py": "def boil(water):\n    return water * 100\n",
}
RUN = "20260102-030405-abcd"

Batch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Of a shell with a home of its own, and the real weights in it."""
    home = tmp_path / "home"
    weights.link(home)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIOS_") and name != "COLUMNS"}
    own = {"AIOS_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
    return {**kept, **own, "EDITOR": "true", "VISUAL": ""}


@pytest.fixture
def root(tmp_path: Path, environment: Mapping[str, str]) -> Path:
    """Indexed; an agent then changed a file in a run."""
    root = tmp_path / "texts"
    for path, text in TEXTS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    subprocess.run([sys.executable, "-m", "aios", "index", str(root)], env=environment, check=True, capture_output=True)
    with Files(root) as files:
        files.by(Author("writer", run=RUN, pid=3)).write(
            "docs/mayor.txt", b"Peter Novak was elected mayor of Ashford.\n"
        )
    return root


@pytest.fixture
def terminal(root: Path, environment: Mapping[str, str]) -> Callable[..., Terminal]:
    """Makes shells on a pseudo-terminal."""

    def make(**size: int) -> Terminal:
        return Terminal([sys.executable, "-m", "aios", "shell", str(root)], environment=environment, **size)

    return make


@pytest.fixture
def batch(root: Path, environment: Mapping[str, str]) -> Batch:
    """Runs lines through a shell that is not on a terminal."""

    def run(*lines: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "aios", "shell", str(root)],
            input="".join(f"{line}\n" for line in lines),
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
