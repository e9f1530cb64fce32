"""What nobody may exceed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a kernel, and of each of its runs; times in seconds."""

    calls: int = 10_000
    """Syscalls accepted and not ended, of all processes of all runs."""
    calls_per_process: int = 64
    processes: int = 1_000
    """Living ones of a run."""
    ended: int = 1_000
    """Rows of ended processes that the table keeps."""
    mailbox: int = 1_000
    """Unread messages per process."""
    mail_bytes: int = 64 * 1024
    """Of one message."""
    mailbox_bytes: int = 16 * 1024 * 1024
    """Of a process's unread messages together."""
    deadline_s: float = 600.0
    """Of a call that names none; waiting for a process or a message is bounded by the process's time limit."""
    agent_time_limit_s: float = 3_600.0
