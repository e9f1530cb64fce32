"""Reads the fields of a JSON body; a wrong one is a BadRequest that names its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from aios_syscalls import BadRequest

T = TypeVar("T")

Object = Mapping[str, Any]

NAMES: Mapping[type, str] = {
    str: "a text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def fault(at: str, why: str) -> BadRequest:
    """The error for a field at a place."""
    return BadRequest(f"{at or 'the body'}: {why}", at)


def join(at: str, name: str | int) -> str:
    """The place of a field within another."""
    return f"{at}.{name}" if at else str(name)


def check(value: Any, kind: type[T], at: str) -> T:
    """The value, if it is of that kind; an integer is a number too."""
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64:
        return float(value)  # type: ignore[return-value]
    raise fault(at, f"is not {NAMES[kind]}; mend it, or leave it out if it is optional")


def get(fields: Object, name: str, kind: type[T], at: str = "") -> T | None:
    """A field that may be absent; null is absent."""
    value = fields.get(name)
    return None if value is None else check(value, kind, join(at, name))


def need(fields: Object, name: str, kind: type[T], at: str = "") -> T:
    """A field that must be there."""
    value = fields.get(name)
    if value is None:
        raise fault(join(at, name), f"is missing; give {NAMES[kind]}")
    return check(value, kind, join(at, name))


def within(value: float, low: float, high: float, at: str) -> None:
    """Raises BadRequest for a number out of its bounds."""
    if not low <= value <= high:
        raise fault(at, f"is not within {low:g} and {high:g}")


MAX_ENTRIES = 100_000
"""Of a list of objects."""


def objects(value: Sequence[Any], at: str) -> list[tuple[Object, str]]:
    """The objects of a list, each with its place."""
    if len(value) > MAX_ENTRIES:
        raise fault(at, f"has {len(value)} entries, more than {MAX_ENTRIES}; join some")
    return [(check(item, dict, place), place) for index, item in enumerate(value) if (place := join(at, index))]


def built(make: Callable[..., T], at: str, **values: Any) -> T:
    """A value of the ABI; what that finds wrong is told with its place in the body."""
    try:
        return make(**values)
    except BadRequest as error:
        place = join(at, error.field) if error.field else at
        raise BadRequest(f"{place}: {error.message}", place) from None
