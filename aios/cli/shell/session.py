"""What a shell remembers from one line to the next."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aios_syscalls.errors import AiosError, BadRequest, NotFound

if TYPE_CHECKING:
    from rich.console import Console

    from aios.cli.shell.ask import Asker
    from aios_storage import Hit, Library, Query, Results

PAGE = 10
"""Results shown at once."""


@dataclass(frozen=True, slots=True)
class ShellScope:
    """What every search is limited to: a directory, and what changed since a time (seconds since the epoch)."""

    directory: str = ""
    since: float | None = None
    when: str = ""
    """`since` as it was typed."""

    @property
    def words(self) -> str:
        """The scope as a person would say it; empty when there is none."""
        return " ".join(
            part for part in (self.directory and f"in {self.directory}", self.when and f"since {self.when}") if part
        )


@dataclass
class ShellSession:
    """One root, where in it we are, and what was found last."""

    library: Library
    console: Console
    asker: Asker
    directory: str = "."
    scope: ShellScope = ShellScope()
    hits: list[Hit] = field(default_factory=list)
    """The numbered results, from 1."""
    query: Query | None = None
    """What `more` goes on with."""
    restored: list[tuple[str, int]] = field(default_factory=list)
    """Path and number of the versions that `restore` made, for `undo`."""
    interactive: bool = False

    # -- what completion asks

    def results(self) -> Sequence[str]:
        return [hit.path for hit in self.hits]

    def entries(self, directory: str) -> Iterable[tuple[str, bool]]:
        with suppress(AiosError):
            for entry in self.library.files.list(self.path(directory)):
                yield posixpath.basename(entry.path), entry.kind == "directory"

    # -- paths

    def path(self, word: str) -> str:
        """The root's name of a path as it is typed here. Raises BadRequest where it leaves the root."""
        if word.startswith("~") or os.path.isabs(word):
            inside = os.path.relpath(os.path.expanduser(word), self.library.root)
        else:
            inside = posixpath.normpath(posixpath.join(self.directory, word))
        if inside == ".." or inside.startswith("../"):
            raise BadRequest(f"{word} lies outside of {self.library.root}; leave, and open it: aios shell {word}")
        return inside

    def named(self, word: str) -> str:
        """The root's name of the file that a word means: a result by its number, else a path.

        Raises NotFound for a number that no result has.
        """
        if not word.isdecimal():
            return self.path(word)
        if 1 <= int(word) <= len(self.hits):
            return self.hits[int(word) - 1].path
        with suppress(AiosError):
            self.library.files.stat(self.path(word))
            return self.path(word)
        there = f"there are {len(self.hits)}" if self.hits else "nothing was found yet"
        raise NotFound(f"there is no result {word}: {there}; search first, or give a path")

    def spelled(self, path: str) -> str:
        """A path of the root as it is called from where we are."""
        return posixpath.relpath(path, self.directory)

    # -- searching

    def look(self, query: Query) -> Results:
        """Search, and number what is found from 1."""
        self.library.freshen()
        results = self.library.search(query)
        self.query, self.hits = query, list(results.hits)
        return results

    def further(self) -> tuple[int, Results]:
        """The number before the first new result, and the results. Raises BadRequest when nothing was searched for."""
        if self.query is None:
            raise BadRequest("nothing was searched for yet; type some words")
        known = len(self.hits)
        results = self.library.search(replace(self.query, limit=known + PAGE))
        fresh = [
            hit for hit in results.hits if (hit.path, hit.start) not in {(old.path, old.start) for old in self.hits}
        ]
        self.hits += fresh
        return known, replace(results, hits=tuple(fresh))
