"""Files, their index and search as one: what a shell, a kernel and the owner of an index open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from aios_storage.embedders import Embedder
from aios_storage.guard.sealed import NOTHING, Sealed
from aios_storage.index.filters import Filters
from aios_storage.index.index import Index, Pending
from aios_storage.owner.client import OwnedVectors
from aios_storage.search.search import Finder, Hit, Query, Results
from aios_storage.search.vectors import BruteForce, Nearest, embed_pending
from aios_storage.versions.files import Files
from aios_storage.versions.scan import Scanned
from aios_storage.versions.version import USER, Author
from aios_syscalls.errors import AiosError, BadRequest

FRESH_S = 2.0
"""For which a look at all files counts, where nobody watches them."""


class Library:
    """The files below a directory, searchable. Every change through `files` is found by its words when it returns.

    `embedder` searches by meaning in this process, and embeds when `embed` is called; `nearest` instead asks somebody
    else, such as the owner of the index. What is `sealed` cannot be changed through it. Any number of threads may use
    one. Raises the ABI's errors.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        embedder: Embedder | None = None,
        nearest: Nearest | None = None,
        author: Author = USER,
        sealed: Sealed = NOTHING,
    ) -> None:
        self.root = Path(root).absolute()
        files = Files(root)
        files.sealed = sealed
        try:
            self.index = Index(files)
            files.on_change = self._follow
            self.files = files.by(author)
        except BaseException:
            files.close()
            raise
        self.embedder = embedder
        self._looked = -FRESH_S
        self.finder = Finder(
            self.files, self.index, nearest or (BruteForce(self.index, embedder) if embedder else None)
        )

    def close(self) -> None:
        """Let go of the directory and of whoever finds by meaning; nothing else may be called after."""
        if isinstance(self.finder.nearest, OwnedVectors):
            self.finder.nearest.close()
        self.index.close()
        self.files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self, paths: tuple[str, ...] = (".",)) -> Scanned:
        """Record what other programs did at or below these paths, but for what is ignored, and index it."""
        return self.files.scan(paths)

    def freshen(self) -> None:
        """Look for what other programs did, unless an owner of the index watches them, or that was just done."""
        if getattr(self.finder.nearest, "owner", None) is None and time.monotonic() - self._looked > FRESH_S:
            self.refresh()
            self._looked = time.monotonic()

    def search(self, query: Query | str) -> Results:
        """The best hits of a query; a text alone is searched for with all else as it comes."""
        return self.finder.search(Query(query) if isinstance(query, str) else query)

    def like(self, path: str, filters: Filters | None = None, limit: int = 10, context: int = 0) -> Results:
        """Files that are about what this one is about."""
        return self.finder.like(path, filters, limit, context)

    def passage(self, hit: Hit) -> str:
        """The whole text of the piece that was found. Raises NotFound where the file is gone by now."""
        return self.finder.passage(hit)

    def pending(self) -> Pending:
        """What cannot be found by its meaning yet."""
        return self.index.pending()

    def purge(self, path: str, confirm: str) -> int:
        """Delete a file and all that it ever held, here and in the index, for good; how many versions went."""
        gone = self.files.purge(path, confirm)
        self.index.purge()
        return gone

    def embed(self, most: int | None = None, progress: Callable[[int], object] | None = None) -> int:
        """Embed up to `most` pieces that have no vector yet; returns how many. Raises BadRequest without embedder."""
        if self.embedder is None:
            raise BadRequest("this library was opened without an embedder; open it with one", "embedder")
        return embed_pending(self.index, self.embedder, most, progress)

    def _follow(self) -> None:
        # The change is made: an index that cannot follow now does before the next search.
        with suppress(AiosError):
            self.index.catch_up()
