"""Family process: start, wait for, end and talk to other agents; `process.graph` has a module of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field, JsonValue, StrictInt, field_validator

from aios_syscalls.base import Effect, Frozen, Reply, Syscall
from aios_syscalls.graph import RunGraph

__all__ = [
    "Budget",
    "Checkpoint",
    "CheckpointReply",
    "Kill",
    "KillReply",
    "ListProcesses",
    "ListProcessesReply",
    "Note",
    "NoteReply",
    "ProcessCall",
    "ProcessInfo",
    "ProcessState",
    "Receive",
    "ReceiveReply",
    "Send",
    "SendReply",
    "Spawn",
    "SpawnReply",
    "Wait",
    "WaitReply",
]


class ProcessState(StrEnum):
    """As `ps` has them: running or waiting for a syscall while alive, then one of the other three."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def alive(self) -> bool:
        return self in (ProcessState.RUNNING, ProcessState.WAITING)


class Budget(Frozen):
    """What a process and all its descendants may use together; None is no limit.

    A call is refused when it may take more than is left, so no limit is exceeded but by what no one could know: the
    last second of calls that run, and a prompt's tokens beyond their estimate.
    """

    tokens: int | None = Field(default=None, ge=0)
    """Read and written by models."""
    usd: float | None = Field(default=None, ge=0)
    """What models cost, by their configured prices; a model without a price is not used then."""
    seconds: float | None = Field(default=None, ge=0)
    """Of running on models and tools; waiting for one is free."""
    calls: int | None = Field(default=None, ge=0)
    """Syscalls, those of family process excepted."""


class ProcessInfo(Frozen):
    """A row of the process table.

    `result` when done, `error` (wire form) when failed or killed; `left` is what there is of its budget and of those of
    the processes above it.
    """

    pid: int
    parent: int | None
    program: str
    task: str
    state: ProcessState
    result: str | None = None
    error: dict[str, JsonValue] | None = None
    left: Budget = Budget()


class SpawnReply(Reply):
    """The new process."""

    pid: int


class Spawn(Syscall[SpawnReply]):
    """Start an agent program, by name or path, as a child of the caller."""

    name: ClassVar[str] = "process.spawn"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    program: str
    task: str = ""
    budget: Budget = Budget()
    """Of the new process; what it uses is the caller's use too, so it never has more than the caller."""


class WaitReply(Reply):
    """How a process ended."""

    process: ProcessInfo


class Wait(Syscall[WaitReply]):
    """Wait until a process has ended."""

    name: ClassVar[str] = "process.wait"
    effect: ClassVar[Effect] = Effect.PURE
    pid: StrictInt


class KillReply(Reply):
    """The processes that were ended: the one named and its descendants that still lived."""

    pids: tuple[int, ...]


class Kill(Syscall[KillReply]):
    """End a descendant of the caller, and its children first; its slots are free when this returns."""

    name: ClassVar[str] = "process.kill"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    settles: ClassVar[bool] = True
    pid: StrictInt


class ListProcessesReply(Reply):
    """Every process of this run, by pid."""

    processes: tuple[ProcessInfo, ...]


class ListProcesses(Syscall[ListProcessesReply]):
    """The process table."""

    name: ClassVar[str] = "process.list"
    effect: ClassVar[Effect] = Effect.PURE


class SendReply(Reply):
    """The message is in the receiver's mailbox."""


class Send(Syscall[SendReply]):
    """Put a message into a living process's mailbox; `Overloaded` when that is full."""

    name: ClassVar[str] = "process.send"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    to: StrictInt
    body: str


class ReceiveReply(Reply):
    """A received message."""

    sender: int
    body: str


class Receive(Syscall[ReceiveReply]):
    """Take the oldest message out of the caller's own mailbox, waiting for one."""

    name: ClassVar[str] = "process.receive"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True


class NoteReply(Reply):
    """What was noted: in a program that is resumed, what was noted then."""

    value: JsonValue


class Note(Syscall[NoteReply]):
    """Put a value on record, and take it from there: a resumed program gets the value of its first life.

    For whatever a program would find otherwise each time: the time, a random number, its environment.
    """

    name: ClassVar[str] = "process.note"
    effect: ClassVar[Effect] = Effect.PURE
    value: JsonValue


class CheckpointReply(Reply):
    """The state is on record."""


class Checkpoint(Syscall[CheckpointReply]):
    """Put the program's state on record: it is resumed from the last one, with this state, and not from its beginning.

    BadRequest while other calls of the process are under way: nobody would ask for their answers again.
    """

    name: ClassVar[str] = "process.checkpoint"
    effect: ClassVar[Effect] = Effect.PURE
    state: JsonValue

    @field_validator("state")
    @classmethod
    def _is_a_state(cls, state: JsonValue) -> JsonValue:
        if state is None:
            raise ValueError("null is the state of a program that begins; give another value, as {} or true")
        return state


ProcessCall = Spawn | Wait | Kill | ListProcesses | Send | Receive | RunGraph | Note | Checkpoint
