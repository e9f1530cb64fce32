"""Which files a search is about."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from aios_storage.disk.alike import canonical
from aios_syscalls.errors import BadRequest

MAX_CONDITIONS = 100
"""Conditions of a kind, and values of one condition."""
LONGEST = 4096
"""Characters of a pattern of paths; no path has more bytes."""
LARGEST = 2**63 - 1
"""Of SQLite's numbers; no file has more bytes."""
PARAMETERS = 30_000
"""Of a condition; SQLite takes 32,766, and some are added to these."""
_PLACES = ("paths", "within", "without", "but")
_RANGE = re.compile(r"(>=|<=|!=|>|<|=)?\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions, all of which a file has to meet; an empty one is met by every file.

    `paths` are globs in which `*` crosses `/`, or directories; `since` and `until` are seconds since the epoch of the
    last change; `authors` made it; `types` are suffixes or kinds; `fields` are pairs of a key and a value, `a|b` for
    any of several, or one of `>= <= > < !=` before a number or word. `within` are the directories, or files, that the
    asker may see at all: None is every one, () is none.
    """

    paths: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    authors: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    tags: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    within: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    """Directories, or files, that the asker may not see."""
    but: tuple[str, ...] = ()
    """Directories below those that it may see all the same."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A condition on the rows of `entry`, as SQL and its parameters."""

    sql: str
    parameters: tuple[Any, ...]


def select(filters: Filters, tagged: list[int] | None = None) -> Selection | None:
    """The condition that filters amount to, None for none; `tagged` are the seqs of the tags that they name.

    Raises BadRequest for more conditions than SQLite puts together.
    """
    refuse_many(filters)
    parts: list[str] = []
    parameters: list[Any] = []

    def want(sql: str, *values: Any) -> None:
        parts.append(sql)
        parameters.extend(values)

    if filters.paths:
        wanted = [_glob(path) for path in filters.paths]
        want(f"({' OR '.join(sql for sql, _ in wanted)})", *(value for _, values in wanted for value in values))
    if filters.within is not None:
        wanted = [_below(path) for path in filters.within]
        want(f"({' OR '.join(sql for sql, _ in wanted) or '0'})", *(value for _, values in wanted for value in values))
    for path in filters.without:
        sql, values = _below(path)
        mine = [_below(own) for own in filters.but if own.startswith(f"{path.rstrip('/')}/")]
        want(
            f"(NOT {sql}{''.join(f' OR {each}' for each, _ in mine)})",
            *values,
            *(value for _, their in mine for value in their),
        )
    for column, sign, value in (
        ("modified", ">=", filters.since),
        ("modified", "<=", filters.until),
        ("size", ">=", filters.min_size),
        ("size", "<=", filters.max_size),
    ):
        if value is not None:
            want(f"entry.{column} {sign} ?", min(value, LARGEST))
    for column, names in (("author", filters.authors), ("run", filters.runs)):
        if names:
            want(f"entry.{column} IN ({_marks(names)})", *names)
    if filters.types:
        types = [name.lower().lstrip(".") for name in filters.types]
        want(f"(entry.kind IN ({_marks(types)}) OR entry.suffix IN ({_marks(types)}))", *types, *types)
    if tagged is not None:
        want("entry.seq IN (SELECT value FROM json_each(?))", json.dumps(tagged))
    for key, condition in filters.fields:
        sql, values = _field(condition)
        want(
            "entry.document IN (SELECT document FROM field WHERE key = ? AND " + sql + ")", key.strip().lower(), *values
        )
    if len(parameters) > PARAMETERS:
        raise BadRequest("the conditions of this search are too many together; leave some out", "fields")
    return Selection(" AND ".join(parts), tuple(parameters)) if parts else None


def refuse_many(filters: Filters) -> None:
    """Raises BadRequest, which names the field, for more conditions of a kind, or a longer pattern, than are taken."""
    for kind in ("paths", "authors", "runs", "types", "tags", "fields", "within", "without", "but"):
        if len(getattr(filters, kind) or ()) > MAX_CONDITIONS:
            advice = "name directories instead of files" if kind in _PLACES else "leave some out"
            raise BadRequest(f"a search takes {MAX_CONDITIONS} conditions of a kind at most; {advice}", kind)
    if any(condition.count("|") >= MAX_CONDITIONS for _, condition in filters.fields):
        raise BadRequest(f"a field is compared with {MAX_CONDITIONS} values at most; leave some out", "fields")
    if any(len(pattern) > LONGEST for pattern in filters.paths):
        raise BadRequest(f"a pattern of paths has {LONGEST} characters at most; shorten it", "paths")


def matching_globs(paths: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """Those of some paths that `Filters.paths` of these patterns lets through: all for no pattern."""
    if not patterns:
        return set(paths)
    wanted = [_glob(pattern) for pattern in patterns]
    condition = " OR ".join(sql for sql, _ in wanted)
    values = [value for _, values in wanted for value in values]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("canonical", 1, canonical, deterministic=True)
        sql = f"SELECT path FROM (SELECT value AS path FROM json_each(?)) AS entry WHERE {condition}"
        return {path for (path,) in connection.execute(sql, (json.dumps(paths), *values))}


def _glob(pattern: str) -> tuple[str, list[str]]:
    """Files of this path or below it, or whose path, or the end of it after a `/`, matches."""
    pattern = pattern.removeprefix("./")
    if not pattern.isascii():
        # Written alike is as good; paths that are what they were recorded as are compared as they are.
        sql, values = _globbed(canonical(pattern))
        return sql.replace("entry.path", "canonical(entry.path)"), values
    return _globbed(pattern)


def _globbed(pattern: str) -> tuple[str, list[str]]:
    sql, values = _below(pattern)
    if not any(sign in pattern for sign in "*?["):
        return (sql, values) if "/" in pattern else (f"({sql} OR entry.path GLOB ?)", [*values, f"*/{pattern}"])
    # `**/` is any directories or none; a single star crosses `/` as well.
    globs = {pattern.replace("**/", way).replace("**", "*") for way in ("*/", "")}
    globs |= {f"*/{each}" for each in globs}
    return f"({sql} OR {' OR '.join(['entry.path GLOB ?'] * len(globs))})", [*values, *sorted(globs)]


def _below(path: str) -> tuple[str, list[str]]:
    """A directory and all below it, or one file."""
    path = path.strip("/").removeprefix("./")
    if path in ("", "."):
        return "1", []
    # `0` is what follows `/`: the range of all that begins with `path/`.
    return "(entry.path = ? OR (entry.path > ? AND entry.path < ?))", [path, f"{path}/", f"{path}0"]


def _field(condition: str) -> tuple[str, list[Any]]:
    match = _RANGE.match(condition.strip())
    sign, value = (match[1] or "=", match[2].strip()) if match else ("=", condition)
    if sign in ("=", "!="):
        values = [one.strip().lower() for one in value.split("|")]
        return f"value {'' if sign == '=' else 'NOT '}IN ({_marks(values)})", values
    try:
        return f"number {sign} ?", [float(value)]
    except ValueError:
        return f"value {sign} ?", [value.lower()]


def _marks(values: Any) -> str:
    return ", ".join("?" * len(values))
