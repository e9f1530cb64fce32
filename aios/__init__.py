"""aios: an operating-system kernel for LLM agents."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aios.connection import connect, connect_sync

__all__ = ["__version__", "connect", "connect_sync"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What is loaded when it is asked for: who only wants the version need not wait."""
    if name in ("connect", "connect_sync"):
        return getattr(import_module("aios.connection"), name)
    raise AttributeError(f"module 'aios' has no attribute {name!r}")
