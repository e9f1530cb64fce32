"""Tool calls out of the pieces that servers send them in, held against the tools that were offered; no I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import count

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from aios.models.remote.lenient import Json, as_index, as_object, as_text, clean, depth, read_json
from aios.models.remote.sse import WireFault
from aios.models.remote.unicode import well_formed
from aios_syscalls import ToolUse

MAX_ARGUMENTS_BYTES = 256 * 1024
MAX_ARGUMENTS_DEPTH = 64
MAX_TOOL_CALLS = 128
MAX_NAME = 64
MAX_ID = 16 * 1024
"""Characters; some gateways put signatures into ids. A longer one is none."""

MAX_HEAD = 8
"""Characters by which arguments that are none are told."""
NO_ARGUMENTS = frozenset({"", "null", "None", '""', "[]"})
"""`[]` is what PHP writes for an empty object."""
EMPTY = NO_ARGUMENTS | {"{}"}
"""What some servers send first, and then the arguments: nothing can follow it in JSON."""


class PendingCall:
    """A tool call in the making, its arguments in pieces of JSON; `given` is the id that the server gave it."""

    def __init__(self, index: int = 0, given: str = "", name: str = "") -> None:
        self.index, self.given, self.name = index, given, name
        self._pieces: list[str] = []
        self._head = ""
        self._size = self._depth = self._seen = 0
        self._quoted = self._escaped = self._closed = False

    def clear(self) -> None:
        """Forget the arguments that have come."""
        self._head, self._pieces = "", []
        self._size = self._depth = self._seen = 0
        self._quoted = self._escaped = self._closed = False

    def add(self, piece: str) -> None:
        """Take the next piece of the arguments, which replaces empty ones. Raises WireFault when they are too long."""
        if self._head.rstrip() in EMPTY and piece.strip():
            self.clear()
        self._size += len(piece.encode("utf-8", "surrogatepass"))
        if self._size > MAX_ARGUMENTS_BYTES:
            raise WireFault(f"the arguments of a tool call are over {MAX_ARGUMENTS_BYTES} bytes")
        self._pieces.append(piece)
        self._head = (self._head + piece).lstrip()[:MAX_HEAD]

    @property
    def whole(self) -> bool:
        """Whether its arguments are a whole object, as far as brackets tell."""
        for piece in self._pieces[self._seen :]:
            self._balance(piece)
        self._seen = len(self._pieces)
        return self._closed

    def _balance(self, piece: str) -> None:
        for char in piece:
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._quoted, self._escaped = char != '"', char == "\\"
            elif char == '"':
                self._quoted = True
            elif char in "{[":
                self._depth, self._closed = self._depth + 1, False
            elif char in "}]":
                self._depth -= 1
                self._closed = self._depth == 0

    @property
    def arguments(self) -> str:
        """What has come of its arguments."""
        return well_formed("".join(self._pieces))

    @property
    def blank(self) -> bool:
        """Whether there are no arguments so far."""
        return self._head.rstrip() in NO_ARGUMENTS

    def use(self, id: str, hint: str = "") -> ToolUse:
        """The whole call; raises WireFault, its words ended by `hint`, when its arguments are broken."""
        try:
            return ToolUse(id=id, name=self.name, arguments=_arguments(self.arguments))
        except ValueError as error:
            raise WireFault(f"its call of tool {self.name[:MAX_NAME]!r} has broken arguments: {error}{hint}") from None


def _arguments(text: str) -> Json:
    if text.strip() in NO_ARGUMENTS:
        return {}
    value = _json(text)
    if isinstance(value, str):  # JSON in JSON
        value = {} if value.strip() in NO_ARGUMENTS else _json(value)
    value = {} if value == [] else value
    if not isinstance(value, dict) or depth(value) > MAX_ARGUMENTS_DEPTH:
        raise ValueError(f"not an object of at most {MAX_ARGUMENTS_DEPTH} levels")
    return as_object(clean(value))


def _json(text: str) -> JsonValue:
    try:
        return from_json(text, allow_inf_nan=False)  # type: ignore[no-any-return]
    except ValueError as error:
        if "NaN" in text or "Infinity" in text:  # no number: what it should be is unknown
            raise
        try:
            return read_json(text.encode("utf-8", "surrogatepass"))
        except ValueError:
            raise error from None


@dataclass(frozen=True)
class CallPart:
    """A piece of a tool call as it came."""

    index: int | None
    id: str
    name: str
    arguments: str

    @classmethod
    def read(cls, value: JsonValue) -> CallPart:
        """A piece in OpenAI's form: what it names is in `function`, or beside it; arguments are text or an object."""
        part = as_object(value)
        function = as_object(part.get("function")) or part
        id = as_text(part.get("id"))
        return cls(
            as_index(part.get("index")),
            "" if id in ("null", "None") or len(id) > MAX_ID else id,
            well_formed(as_text(function.get("name"))).strip(),
            arguments_text(function.get("arguments")),
        )


