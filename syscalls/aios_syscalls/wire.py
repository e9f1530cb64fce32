"""Syscalls, replies and errors to and from JSON.

A call is its fields plus `"call": name`; an outcome is `{"ok": reply}` or `{"error": {code, message, ...}}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from aios_syscalls.base import MAX_CALL_BYTES, R, Reply, Syscall
from aios_syscalls.errors import AiosError, BadRequest, from_wire
from aios_syscalls.invalid import explain
from aios_syscalls.json_value import is_unicode
from aios_syscalls.table import TABLE

MAX_VALUES = 32_768
"""In one call: objects, lists, texts and numbers, each of which takes some hundred bytes once it is read."""
MAX_FIELDS = 100
MAX_DEPTH = 64
"""Levels of a call that are looked at for what cannot be sent."""


def call_to_json(call: Syscall[Any]) -> bytes:
    """A call as JSON. Raises BadRequest for what JSON cannot hold, naming its place."""
    try:
        return b'{"call":' + to_json(call.name) + b"," + call.__pydantic_serializer__.to_json(call)[1:]
    except (ValueError, RecursionError) as error:
        raise unsendable(call, error) from None


def unsendable(call: Syscall[Any], error: Exception) -> BadRequest:
    """Why a call cannot be written as JSON, with the first place in it that is not Unicode text."""
    field = next((_dotted(at) for at, text in _texts(call) if not is_unicode(text)), "")
    if not field:
        return BadRequest(f"{call.name} cannot be sent: {error}; give values that JSON can hold")
    return BadRequest(
        f"{call.name}: {field} is not Unicode text: it has half of a surrogate pair; decode it with errors='replace', "
        "or give bytes where a file's content is meant",
        field,
    )


def _texts(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text in a value, with the way to it; only so deep as JSON may be."""
    if len(at) > MAX_DEPTH:
        return
    match value:
        case str():
            yield at, value
        case BaseModel():
            for name in type(value).model_fields:
                yield from _texts(getattr(value, name), (*at, name))
        case dict():
            for key, item in value.items():
                yield from _texts(item, (*at, str(key)))
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _texts(item, (*at, index))


def _dotted(at: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in at)


def call_to_object(call: Syscall[Any]) -> dict[str, Any]:
    """A call as an object that JSON can hold."""
    return {"call": call.name, **call.model_dump(mode="json")}


def call_from_json(data: bytes | str) -> Syscall[Any]:
    """The call that JSON describes. Raises BadRequest: too large, no JSON, unknown call, wrong field."""
    if len(data) > MAX_CALL_BYTES:
        raise BadRequest(f"a call of {len(data)} bytes is over the limit of {MAX_CALL_BYTES}; send less, or use a file")
    try:
        fields = from_json(data)
    except ValueError as error:
        raise BadRequest(f"not JSON: {error}") from None
    return call_from_object(fields)


def count_values(value: Any) -> int:
    """How many values a decoded JSON value is made of, counted up to MAX_VALUES and a few more."""
    count, waiting = 0, [value]
    while waiting and count <= MAX_VALUES:
        each = waiting.pop()
        count += 1
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return count + len(waiting)


def call_from_object(fields: Any) -> Syscall[Any]:
    """The call that a decoded JSON object describes. Raises BadRequest."""
    if not isinstance(fields, dict):
        raise BadRequest(f"a call is a JSON object, not {type(fields).__name__}")
    if count_values(fields) > MAX_VALUES:
        raise BadRequest(f"the call has more than {MAX_VALUES} values in it; send them in a file, or as one text")
    if len(fields) > MAX_FIELDS:
        raise BadRequest(f"the call has {len(fields)} fields, more than any; leave out those that it has not")
    rest = {key: value for key, value in fields.items() if key != "call"}
    name = fields.get("call")
    cls = TABLE.get(name) if isinstance(name, str) else None
    if cls is None:
        raise BadRequest(f"no syscall {name!r:.80}; there are {', '.join(sorted(TABLE))}", "call")
    try:
        return cls.model_validate_json(to_json(rest))
    except ValidationError as error:
        raise explain(error, cls.name) from None


def outcome_to_json(outcome: Reply | AiosError) -> bytes:
    """A reply or an error as JSON."""
    if isinstance(outcome, AiosError):
        return to_json({"error": outcome.to_wire()}, inf_nan_mode="null")
    return b'{"ok":' + outcome.__pydantic_serializer__.to_json(outcome) + b"}"


def reply_from_object(call: Syscall[R], outcome: dict[str, Any]) -> R:
    """The reply to `call` in a decoded outcome; raises the AiosError that it holds."""
    if "error" in outcome:
        raise from_wire(outcome["error"])
    return call.reply_type().model_validate_json(to_json(outcome["ok"]))
