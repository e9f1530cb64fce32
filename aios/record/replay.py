"""What one program asked and heard, as far as it is on record: a resumed program is told it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import JsonValue, ValidationError
from pydantic_core import to_json

from aios_syscalls import Note, ReplayMismatch, StorageFailed, Syscall
from aios_syscalls.table import TABLE

CAUSES = (
    "the usual causes: the time, random numbers, the environment or a file that the program read itself, threads; "
    "agent.now, agent.random, agent.env, agent.note and agent.read are repeated. Or its file was changed. "
    "Start it anew with aios run, or mend that"
)
SHOWN = 300
"""Characters of a call in a message."""


class Heard(NamedTuple):
    """One thing that a program was sent about its call `n`: a piece of text, or the end. With `n` 0, a timer rang."""

    n: int
    what: Mapping[str, Any]
    """`text`, `ok` or `error`, as a frame has it."""
    at: int | None = None
    """When the program heard it, by its own clock in microseconds; None where that is not on record."""


@dataclass(slots=True)
class AskedCall:
    """A call on record."""

    name: str
    call: Any
    """Its fields as JSON, or why they are not kept; None for one that was refused before it was a call."""
    started: bool = False
    ended: bool = False
    text: str = ""
    """What the caller has heard of it."""


@dataclass(slots=True)
class ReplayScript:
    """Tells a resumed program what it had heard, each thing once it has asked all that it had asked before.

    Recorded replies are handed over in recorded order; the program takes one in when it can do nothing without it
    (`aios.hosts.steady`). So any program of coroutines that learns of the world by syscalls repeats itself.
    """

    first: int = 1
    """The number of its first call: one after its last checkpoint."""
    state: JsonValue = None
    """That of its last checkpoint."""
    clock: int = 0
    """What its clock shows as it begins."""
    calls: dict[int, AskedCall] = field(default_factory=dict)
    nodes: dict[tuple[int, str], tuple[AskedCall, Mapping[str, Any] | None]] = field(default_factory=dict)
    """Nodes of its graphs, with how they ended."""
    inputs: deque[Heard] = field(default_factory=deque)
    """What it had heard when, in order."""
    late: dict[int, list[Heard]] = field(default_factory=dict)
    """What it was sent and asked for nothing afterwards, by call and in order: it hears that when it asks again."""
    cancelled: set[int] = field(default_factory=set)
    """Calls that it had cancelled and not heard the end of: it will cancel them again."""
    children: dict[int, int] = field(default_factory=dict)
    """The pids that its calls had started."""
    last: int = 0
    """The highest number of a call."""
    _asked: set[int] = field(default_factory=set)
    _waits: int = -1
    """Until when the program was told to let its clock go on."""

    @property
    def over(self) -> bool:
        """Whether there is nothing left to tell at a time."""
        return not self.inputs

    def ask(self, n: int, call: Syscall[Any] | None) -> tuple[list[dict[str, Any]], bool]:
        """The frames for a program that asks this again, and whether the call is to be run: it had not ended.

        `call` is None for one that is malformed. Raises ReplayMismatch, and StorageFailed for an answer that is not on
        record.
        """
        known = self.calls.get(n)
        if known is not None and call is not None and known.call is not None:
            self._check(n, known, call)
        self._asked.add(n)
        return self.due(), n not in self.cancelled and not (known is not None and known.ended)

    def due(self) -> list[dict[str, Any]]:
        """The frames that need no further call of the program's."""
        frames = []
        while self.inputs and (self.inputs[0].n == 0 or self.inputs[0].n in self._asked):
            frames.append(self._frame(self.inputs.popleft()))
        return frames + self._wait()

    def _wait(self) -> list[dict[str, Any]]:
        """The frame that lets the program's clock go on to the next thing that it heard, so that its timers ring."""
        at = self.inputs[0].at if self.inputs else None
        if at is None or at == self._waits:
            return []
        self._waits = at
        return [{"at": at}]

    def lately(self, n: int | None = None) -> list[dict[str, Any]]:
        """What there is, at no known time, of call `n`, or of all that have been asked."""
        wanted = [each for each in self.late if each == n or (n is None and each in self._asked)]
        return [self._frame(heard) for each in wanted for heard in self.late.pop(each)]

    def _frame(self, heard: Heard) -> dict[str, Any]:
        answer = heard.what.get("ok")
        if isinstance(answer, Mapping) and answer.keys() == {"omitted"}:
            raise StorageFailed(
                f"the answer to call {heard.n} of the program is not on record ({answer['omitted']}), so it cannot be "
                "resumed; start it anew, and let it make checkpoints before it has read so much"
            )
        if heard.n == 0:
            return {"at": heard.at}
        at = {} if heard.at is None else {"at": heard.at}
        return {"id": heard.n, **heard.what, **at}

    def _check(self, n: int, known: AskedCall, call: Syscall[Any]) -> None:
        """Raises ReplayMismatch where a call is not the one on record."""
        if isinstance(call, Note) or (isinstance(known.call, Mapping) and known.call.keys() == {"omitted"}):
            same = known.name == call.name  # what is noted is what differs each time
        else:
            same = known.name == call.name and _recorded(known) == call
        if not same:
            raise ReplayMismatch(
                f"the resumed program does not repeat itself: its call {n} was {_shown(known.name, known.call)}, "
                f"and is now {_shown(call.name, call)}; {CAUSES}"
            )


def _recorded(known: AskedCall) -> Syscall[Any] | None:
    """The call that is on record; None where this aios does not know it any more."""
    try:
        return TABLE[known.name].model_validate_json(to_json(known.call))
    except (KeyError, ValidationError):
        return None


def _shown(name: str, fields: Any) -> str:
    text = to_json(fields, inf_nan_mode="null").decode("utf-8", "replace")
    return f"{name} {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"
