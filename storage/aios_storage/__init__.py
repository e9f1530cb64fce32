"""The semantic file system: a plain synchronous library that knows no kernel and no event loop.

These names are what others use, beside `embedders`, which can be added to, and `owner`, which is a program. They are
loaded when they are first asked for: a search needs numpy, reading a file does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aios_storage.alike import as_written as as_written
    from aios_storage.change import Change as Change
    from aios_storage.change import Drop as Drop
    from aios_storage.change import Put as Put
    from aios_storage.change import Rename as Rename
    from aios_storage.client import OwnedVectors as OwnedVectors
    from aios_storage.client import OwnerClient as OwnerClient
    from aios_storage.directory import Entry as Entry
    from aios_storage.executed import Executed as Executed
    from aios_storage.executed import check_executed as check_executed
    from aios_storage.extract import reading_apart as reading_apart
    from aios_storage.failpoint import FAILPOINT_VARIABLE as FAILPOINT_VARIABLE
    from aios_storage.files import Files as Files
    from aios_storage.filters import Filters as Filters
    from aios_storage.filters import matching_globs as matching_globs
    from aios_storage.index import Index as Index
    from aios_storage.index import IndexEntry as IndexEntry
    from aios_storage.index import Pending as Pending
    from aios_storage.keep import Pruned as Pruned
    from aios_storage.keep import Retention as Retention
    from aios_storage.library import Library as Library
    from aios_storage.notes import ShareLink as ShareLink
    from aios_storage.notes import ShareLinks as ShareLinks
    from aios_storage.notes import Shares as Shares
    from aios_storage.path import folded as folded
    from aios_storage.query import parse_query as parse_query
    from aios_storage.root import MAX_READ as MAX_READ
    from aios_storage.root import Root as Root
    from aios_storage.scan import Scanned as Scanned
    from aios_storage.scope import Scope as Scope
    from aios_storage.scope import home_of as home_of
    from aios_storage.sealed import Sealed as Sealed
    from aios_storage.search import Hit as Hit
    from aios_storage.search import Mode as Mode
    from aios_storage.search import Query as Query
    from aios_storage.search import Results as Results
    from aios_storage.sets import all_matching as all_matching
    from aios_storage.sets import confirmed as confirmed
    from aios_storage.sets import grouped as grouped
    from aios_storage.store import STORE_DIRECTORY as STORE_DIRECTORY
    from aios_storage.undo import Undone as Undone
    from aios_storage.vectors import BruteForce as BruteForce
    from aios_storage.vectors import Nearest as Nearest
    from aios_storage.version import EXTERNAL as EXTERNAL
    from aios_storage.version import USER as USER
    from aios_storage.version import At as At
    from aios_storage.version import Author as Author
    from aios_storage.version import Version as Version
    from aios_storage.watch import Watcher as Watcher
    from aios_storage.wire import owner_address as owner_address
    from aios_storage.words import grams as grams
    from aios_storage.words import is_apart as is_apart

_PLACES = {
    "alike": ("as_written",),
    "change": (
        "Change",
        "Drop",
        "Put",
        "Rename",
    ),
    "client": (
        "OwnedVectors",
        "OwnerClient",
    ),
    "directory": ("Entry",),
    "executed": (
        "Executed",
        "check_executed",
    ),
    "extract": ("reading_apart",),
    "failpoint": ("FAILPOINT_VARIABLE",),
    "files": ("Files",),
    "filters": (
        "Filters",
        "matching_globs",
    ),
    "index": (
        "Index",
        "IndexEntry",
        "Pending",
    ),
    "keep": (
        "Pruned",
        "Retention",
    ),
    "library": ("Library",),
    "notes": (
        "ShareLink",
        "ShareLinks",
        "Shares",
    ),
    "path": ("folded",),
    "query": ("parse_query",),
    "root": (
        "MAX_READ",
        "Root",
    ),
    "scan": ("Scanned",),
    "scope": (
        "Scope",
        "home_of",
    ),
    "sealed": ("Sealed",),
    "search": (
        "Hit",
        "Mode",
        "Query",
        "Results",
    ),
    "sets": (
        "all_matching",
        "confirmed",
        "grouped",
    ),
    "store": ("STORE_DIRECTORY",),
    "undo": ("Undone",),
    "vectors": (
        "BruteForce",
        "Nearest",
    ),
    "version": (
        "At",
        "Author",
        "EXTERNAL",
        "USER",
        "Version",
    ),
    "watch": ("Watcher",),
    "wire": ("owner_address",),
    "words": (
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
