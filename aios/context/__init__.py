"""Paused generations: the handle that the kernel keeps, and the store that keeps their states in memory and on disk."""

from aios.context.radix import RadixTree
from aios.context.snapshot import Snapshot
from aios.context.tiers import GRAIN, PrivateDirectory, Tiers

__all__ = [
    "GRAIN",
    "PrivateDirectory",
    "RadixTree",
    "Snapshot",
    "Tiers",
]
