"""Values that an agent gives as JSON: held to what JSON has when they are given, so that none arrives as another."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, JsonValue

MAX_DEPTH = 190
"""Levels that the reader of a frame takes, less those of a call around them."""
MAX_INTEGER_BITS = 10_000
"""Of an integer: readers of JSON refuse more than 4,300 digits."""

At = tuple[str | int, ...]


class NotJson(ValueError):
    """A value that JSON has not; `at` is its place."""

    def __init__(self, why: str, at: At) -> None:
        super().__init__(why)
        self.at = at


def is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check(value: Any, at: At = ()) -> Any:
    """The value, if JSON has it as it is. Raises NotJson."""
    match value:
        case str() if not is_unicode(value):
            raise NotJson("is not Unicode text: it has half of a surrogate pair", at)
        case float() if not math.isfinite(value):
            raise NotJson(f"is {value}, which JSON has not; give a number, or null", at)
        case int() if value.bit_length() > MAX_INTEGER_BITS:
            raise NotJson("is an integer of too many digits; give it as a text", at)
        case dict() | list() | tuple() if len(at) >= MAX_DEPTH:
            raise NotJson(f"is nested in more than {MAX_DEPTH} levels; give less deep a value", at[:3])
        case dict():
            for key, item in value.items():
                if isinstance(key, str) and not is_unicode(key):
                    raise NotJson("has a key that is not Unicode text: it has half of a surrogate pair", at)
                check(item, (*at, str(key)))
        case list() | tuple():
            for index, item in enumerate(value):
                check(item, (*at, index))
    return value


JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(check)]
"""An object of JSON values."""
JsonSchema = Annotated[dict[str, Any], BeforeValidator(check)]
"""A JSON Schema, or another object that pydantic does not look into."""
