"""Syscalls, replies and errors to and from JSON.

A call is its fields plus `"call": name`; an outcome is `{"ok": reply}` or `{"error": {code, message, ...}}`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from aios_syscalls.base import MAX_CALL_BYTES, R, Reply, Syscall
from aios_syscalls.errors import AiosError, BadRequest, from_wire
from aios_syscalls.table import TABLE


def explain(error: ValidationError, what: str) -> BadRequest:
    """The first fault of a pydantic error as a BadRequest that names the field."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    field = ".".join(str(part) for part in faults[0]["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return BadRequest(f"{what}: {field or 'the object'}: {faults[0]['msg'].removeprefix('Value error, ')}{more}", field)


def call_to_json(call: Syscall[Any]) -> bytes:
    """A call as JSON."""
    return b'{"call":' + to_json(call.name) + b"," + call.__pydantic_serializer__.to_json(call)[1:]


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


def call_from_object(fields: Any) -> Syscall[Any]:
    """The call that a decoded JSON object describes. Raises BadRequest."""
    if not isinstance(fields, dict):
        raise BadRequest(f"a call is a JSON object, not {type(fields).__name__}")
    rest = {key: value for key, value in fields.items() if key != "call"}
    name = fields.get("call")
    cls = TABLE.get(name) if isinstance(name, str) else None
    if cls is None:
        raise BadRequest(f"no syscall {name!r}; there are {', '.join(sorted(TABLE))}", "call")
    try:
        return cls.model_validate_json(to_json(rest))
    except ValidationError as error:
        raise explain(error, cls.name) from None


def outcome_to_json(outcome: Reply | AiosError) -> bytes:
    """A reply or an error as JSON."""
    if isinstance(outcome, AiosError):
        return to_json({"error": outcome.to_wire()})
    return b'{"ok":' + outcome.__pydantic_serializer__.to_json(outcome) + b"}"


def reply_from_object(call: Syscall[R], outcome: dict[str, Any]) -> R:
    """The reply to `call` in a decoded outcome; raises the AiosError that it holds."""
    if "error" in outcome:
        raise from_wire(outcome["error"])
    return call.reply_type().model_validate_json(to_json(outcome["ok"]))
