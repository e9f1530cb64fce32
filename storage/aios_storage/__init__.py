"""The semantic file system: a plain synchronous library that knows no kernel and no event loop."""

from aios_storage.change import Change, Drop, Put, Rename
from aios_storage.directory import Entry
from aios_storage.files import Files
from aios_storage.keep import Pruned, Retention
from aios_storage.root import Root
from aios_storage.scan import Scanned
from aios_storage.undo import Undone
from aios_storage.version import EXTERNAL, USER, At, Author, Version

__all__ = [
    "EXTERNAL",
    "USER",
    "At",
    "Author",
    "Change",
    "Drop",
    "Entry",
    "Files",
    "Pruned",
    "Put",
    "Rename",
    "Retention",
    "Root",
    "Scanned",
    "Undone",
    "Version",
]
