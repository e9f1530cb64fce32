"""Paused generations: the handle that the kernel keeps, and the store that keeps their states in memory and on disk."""

from aios.context.snapshot import Snapshot

__all__ = ["Snapshot"]
