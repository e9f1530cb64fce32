"""The working directory's `aios.toml`: what it may say of itself, and what only once the user trusts it.

Whoever can write a file into a directory could otherwise run code in the kernel (`tools`), send a key anywhere
(`base_url` with `api_key_env`), or open the whole disk to agents (`root`). Left to itself a directory may only tighten.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "aios.toml"
TIGHTENING = ("budget", "budgets", "limits")
"""Tables whose values are bounds: the smaller one counts."""
WALLS = ("auto", "exec", "off")
"""Levels of the wall, the strictest first."""
MOST_NAMES = 12
"""Names of settings in one line."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Project:
    """The directory's file as it was found; `left_out` are the settings that are not in force."""

    path: Path | None = None
    """None where there is no such file, or none was looked for."""
    left_out: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    """Why they are not in force, or all of it is not; empty where nothing is left out."""

    @property
    def note(self) -> str:
        """What the user should know of it, in one line; empty where there is nothing to know."""
        if not self.left_out:
            return self.why and f"{self.why}; it is left out"
        names = listed(list(setting_names(self.left_out)))
        verb = "is" if len(list(setting_names(self.left_out))) == 1 else "are"
        return f"{self.why}, so {names} {verb} left out; see what it would allow: aios trust"

    @property
    def needed(self) -> str:
        """What to say of something that is there only once it is trusted."""
        return f"{NAME} here alone, which is not trusted; see what it would allow, and allow it: aios trust"

    def defines(self, table: str, name: str) -> bool:
        """Whether a table that is left out has this name in it."""
        values = self.left_out.get(table)
        return isinstance(values, dict) and name in values


def listed(names: list[str]) -> str:
    """Names as in a sentence, the first of many."""
    shown, more = names[:MOST_NAMES], len(names) - MOST_NAMES
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)


def setting_names(values: Mapping[str, Any]) -> Iterator[str]:
    """The names of tables and settings, short enough to be read; those in `files` each for itself."""
    for key, value in values.items():
        if key == "files" and isinstance(value, dict):
            yield from (f"files.{short}" for short in map(_short, value))
        else:
            yield _short(key)


def _short(name: str) -> str:
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


def split(values: Values) -> tuple[Values, Values]:
    """What any directory may say, and what only a trusted one."""
    allowed = {key: value for key, value in values.items() if key in TIGHTENING}
    rest = {key: value for key, value in values.items() if key not in TIGHTENING}
    if "wall" in rest:
        allowed["wall"] = rest.pop("wall")  # of which only what is stricter counts
    files = rest.get("files")
    if isinstance(files, dict) and isinstance(files.get("private"), dict):
        allowed["files"] = {"private": files["private"]}
        others = {key: value for key, value in files.items() if key != "private"}
        rest = {**rest, "files": others} if others else {key: value for key, value in rest.items() if key != "files"}
    return allowed, rest


def tightened(values: Values, bounds: Mapping[str, Any], allowed: Mapping[str, Any]) -> Values:
    """`values` with what a directory may say; `bounds` are the tables that are in force so far, whole."""
    result = dict(values)
    for table in ("budget", "limits"):
        if table in allowed:
            result[table] = {**result.get(table, {}), **_smaller(bounds[table], allowed[table])}
    if "budgets" in allowed:
        known = bounds["budgets"]
        smaller = {name: _smaller(known.get(name, {}), budget) for name, budget in allowed["budgets"].items()}
        mine = result.get("budgets", {})
        result["budgets"] = {**mine, **{name: {**mine.get(name, {}), **each} for name, each in smaller.items()}}
    return result


def _smaller(bounds: Mapping[str, Any], values: Mapping[str, Any]) -> Values:
    """Each value, or the bound where that is smaller; what has no bound is bounded from now on."""
    return {
        key: value if (bound := bounds.get(key)) is None else min(value, bound)
        for key, value in values.items()
        if value is not None
    }


def stricter_walls(said: Mapping[str, Any], level: str | None, programs: Mapping[str, str]) -> tuple[Values, Values]:
    """What a directory may say of the wall, over what is in force so far; and what it may not, for it is no stricter.

    No level at all is the strictest: where the wall is less than full, `auto` starts strangers' programs, and none does
    not.
    """
    kept: Values = {}
    refused: Values = {}
    if (new := said.get("level")) is not None:
        (kept if _is_stricter(new, level) else refused)["level"] = new
    for name, new in said.get("programs", {}).items():
        place = kept if _is_stricter(new, programs.get(name, level)) else refused
        place.setdefault("programs", {})[name] = new
    return kept, {key: value for key, value in refused.items() if not _is_in_force(key, value, level, programs)}


def _is_stricter(new: str, old: str | None) -> bool:
    return old is not None and WALLS.index(new) < WALLS.index(old)


def _is_in_force(key: str, value: Any, level: str | None, programs: Mapping[str, str]) -> bool:
    """Whether what was refused is so anyway."""
    if key == "level":
        return bool(value == (level or "auto"))
    return all(new == (programs.get(name, level) or "auto") for name, new in value.items())


def private_additions(
    private: Mapping[str, str], taken: Mapping[str, str], homes: str | None, root: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """The private directories that a directory may add, and those that it may not.

    May not: who has one already, and what is, holds or lies in one that is somebody's, were it by a link.
    """
    theirs = [*taken.values(), *([homes] if homes else [])]
    added: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name, path in private.items():
        clash = name in taken or any(_overlap(path, other) for other in theirs) or _linked(path, theirs, root)
        (refused if clash else added)[name] = path
    return added, refused


def _linked(path: str, theirs: Iterable[str], root: Path) -> bool:
    real = os.path.realpath(root / path)
    return any(_overlap(real, os.path.realpath(root / other)) for other in theirs)


def _overlap(one: str, other: str) -> bool:
    """Whether one path is, holds or lies in the other, on a file system that knows neither case nor composition."""
    a, b = _folded_parts(one), _folded_parts(other)
    return a[: len(b)] == b[: len(a)]


def _folded_parts(path: str) -> list[str]:
    from aios_storage import folded  # not for those who only ask for help

    return [folded(part) for part in path.split("/") if part not in ("", ".")]
