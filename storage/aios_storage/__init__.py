"""The semantic file system: a plain synchronous library that knows no kernel and no event loop.

These names are what others use, beside `embedders`, which can be added to, and `owner`, which is a program. They are
loaded when they are first asked for: a search needs numpy, reading a file does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aios_storage.disk.alike import as_written as as_written
    from aios_storage.disk.beneath import openat2_supported as openat2_supported
    from aios_storage.disk.directory import Entry as Entry
    from aios_storage.disk.failpoint import FAILPOINT_VARIABLE as FAILPOINT_VARIABLE
    from aios_storage.disk.path import folded as folded
    from aios_storage.disk.root import MAX_READ as MAX_READ
    from aios_storage.disk.root import Root as Root
    from aios_storage.extract import reading_apart as reading_apart
    from aios_storage.grouping import all_matching as all_matching
    from aios_storage.grouping import confirmed as confirmed
    from aios_storage.grouping import grouped as grouped
    from aios_storage.guard.executed import Executed as Executed
    from aios_storage.guard.executed import check_executed as check_executed
    from aios_storage.guard.sealed import Sealed as Sealed
    from aios_storage.index.filters import Filters as Filters
    from aios_storage.index.filters import matching_globs as matching_globs
    from aios_storage.index.index import Index as Index
    from aios_storage.index.index import IndexEntry as IndexEntry
    from aios_storage.index.index import Pending as Pending
    from aios_storage.index.query import parse_query as parse_query
    from aios_storage.index.scope import Scope as Scope
    from aios_storage.index.scope import home_of as home_of
    from aios_storage.index.words import grams as grams
    from aios_storage.index.words import is_apart as is_apart
    from aios_storage.library import Library as Library
    from aios_storage.owner.client import OwnedVectors as OwnedVectors
    from aios_storage.owner.client import OwnerClient as OwnerClient
    from aios_storage.owner.watch import Watcher as Watcher
    from aios_storage.owner.wire import owner_address as owner_address
    from aios_storage.search.saved import ShareLink as ShareLink
    from aios_storage.search.saved import ShareLinks as ShareLinks
    from aios_storage.search.saved import Shares as Shares
    from aios_storage.search.search import Hit as Hit
    from aios_storage.search.search import Mode as Mode
    from aios_storage.search.search import Query as Query
    from aios_storage.search.search import Results as Results
    from aios_storage.search.vectors import BruteForce as BruteForce
    from aios_storage.search.vectors import Nearest as Nearest
    from aios_storage.versions.files import Files as Files
    from aios_storage.versions.retention import Pruned as Pruned
    from aios_storage.versions.retention import Retention as Retention
    from aios_storage.versions.scan import Scanned as Scanned
    from aios_storage.versions.store import STORE_DIRECTORY as STORE_DIRECTORY
    from aios_storage.versions.transaction import Change as Change
    from aios_storage.versions.transaction import Drop as Drop
    from aios_storage.versions.transaction import Put as Put
    from aios_storage.versions.transaction import Rename as Rename
    from aios_storage.versions.undo import Undone as Undone
    from aios_storage.versions.version import EXTERNAL as EXTERNAL
    from aios_storage.versions.version import USER as USER
    from aios_storage.versions.version import At as At
    from aios_storage.versions.version import Author as Author
    from aios_storage.versions.version import Version as Version

_PLACES = {
    "disk.alike": ("as_written",),
    "disk.beneath": ("openat2_supported",),
    "versions.transaction": (
        "Change",
        "Drop",
        "Put",
        "Rename",
    ),
    "owner.client": (
        "OwnedVectors",
        "OwnerClient",
    ),
    "disk.directory": ("Entry",),
    "guard.executed": (
        "Executed",
        "check_executed",
    ),
    "extract": ("reading_apart",),
    "disk.failpoint": ("FAILPOINT_VARIABLE",),
    "versions.files": ("Files",),
    "index.filters": (
        "Filters",
        "matching_globs",
    ),
    "index.index": (
        "Index",
        "IndexEntry",
        "Pending",
    ),
    "versions.retention": (
        "Pruned",
        "Retention",
    ),
    "library": ("Library",),
    "search.saved": (
        "ShareLink",
        "ShareLinks",
        "Shares",
    ),
    "disk.path": ("folded",),
    "index.query": ("parse_query",),
    "disk.root": (
        "MAX_READ",
        "Root",
    ),
    "versions.scan": ("Scanned",),
    "index.scope": (
        "Scope",
        "home_of",
    ),
    "guard.sealed": ("Sealed",),
    "search.search": (
        "Hit",
        "Mode",
        "Query",
        "Results",
    ),
    "grouping": (
        "all_matching",
        "confirmed",
        "grouped",
    ),
    "versions.store": ("STORE_DIRECTORY",),
    "versions.undo": ("Undone",),
    "search.vectors": (
        "BruteForce",
        "Nearest",
    ),
    "versions.version": (
        "At",
        "Author",
        "EXTERNAL",
        "USER",
        "Version",
    ),
    "owner.watch": ("Watcher",),
    "owner.wire": ("owner_address",),
    "index.words": (
        "grams",
        "is_apart",
    ),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_PLACE_OF[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(_PLACE_OF)
