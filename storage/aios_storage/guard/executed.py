"""Whether a path is one that gets executed, by the table of `executed_names`, and whether the user allows it.

Case, composition, invisible letters and what some file systems drop at a name's end make no difference; depth, links
and where the root itself lies do not either.
"""

from __future__ import annotations

import difflib
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate

from aios_storage.disk.path import folded, is_protected
from aios_storage.guard.executed_names import BESIDE, FILES_ALONE, GROUPS, ExecutedGroup, NamesBeside

Folded = tuple[str, ...]
REMEMBERED = 4096
"""Directories whose links are known."""


@dataclass(frozen=True, slots=True)
class Match:
    """A name of the table in a path: where it begins there, what allows it, and who executes it."""

    begin: int
    called: str
    group: ExecutedGroup | NamesBeside


def parts_of(path: str) -> Folded:
    """The folded components of a path."""
    return tuple(folded(part) for part in path.split("/") if part not in ("", "."))


@dataclass(frozen=True, slots=True)
class _Table:
    """The names by their folded components; those with a `*` as one expression, since it is asked of every name."""

    exact: dict[Folded, tuple[str, ExecutedGroup]]
    at_top: dict[Folded, tuple[str, ExecutedGroup]]
    stars: tuple[tuple[str, ExecutedGroup], ...]
    star: re.Pattern[str]
    files_alone: frozenset[str]
    beside: dict[str, tuple[NamesBeside, ...]]
    longest: int


@functools.cache
def _table() -> _Table:
    rows = [(name, group) for group in GROUPS for name in group.names]
    stars = tuple((name, group) for name, group in rows if "*" in name)
    return _Table(
        {parts_of(name): (name, group) for name, group in reversed(rows) if "*" not in name and name[0] != "/"},
        {parts_of(name): (name[1:], group) for name, group in rows if name[0] == "/"},
        stars,
        re.compile("|".join(translate(folded(name)) for name, _ in stars)),
        frozenset(map(folded, FILES_ALONE)),
        {folded(name): tuple(row for row in BESIDE if name in row.names) for each in BESIDE for name in each.names},
        max(len(parts_of(name)) for name, _ in rows),
    )


def _matches(parts: Folded, above: int, directory: bool) -> Iterator[Match]:
    """The names of the table that end behind the first `above` components."""
    table = _table()
    for end in range(above + 1, len(parts) + 1):
        if parts[end - 1] in table.files_alone and (directory or end < len(parts)):
            continue
        for begin in range(max(end - table.longest, 0), end):
            if found := table.exact.get(parts[begin:end]):
                yield Match(begin, *found)
        if found := table.at_top.get(parts[above:end]):
            yield Match(above, *found)
        if table.star.match(parts[end - 1]):
            group = next(group for name, group in table.stars if fnmatchcase(parts[end - 1], folded(name)))
            yield Match(end - 1, parts[end - 1], group)


def _first(matches: Iterable[Match]) -> Match | None:
    return min(matches, key=lambda each: each.begin, default=None)


