"""What a client's request says beside what the ABI has names for, on its way to a server of the same protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aios_syscalls import Chat

KERNELS = frozenset({"model", "messages", "system", "stream", "stream_options", "n", "tools", "tool_choice"})
"""Fields that the kernel alone says, whatever a client has put into them."""


def client_fields(chat: Chat, protocol: str, ours: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields of `chat.extra` that are of this protocol and that `ours` has not."""
    if chat.extra is None or chat.extra.protocol != protocol:
        return {}
    return {name: value for name, value in chat.extra.fields.items() if name not in KERNELS and name not in ours}
