"""What pydantic finds wrong with a value, as an error of ours that names the field."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from aios_syscalls.errors import BadRequest
from aios_syscalls.json_value import NotJson

MAX_PARTS = 16
"""Of a field's name: enough to find it."""
SHOWN = 60
"""Characters of a wrong value that a message shows."""


def explain(error: ValidationError, what: str, *, shown: bool = False) -> BadRequest:
    """The first fault of a pydantic error as a BadRequest that names the field, and with `shown` the wrong value."""
    faults = error.errors(include_url=False)
    fault = faults[0]
    found = fault.get("ctx", {}).get("error")
    at = found.at if isinstance(found, NotJson) else ()
    field = ".".join(str(part) for part in (*fault["loc"], *at)[:MAX_PARTS])
    why = fault["msg"].removeprefix("Value error, ")
    value = (
        f", not {_short(fault['input'])}"
        if shown and fault["type"] not in ("missing", "extra_forbidden") and not at
        else ""
    )
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return BadRequest(f"{what}: {field or 'the object'}: {why}{value}{more}", field)


def _short(value: Any) -> str:
    """A value as its caller wrote it, cut; some values cannot say what they are."""
    if isinstance(value, str | bytes):
        value = value[:SHOWN]
    try:
        text = repr(value)
    except Exception:  # the caller's own __repr__
        return f"this {type(value).__name__}"
    return text if len(text) <= SHOWN + 4 else text[:SHOWN] + "..."