class Executed:
    """What gets executed below a root. `allowed` are names that are open all the same, at any depth; True is for all.

    What lies below an allowed name, and what leads to it, is open as well. Any number of threads may use one.
    """

    def __init__(self, root: str | os.PathLike[str], allowed: bool | Sequence[str] = False) -> None:
        self._base = os.path.realpath(root)
        self._above = parts_of(self._base)
        self._all = allowed is True
        self._allowed = tuple(parts_of(name) for name in (() if isinstance(allowed, bool) else allowed))
        self._links = functools.lru_cache(REMEMBERED)(self._look_for_links)

    def reason(self, path: str, directory: bool = False) -> str:
        """Why a path below the root, a directory if so, is not for agents to change; empty where it is."""
        return self.named(path, directory) or self._led_to(path)

    def named(self, path: str, directory: bool = False) -> str:
        """As `reason`, by the path alone, whatever leads to it."""
        found = None if self._all else self._refused(path, directory)
        return _because(path, f"{found.called} is executed by", found) if found else ""

    def _refused(self, path: str, directory: bool) -> Match | None:
        parts = (*self._above, *parts_of(path))
        if not directory and folded(os.path.basename(path)) in _table().files_alone:
            directory = self._is_directory(path)
        found = _first((*_matches(parts, len(self._above), directory), *self._beside(path)))
        return found if found and not self._is_allowed(parts, found) else None

    def _is_directory(self, path: str) -> bool:
        place = os.path.join(self._base, path)
        return os.path.isdir(place) and not os.path.islink(place)

    def _is_allowed(self, parts: Folded, found: Match) -> bool:
        if (folded(found.called),) in self._allowed:
            return True
        inside = [(name, max(len(self._above) + 1 - len(name), 0)) for name in self._allowed]  # ends in the root
        return any(_begins(parts[at:], name) for name, first in inside for at in range(first, found.begin + 1))

    def _beside(self, path: str) -> Iterator[Match]:
        """The parts of repositories and environments: such names in a directory that holds what tells of these."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        for at, part in enumerate(map(folded, parts)):
            for row in _table().beside.get(part, ()):
                if all(self._holds(parts[:at], mark) for mark in row.marks):
                    yield Match(len(self._above) + at, row.called, row)

    def _holds(self, directory: Sequence[str], name: str) -> bool:
        return os.path.lexists(os.path.join(self._base, *directory, name))

    # --- links that are executed by their names

    def _led_to(self, path: str) -> str:
        """Why a path is not to be changed that a link leads to, or to something below it, which gets executed."""
        if self._all:
            return ""
        parts, here = parts_of(path), [part for part in path.split("/") if part not in ("", ".")]
        for depth in range(len(here)):
            for link, target, found in self._links("/".join(here[:depth])):
                if parts[: len(target)] == target or target[: len(parts)] == parts:
                    return _because(path, f"{link} leads to it, and is executed by", found)
        return ""

    def _look_for_links(self, directory: str) -> tuple[tuple[str, Folded, Match], ...]:
        """The names in a directory that get executed and lead elsewhere below the root, and where to.

        An agent makes no links, and the user seldom makes one while a run goes on: so it is looked for once.
        """
        here = os.path.realpath(os.path.join(self._base, directory))
        links = []
        for name in _candidates(here):
            real = os.path.realpath(os.path.join(here, name))
            target = os.path.relpath(real, self._base)
            elsewhere = real != os.path.join(here, name) and target.split("/")[0] not in ("..", ".")
            link = f"{directory}/{name}".lstrip("/")
            if elsewhere and (found := self._refused(link, False)):
                links.append((link, parts_of(target), found))
        return tuple(links)


def _candidates(directory: str) -> Iterator[str]:
    """What in a directory may be a link that gets executed: links, and names of the table in a directory of it."""
    try:
        with os.scandir(directory) as found:
            entries = {entry.name: entry.is_symlink() for entry in found}
    except OSError:
        return
    yield from (name for name, is_link in entries.items() if is_link)
    for name in (name for group in GROUPS for name in group.names if "/" in name[1:]):
        if name.partition("/")[0] in entries:
            yield name


def _begins(parts: Folded, name: Folded) -> bool:
    """Whether a path begins with an allowed name, or leads to it."""
    return bool(parts) and all(fnmatchcase(part, wanted) for part, wanted in zip(parts, name, strict=False))


def _because(path: str, what: str, found: Match) -> str:
    return (
        f"{path} is read-only for agents: {what} {found.group.by}, {found.group.why}; write it under another name, or, "
        f"if you are the user, put allow_executed = {json.dumps([found.called])} under [files] in your own "
        "configuration (aios config says where that is)"
    )


def check_executed(name: str) -> str:
    """What is wrong with a name that is to be allowed, and what to write instead; empty where it is fine."""
    if name.startswith("/") or not parts_of(name) or ".." in name.split("/"):
        return f"{name!r} is no name below the root; give one such as Makefile or .github/workflows"
    if not name.strip("*/"):
        return f"{name!r} is no name; write allow_executed = true for all"
    if any(is_protected(part) for part in name.split("/")):
        return f"{name!r} is protected whatever is configured; change such files yourself"
    called = {each.called for each in BESIDE}
    if name in called or next(_matches(parts_of(name), 0, False), None):
        return ""
    known = [each.lstrip("/") for group in GROUPS for each in group.names]
    near = [each for each in known if each.startswith(f"{name}/") or each.endswith(f"/{name}")]
    near += difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else "agents may write it anyway, so leave it out"
    return f"{name!r} is no name that gets executed; {hint}"
