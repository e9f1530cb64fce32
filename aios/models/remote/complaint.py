"""What a server says is wrong, in whatever shape it says it; no I/O."""

from __future__ import annotations

from pydantic import JsonValue
from pydantic_core import to_json

from aios.models.remote.lenient import Json, as_object, as_text, read_json, unwrapped
from aios.models.remote.sse import EventReader, WireFault

MAX_LEVELS = 6
MAX_FAULTS = 5

NESTED = ("error", "errors", "message", "detail", "msg", "error_msg", "error_message", "errorMessage", "status_msg")
NESTED_LAST = ("reason", "description", "title", "code", "type", "status")
SAID = ("message", "detail", "msg", "error_msg", "error_message", "errorMessage", "errors")
"""Fields by which an object without an answer is an error."""
QUIET = frozenset({"ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"})


def error_text(error: JsonValue, levels: int = MAX_LEVELS) -> str:
    """What an error says in words: its innermost message, and that of the server behind the server; else all of it."""
    if isinstance(error, str):
        return _inner(error, levels)
    if isinstance(error, list) and error and levels:
        return "; ".join(_fault(each, levels - 1) for each in error[:MAX_FAULTS])
    if isinstance(error, dict) and levels:
        for key in (*NESTED, *NESTED_LAST):
            if error.get(key):
                return _with_more(error_text(error[key], levels - 1), error, levels)
    return to_json(error, inf_nan_mode="null").decode("utf-8", "replace") if _is_plain(error) else ""


def _is_plain(error: JsonValue) -> bool:
    try:
        to_json(error)
    except ValueError:  # odd characters
        return False
    return True


def _inner(text: str, levels: int) -> str:
    """A message, or the one in it where it is JSON itself."""
    if levels and text.lstrip()[:1] in ("{", "["):
        try:
            value = read_json(text.encode("utf-8", "surrogatepass"))
        except ValueError:
            return text
        if isinstance(value, dict | list) and value:
            return error_text(value, levels - 1)
    return text


def _fault(fault: JsonValue, levels: int) -> str:
    """One of several faults: the field that it is in and what it says (FastAPI's form)."""
    place = as_object(fault).get("loc")
    said = error_text(fault, levels)
    return f"{'.'.join(map(str, place))}: {said}" if isinstance(place, list) and place else said


def _with_more(said: str, error: Json, levels: int) -> str:
    """`said`, what stands beside a mere title, and what a gateway quotes of the server behind it."""
    parts = [said]
    if isinstance(error.get("error"), str):
        parts += [error_text(error[key], levels - 1) for key in SAID if error.get(key)]
    if raw := as_object(error.get("metadata")).get("raw"):
        parts.append(error_text(raw, levels - 1))
    return ": ".join(part for at, part in enumerate(parts) if part and not any(part in other for other in parts[:at]))


def reported(value: JsonValue, *, answers: bool) -> str:
    """The error that a chunk or body reports; empty where it reports none. `answers`: it holds a piece of an answer.

    An empty `error` is none. Without any answer, an object is one that calls itself an error or has a message.
    """
    fields = as_object(unwrapped(value))
    if _true(fields.get("error")):
        flag = fields["error"] is True or isinstance(fields["error"], int | float)
        return (
            error_text({key: each for key, each in fields.items() if key != "error"} if flag else fields) or "no words"
        )
    kind = {str(fields.get(key) or "").lower() for key in ("type", "object", "status", "event")}
    if answers or kind & QUIET:
        return ""
    if (
        "error" in kind
        or _true(fields.get("errors"))
        or any(isinstance(fields.get(key), str) and fields[key] for key in SAID)
    ):
        return error_text(fields) or "no words"
    if isinstance(fields.get("detail"), list | dict) and fields["detail"]:
        return error_text(fields["detail"])
    status = as_object(fields.get("base_resp"))
    return error_text(status) if status.get("status_code") else ""


def _true(value: JsonValue) -> bool:
    """Whether an error field says that there is one."""
    if isinstance(value, dict):
        return any(map(_true, value.values()))
    return bool(value) and value not in ("null", "none", "false", "ok", "success")


def refused_field(content: bytes) -> str:
    """The field that a refusal names apart from its words, and the code that it gives; empty where it does not."""
    try:
        refusal = as_object(unwrapped(read_json(content)))
    except ValueError:
        return ""
    error = as_object(refusal.get("error")) or refusal
    param = error.get("param")
    return f"{param} {as_text(error.get('code'))}" if isinstance(param, str) else ""


def refused_text(content: bytes) -> str:
    """What the body of a refusal says: JSON in any shape, an event with such, or plain text."""
    text = content.decode("utf-8", "replace")
    if content.lstrip().startswith((b"data:", b"event:")):
        try:
            text = next(iter([*EventReader().feed(content + b"\n\n")]), b"").decode("utf-8", "replace")
        except WireFault:
            return text
    try:
        return error_text(unwrapped(read_json(text.encode()))) or text
    except ValueError:
        return text
