"""TOML of unknown origin to plain values: bounded in size, depth and time."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from aios_syscalls.errors import BadRequest

DEEPEST = 32
"""Tables and lists within each other."""

# Each part of a dotted key costs the parser all those before it, twice: a thousand times a thousand of them take hours.
# A part is looked for where one can begin, and is never given back: so this takes one pass over the text.
_PART = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PART}){{{DEEPEST},}}")


def parse_toml(data: bytes, name: str) -> dict[str, Any]:
    """The values of a TOML file called `name`. Raises BadRequest that says where it is wrong."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(f"{name} cannot be read as TOML: byte {error.start} is not UTF-8; save it as UTF-8") from None
    if _LONG_KEY.search(text):
        raise BadRequest(f"{name} cannot be read as TOML: a key has over {DEEPEST} parts; mend it")
    try:
        values = tomllib.loads(text)
        _check_depth(values, name)
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:  # TOMLDecodeError is one, and so is what int says of a million digits
        raise BadRequest(f"{name} cannot be read as TOML: {error}; mend it") from None
    return values


def _check_depth(values: dict[str, Any], name: str) -> None:
    """Raises BadRequest where values lie too deep for those who walk through them one call a level."""
    level: list[Any] = [values]
    for _ in range(DEEPEST):
        level = [below for each in level for below in _below(each)]
    if level:
        raise _too_deep(name)


def _below(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep(name: str) -> BadRequest:
    return BadRequest(f"{name} nests over {DEEPEST} tables or lists in each other; mend it")
