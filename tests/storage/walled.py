"""Owners as they are in use: behind their wall."""

from __future__ import annotations

from pathlib import Path

from aios.owner import launcher
from aios_storage.owner.client import OwnerClient


def start(root: Path, embedder: str, *options: str) -> OwnerClient:
    return OwnerClient.start(root, embedder, *options, launcher=launcher(root, embedder))
