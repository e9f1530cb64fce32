"""Reads the JSON of servers by one rule; no I/O.

What nobody needs, or has a safe default, may be missing, null or of another type: counts, ids, indexes, roles,
likelihoods, what a chunk says besides. What is needed is checked: that the body is whole JSON, that text is text, that
a tool call has a name that was offered and arguments that are an object, that an answer has an end, that vectors are
finite numbers.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json

from aios.models.remote.sse import BOM, EventNotJson, NoObject, WireFault
from aios.models.remote.unicode import well_formed

MAX_PARTS = 100_000
"""Values in one JSON text, about; with more of them reading would hold the event loop for seconds."""
MAX_DEPTH = 200
MAX_COUNT = 10**9
"""Tokens; a server that tells more is not believed."""
MAX_SHOWN = 80

Json = dict[str, JsonValue]

OBJECT = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{")
"""How an object begins, or one in a list."""

THOUGHTS = ("thinking", "reasoning", "reasoning_content")


def check_parts(data: bytes) -> None:
    """Raises WireFault when the JSON text `data` has more than `MAX_PARTS` values."""
    if sum(map(data.count, (b"{", b"[", b","))) > MAX_PARTS:
        raise WireFault(f"its answer has over {MAX_PARTS} parts")


def read_json(data: bytes) -> JsonValue:
    """What a JSON text says, with odd characters as `unicode` takes them and NaN as null. Raises ValueError."""
    data = data.strip().removeprefix(BOM)
    try:
        return from_json(data, allow_inf_nan=False)  # type: ignore[no-any-return]
    except ValueError as error:
        return _read_odd(data, error)


def is_json_object(data: bytes) -> bool:
    """Whether a text is one whole JSON object. Raises WireFault as `check_parts` does."""
    check_parts(data)
    try:
        return isinstance(read_json(data), dict)
    except ValueError:
        return False


def _read_odd(data: bytes, error: ValueError) -> JsonValue:
    try:
        value: JsonValue = json.loads(
            data.decode("utf-8", "surrogateescape"), strict=False, parse_constant=lambda _: None
        )
    except (ValueError, RecursionError):
        raise error from None
    if depth(value) > MAX_DEPTH:
        raise error
    return value


def read_body(data: bytes, what: str) -> JsonValue:
    """As `read_json`; raises WireFault, with the words that came in the place of `what`."""
    check_parts(data)
    try:
        return read_json(data)
    except ValueError as error:
        why = f"its answer is not {what}: the body: Invalid JSON: {error}; it begins with {_shown(data)}"
        raise (EventNotJson if OBJECT.match(data) else NoObject)(why) from None


def no_object(data: bytes, what: str) -> NoObject:
    """What is wrong with JSON that is no object, where `what` should be."""
    return NoObject(f"its answer is not {what}: the body: Input should be an object; it begins with {_shown(data)}")


def _shown(data: bytes) -> str:
    return repr(data[:MAX_SHOWN].decode("utf-8", "replace"))


def unwrapped(value: JsonValue) -> JsonValue:
    """`value`, or the object in it where it is a list of just one, as some servers wrap their errors."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def depth(value: JsonValue) -> int:
    """How many objects and arrays are nested in `value`, itself included."""
    level, found = 0, [value]
    while found := [each for each in found if isinstance(each, dict | list)]:
        level += 1
        found = [below for each in found for below in (each.values() if isinstance(each, dict) else each)]
    return level


def clean(value: Any) -> JsonValue:
    """`value` with well-formed strings. Raises ValueError for a number that is not finite."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {well_formed(key): clean(each) for key, each in value.items()}
    if isinstance(value, list):
        return [clean(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("number out of range")
    return value  # type: ignore[no-any-return]  # a number, a truth value or null


def as_object(value: JsonValue) -> Json:
    """`value` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_count(value: JsonValue) -> int:
    """A number of tokens: also from a float or digits; 0 where that is none, or no sensible one."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COUNT:
        return 0
    return int(value)


def as_index(value: JsonValue) -> int | None:
    """A place among others: also from a float or digits; None where that is none."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COUNT:
        return None
    return int(value)


def as_text(value: JsonValue) -> str:
    """`value` where it is text, a number as its digits, else nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return value if isinstance(value, str) else repr(value)


@dataclass
class Spoken:
    """What a message or a piece of one says."""

    text: str = ""
    thought: str = ""
    refusal: str = ""


def content(value: JsonValue, place: str, what: str) -> Spoken:
    """The content of a message: text, or parts of text, reasoning and refusals. Raises WireFault for anything else."""
    if value is None:
        return Spoken()
    if isinstance(value, str):
        return Spoken(text=value)
    if not isinstance(value, dict | list):
        raise WireFault(f"its answer is not {what}: {place}: Input should be a valid string")
    parts = [_part(part) for part in (value if isinstance(value, list) else [value])]
    return Spoken(*("".join(each) for each in zip(*parts, strict=True))) if parts else Spoken()


def _part(part: JsonValue) -> tuple[str, str, str]:
    """The text, the reasoning and the refusal in a part: it has one of them, or none."""
    fields = as_object(part)
    kind = as_text(fields.get("type")) or "text"
    if "thinking" in kind or "reasoning" in kind or kind == "think":
        return "", part_thought(fields), ""
    if kind == "refusal":
        return "", "", inner_text(fields.get("refusal"))
    text = part if isinstance(part, str) else inner_text(fields.get("text"))
    return (text if "text" in kind else ""), "", ""


def inner_text(value: JsonValue) -> str:
    """The text in a string, in the usual field of an object, or in a list of such."""
    if isinstance(value, list):
        return "".join(map(inner_text, value))
    if isinstance(value, dict):
        return inner_text(next((value[key] for key in ("text", "value", "content", "summary") if value.get(key)), None))
    return value if isinstance(value, str) else ""


def part_thought(fields: Json) -> str:
    """The reasoning in a part of a message that is of that kind."""
    return _first_text(fields, (*THOUGHTS, "text", "summary", "content"))


def thought_text(message: Json) -> str:
    """The reasoning that a message has beside its text; told under several names it counts once."""
    if text := _first_text(message, THOUGHTS):
        return text
    details = message.get("reasoning_details")
    return "".join(part_thought(as_object(each)) for each in details) if isinstance(details, list) else ""


def _first_text(fields: Json, keys: tuple[str, ...]) -> str:
    for key in keys:
        value = fields.get(key)
        if isinstance(value, dict):
            value = next((value[inner] for inner in (*THOUGHTS, "text", "content") if value.get(inner)), None)
        if text := inner_text(value):
            return text
    return ""
