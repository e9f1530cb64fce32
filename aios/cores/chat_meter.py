"""What chats need and take, in tokens: before they run by their length, then as the model counts."""

from __future__ import annotations

from typing import Any

from aios.context import Snapshot
from aios.cores.prompt_lengths import Length, PromptLengths
from aios.kernel.core import NOTHING_TAKEN, Size, Taken
from aios_syscalls import Chat, ChatReply, Reply, Syscall


class ChatMeter:
    """Measures the chats of one model; see `Meter`."""

    def __init__(self) -> None:
        self._lengths = PromptLengths()

    def estimate(self, pid: int, call: Syscall[Any]) -> Size:
        if not isinstance(call, Chat):
            return Size()
        length = Length.of(call)
        return Size(self._lengths.guess(pid, length), length)

    def took(self, pid: int, call: Syscall[Any], size: Size, outcome: Reply | Snapshot) -> Taken:
        if isinstance(outcome, Snapshot):
            return Taken(None, outcome.tokens)
        if not isinstance(outcome, ChatReply):
            return NOTHING_TAKEN
        usage = outcome.usage
        counted = usage.prompt_tokens and not usage.estimated
        if counted and isinstance(call, Chat) and not call.truncate:  # else it may not have read all
            self._observe(pid, size, usage.prompt_tokens)
        read, context = usage.prompt_tokens - usage.cached_tokens, usage.prompt_tokens if counted else None
        return Taken(read, usage.completion_tokens, context)

    def ended(self, pid: int) -> None:
        self._lengths.ended(pid)

    def _observe(self, pid: int, size: Size, tokens: int) -> None:
        if isinstance(size.basis, Length):
            self._lengths.observe(pid, size.basis, tokens)
