"""What the protocols of remote models share: limits, tool calls in the making, the words of a fault; no I/O."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import from_json, to_json

from aios.models.remote.sse import WireFault
from aios_syscalls import ToolUse

MAX_ARGUMENTS_BYTES = 256 * 1024
MAX_ARGUMENTS_DEPTH = 64
MAX_TOOL_CALLS = 128
MAX_PARTS = 100_000
"""Values in one JSON text, about; with more of them validation would hold the event loop for seconds."""

Part = TypeVar("Part", bound=BaseModel)


class Call:
    """A tool call in the making, its arguments in pieces of JSON."""

    def __init__(self, id: str, name: str = "") -> None:
        self.id, self.name = id, name
        self.arguments = bytearray()

    def add(self, piece: str) -> None:
        """Take the next piece of the arguments. Raises WireFault when they are too long."""
        self.arguments += piece.encode()
        if len(self.arguments) > MAX_ARGUMENTS_BYTES:
            raise WireFault(f"the arguments of a tool call are over {MAX_ARGUMENTS_BYTES} bytes")

    def use(self, hint: str = "") -> ToolUse:
        """The whole call; raises WireFault, its words ended by `hint`, when it has no name or broken arguments."""
        if not self.name:
            raise WireFault("it called a tool without a name")
        try:
            arguments = from_json(bytes(self.arguments) or b"{}", allow_inf_nan=False)
            if not isinstance(arguments, dict) or depth(arguments) > MAX_ARGUMENTS_DEPTH:
                raise ValueError(f"not an object of at most {MAX_ARGUMENTS_DEPTH} levels")
        except ValueError as error:
            raise WireFault(f"its call of tool {self.name[:64]!r} has broken arguments: {error}{hint}") from None
        return ToolUse(id=self.id, name=self.name, arguments=arguments)


def depth(value: JsonValue) -> int:
    """How many objects and arrays are nested in `value`, itself included."""
    if isinstance(value, dict | list):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


def error_text(error: JsonValue) -> str:
    """What an error object says: its `error.message`, `error`, `message` or `detail`, else all of it."""
    for key in ("error", "message", "detail"):
        if isinstance(error, dict) and key in error:
            error = error[key]
    return error if isinstance(error, str) else to_json(error).decode()


def check_parts(data: bytes) -> None:
    """Raises WireFault when the JSON text `data` has more than `MAX_PARTS` values."""
    if sum(map(data.count, (b"{", b"[", b","))) > MAX_PARTS:
        raise WireFault(f"its answer has over {MAX_PARTS} parts")


def validated(kind: type[Part], value: Any, what: str) -> Part:
    """`value`, JSON as bytes or already read, as a `kind`; raises WireFault where the answer is then not `what`."""
    try:
        return kind.model_validate_json(value) if isinstance(value, bytes) else kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"]))[:80]
        raise WireFault(f"its answer is not {what}: {place or 'the body'}: {fault['msg']}") from None
