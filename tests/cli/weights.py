"""The weights of this machine, for tests that have a home of their own."""

from __future__ import annotations

from pathlib import Path

from aios import config
from aios.artifacts import EMBEDDER

FETCHED = config.home("cache") / "models"
"""Where they are; found before a test moves its home."""


def link(home: Path) -> None:
    """Give a test's home the real weights."""
    assert (FETCHED / EMBEDDER.file).is_file(), f"no {EMBEDDER.file} in {FETCHED}; run: python -m aios.artifacts"
    (home / "cache").mkdir(parents=True, exist_ok=True)
    (home / "cache" / "models").symlink_to(FETCHED)
