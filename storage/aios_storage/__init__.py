"""The semantic file system: a plain synchronous library that knows no kernel and no event loop."""

from aios_storage.directory import Entry
from aios_storage.root import Root

__all__ = ["Entry", "Root"]
