"""What a run says for its calls that say nothing themselves."""

from __future__ import annotations

from typing import Any

from aios_syscalls import Chat, Rank, Syscall


def with_defaults(model: str | None, priority: int, call: Syscall[Any]) -> Syscall[Any]:
    """A call with a run's model and priority, where it names none."""
    changes: dict[str, Any] = {}
    if model is not None and isinstance(call, Chat | Rank) and call.model is None:
        changes["model"] = model
    if priority and not call.priority:
        changes["priority"] = priority
    return call.model_copy(update=changes) if changes else call
