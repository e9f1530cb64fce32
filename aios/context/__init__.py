"""Paused generations: the handle that the kernel keeps, and the store that keeps their state in three tiers."""

from aios.context.snapshot import Snapshot

__all__ = ["Snapshot"]
