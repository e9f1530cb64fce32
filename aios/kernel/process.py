"""A process: one row of the process table, and what others may know of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from aios.kernel.account import Account
from aios.kernel.durable import DurableProcess
from aios.kernel.graph import RunningGraph
from aios.kernel.mailbox import Mailbox
from aios_syscalls import AiosError, Cancelled, Expired, ProcessInfo, ProcessState

USER = 0
"""The pid of whoever runs the kernel: no program, ancestor of all, never ends."""
LISTED = 4_096
"""Characters of a task or result that the process table shows; `wait` gives the whole."""


@dataclass(slots=True)
class Process:
    """A row of the process table."""

    pid: int
    parent: int
    program: str
    task: str
    mailbox: Mailbox
    account: Account
    state: ProcessState = ProcessState.RUNNING
    result: str | None = None
    error: AiosError | None = None
    calls: int = 0
    """Syscalls accepted and not ended yet."""
    submitted: int = 0
    """Syscalls so far, refused ones among them."""
    graphs: list[RunningGraph] = field(default_factory=list)
    """Those of them whose nodes may wait for a place among the calls under way."""
    killed: Cancelled | Expired | None = None
    """Why it is being ended, once somebody has decided so."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)
    tenant: str = "user"
    """The program that the user started and that this one, its child or theirs works for."""
    waited: bool = False
    """Whether somebody has got its end, or will."""
    family: int = USER
    """The process that the user started and under which this one is: what it may know of others ends there."""
    lineage: frozenset[int] = frozenset()
    """The processes above it that lived when it was started; it is in the view of each, whoever of them has ended."""
    replay_log: DurableProcess | None = None
    """In a durable run."""

    @property
    def weight(self) -> int:
        """Bytes that its row keeps, about."""
        return sum(
            text_bytes(text) for text in (self.task, self.result or "", self.error.message if self.error else "")
        )

    @property
    def visible_state(self) -> ProcessState:
        """Its state, in which one that has calls under way is waiting."""
        return ProcessState.WAITING if self.state is ProcessState.RUNNING and self.calls else self.state

    def info(self) -> ProcessInfo:
        """The row as the ABI has it."""
        return ProcessInfo(
            pid=self.pid,
            parent=self.parent,
            program=self.program,
            task=self.task,
            state=self.visible_state,
            result=self.result,
            error=self.error.to_wire() if self.error else None,
            left=self.account.left(),
        )

    def listed(self) -> ProcessInfo:
        """The row with long texts cut."""
        row = self.info()
        if len(self.task) <= LISTED and len(self.result or "") <= LISTED:
            return row
        return row.model_copy(update={"task": _cut(self.task), "result": self.result and _cut(self.result)})

    def outline(self) -> ProcessInfo:
        """What a process below it may know."""
        return ProcessInfo(pid=self.pid, parent=self.parent, program="", task="", state=self.visible_state)


def text_bytes(text: str) -> int:
    """Bytes that a text has as UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _cut(text: str) -> str:
    return text if len(text) <= LISTED else f"{text[:LISTED]}... ({len(text)} characters)"