def arguments_text(value: JsonValue) -> str:
    """Arguments as JSON text, in which they come, or as the object itself. Raises WireFault for what is neither."""
    if isinstance(value, str):
        return value
    if value is None or value == []:
        return ""
    if not isinstance(value, dict):
        raise WireFault(f"it called a tool with arguments that are a {type(value).__name__}, not an object")
    try:
        return to_json(clean(value)).decode()
    except (ValueError, RecursionError) as error:
        raise WireFault(f"it called a tool with arguments that are not JSON: {error}") from None


class StreamedToolCalls:
    """Puts calls together from pieces. Which call a piece belongs to:

    - one without a name goes on with the call of its index, else of its id, else with the last one;
    - one with a name begins a call where none has its index;
    - where one has, it begins another unless the ids are the same, or that one's arguments are not whole yet; where
      they have not begun, it is the rest of a name, or the name again, unless both are names of tools on offer.

    `offered` are the names of the tools that may be called; None checks no name.
    """

    def __init__(self, offered: Collection[str] | None) -> None:
        self._offered = None if offered is None else frozenset(offered)
        self._calls: list[PendingCall] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def begin(self, part: CallPart) -> PendingCall:
        """A call of its own. Raises WireFault for one too many."""
        if len(self._calls) == MAX_TOOL_CALLS:
            raise WireFault(f"it made over {MAX_TOOL_CALLS} tool calls")
        call = PendingCall(len(self._calls) if part.index is None else part.index, part.id, part.name)
        self._calls.append(call)
        call.add(part.arguments)
        return call

    def add(self, parts: list[CallPart]) -> None:
        """Take the pieces of one chunk."""
        for position, part in enumerate(parts):
            call = self._find(part, position, alone=len(parts) == 1)
            if call is None or (part.name and self._is_new(call, part)):
                index = position if part.index is None else part.index
                self.begin(CallPart(index, part.id, part.name, part.arguments))
            else:
                self._rename(call, part.name)
                call.given = call.given or part.id
                call.add(part.arguments)

    def _find(self, part: CallPart, position: int, *, alone: bool) -> PendingCall | None:
        latest = self._calls[::-1]
        same_id = [call for call in latest if part.id and call.given == part.id]
        if part.index is None:
            if same_id or (alone and not part.name):
                return next(iter(same_id or latest), None)
            return next((call for call in latest if call.index == position), None)
        at_index = [call for call in latest if call.index == part.index]
        both = [call for call in at_index if call in same_id]
        if part.name:
            return next(iter(both or at_index), None)
        return next(iter(both or at_index or same_id or latest), None)

    def _is_new(self, call: PendingCall, part: CallPart) -> bool:
        if part.id and call.given == part.id:
            return False
        if call.whole:
            return True
        if not call.blank or not call.name or call.name == part.name:
            return False
        if self._offered is None:
            return bool(part.id and call.given)
        return call.name in self._offered and part.name in self._offered

    def _rename(self, call: PendingCall, name: str) -> None:
        if not name or name == call.name or not call.blank:
            return
        call.name = name if name.startswith(call.name) else call.name + name

    def uses(self, hint: str = "") -> tuple[ToolUse, ...]:
        """The calls, each with an id of its own. Raises WireFault for one of no tool or with broken arguments."""
        calls = [call for at, call in enumerate(self._calls) if not self._is_again(call, self._calls[:at])]
        for call in calls:
            self._check(call)
        return tuple(call.use(id, hint) for call, id in zip(calls, _ids(calls), strict=True))

    def _is_again(self, call: PendingCall, before: list[PendingCall]) -> bool:
        """Whether it is a call sent again, which a tool must not be called twice for."""
        if any(call.given and _sent(call) == _sent(other) for other in before):
            return True
        # The name alone, after the whole call, in its place.
        return call.blank and any(
            (other.name, other.index) == (call.name, call.index) and _arguments_came(other) for other in before
        )

    def _check(self, call: PendingCall) -> None:
        if not call.name:
            raise WireFault("it called a tool without a name")
        if self._offered is not None and call.name not in self._offered:
            offered = ", ".join(sorted(self._offered)) or "none"
            raise WireFault(f"it called tool {call.name[:MAX_NAME]!r}, but the tools that were offered are: {offered}")


def _sent(call: PendingCall) -> tuple[str, str, str]:
    return call.given, call.name, call.arguments


def _arguments_came(call: PendingCall) -> bool:
    return not call.blank and call.arguments.strip() != "{}"


def _ids(calls: list[PendingCall]) -> list[str]:
    """An id for each call: the server's, unless it gave none or the same to two."""
    given, ids = {call.given for call in calls}, list[str]()
    for at, call in enumerate(calls):
        new = (f"call_{number}" for number in count(at))
        id = well_formed(call.given)
        ids.append(id if id and id not in ids else next(each for each in new if each not in given and each not in ids))
    return ids
