"""What can go wrong, as one tree that is the same in the kernel, in an agent and on the wire.

AiosError
|-- CallerError        the call itself was wrong; sending it again unchanged cannot help
|   |-- BadRequest         malformed, off its schema or too large        bad_request
|   |-- NotFound           no such file, tool, model, program, process   not_found
|   |-- Exists             it is already there                           exists
|   |-- Conflict           it changed since the caller saw it            conflict
|   |-- Denied             outside what the caller was granted           denied
|   |-- BudgetExceeded     more than is left of its process's budget     budget_exceeded
|   `-- ReplayMismatch     a resumed program does not repeat itself      replay_mismatch
|-- WorldError         the thing that was asked for failed
|   |-- ModelFailed        the model, its worker or its server           model_failed
|   |-- ToolFailed         the tool raised, hung or answered nonsense    tool_failed
|   |-- StorageFailed      the disk or the file system                   storage_failed
|   |-- AgentFailed        another agent that was waited for             agent_failed
|   |-- InputFailed        a node of a graph that this one needs         input_failed
|   `-- OutcomeUnknown     begun when its kernel died; done, or not      outcome_unknown
|-- LoadError          not now
|   |-- Overloaded         a queue is full; see retry_after_s            overloaded
|   |-- Expired            the call's deadline passed                    expired
|   |-- Cancelled          the caller's process was killed or stopped    cancelled
|   `-- NoKernel           no kernel runs, or its connection was lost    no_kernel
`-- KernelBug          our fault; please report it                       kernel_bug

A message says what happened, why, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "AgentFailed",
    "AiosError",
    "BadRequest",
    "BudgetExceeded",
    "CallerError",
    "Cancelled",
    "Conflict",
    "Denied",
    "Exists",
    "Expired",
    "InputFailed",
    "KernelBug",
    "LoadError",
    "ModelFailed",
    "NoKernel",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "ReplayMismatch",
    "StorageFailed",
    "ToolFailed",
    "WorldError",
]

MAX_MESSAGE = 20_000
"""Characters of a message: it may quote what somebody sent."""


def _cut(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}... ({len(message)} characters)"


class AiosError(Exception):
    """Base of every error that a syscall can end with; `code` is stable on the wire."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **data: Any) -> None:
        # A name that is not UTF-8, quoted in a message, must not keep the error from being sent or recorded.
        self.message = _cut(message).encode("utf-8", "backslashreplace").decode()
        super().__init__(self.message)
        self.data = {key: value for key, value in data.items() if value is not None}

    def to_wire(self) -> dict[str, Any]:
        """The JSON object form: code, message and the error's own fields."""
        return {"code": self.code, "message": self.message, **self.data}

    def __reduce__(self) -> tuple[Any, ...]:
        return (from_wire, (self.to_wire(),))


class CallerError(AiosError):
    """The call was wrong; the same call will fail again."""


class BadRequest(CallerError):
    """The call is malformed; `field` names the part that is wrong, dotted, or is empty."""

    code = "bad_request"

    def __init__(self, message: str, field: str = "", **data: Any) -> None:
        super().__init__(message, field=field or None, **data)

    @property
    def field(self) -> str:
        return str(self.data.get("field", ""))


class NotFound(CallerError):
    """What the call names does not exist."""

    code = "not_found"


class Exists(CallerError):
    """What the call would create exists already."""

    code = "exists"


class Conflict(CallerError):
    """What the call would change is not in the version that it expects; `version` is the one there is, 0 for none."""

    code = "conflict"


class Denied(CallerError):
    """The caller has no right to this."""

    code = "denied"


class BudgetExceeded(CallerError):
    """The call may take more than is left of its process's budget, or of that of a process above it.

    `resource` is tokens, usd, seconds or calls, `left` what there is of it, `needed` what the call may take.
    """

    code = "budget_exceeded"

    def __init__(self, message: str, resource: str = "", left: float = 0, needed: float = 0, **data: Any) -> None:
        super().__init__(message, resource=resource, left=left, needed=needed, **data)


class ReplayMismatch(CallerError):
    """A program that is resumed asks something else than it had asked, so what it had heard is no answer to it."""

    code = "replay_mismatch"


class WorldError(AiosError):
    """Something outside the kernel failed; trying again may help."""


class ModelFailed(WorldError):
    """A model, its worker process or its server failed."""

    code = "model_failed"


class ToolFailed(WorldError):
    """A tool raised, ran out of time or returned something that is not JSON."""

    code = "tool_failed"


class StorageFailed(WorldError):
    """The disk or the file system refused."""

    code = "storage_failed"


class AgentFailed(WorldError):
    """An agent program raised, was killed or ran out of time."""

    code = "agent_failed"


class InputFailed(WorldError):
    """A node of a graph was not run, for one that it needs has failed: `node`, with an error of the code `cause`."""

    code = "input_failed"


class OutcomeUnknown(WorldError):
    """A call that must not run twice had begun when its kernel died: whether it took effect, nobody knows."""

    code = "outcome_unknown"


class LoadError(AiosError):
    """Not now: a limit of time or room was reached."""


class Overloaded(LoadError):
    """A bounded queue is full; `retry_after_s` estimates when there is room."""

    code = "overloaded"

    def __init__(self, message: str, retry_after_s: float = 1.0, **data: Any) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **data)

    @property
    def retry_after_s(self) -> float:
        return float(self.data["retry_after_s"])


class Expired(LoadError):
    """The call's deadline passed before it ended."""

    code = "expired"


class Cancelled(LoadError):
    """The call ended because its process was killed or the kernel stopped."""

    code = "cancelled"


class NoKernel(LoadError):
    """There is no kernel to ask."""

    code = "no_kernel"


class KernelBug(AiosError):
    """An error that the kernel did not foresee; the message holds the original one."""

    code = "kernel_bug"


def _leaves(root: type[AiosError]) -> dict[str, type[AiosError]]:
    found = {root.code: root} if "code" in root.__dict__ else {}
    for child in root.__subclasses__():
        found |= _leaves(child)
    return found


BY_CODE: Mapping[str, type[AiosError]] = _leaves(AiosError)


def from_wire(data: Mapping[str, Any]) -> AiosError:
    """The error that `to_wire` described; an unknown code becomes a KernelBug that names it."""
    rest = dict(data)
    code, message = str(rest.pop("code", "?")), str(rest.pop("message", ""))
    kind = BY_CODE.get(code)
    if kind is None:
        return KernelBug(f"unknown error code {code!r}: {message}")
    return kind(message, **rest)
