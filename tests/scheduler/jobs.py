"""Jobs, and what a policy makes of them."""

from __future__ import annotations

from dataclasses import dataclass

from aios.scheduler import SchedulingPolicy

SECOND = 1_000_000


@dataclass(frozen=True)
class Task:
    id: int
    pid: int = 1
    priority: int = 0
    program: str = "agent"
    tenant: str = "user"
    prompt: int = 100
    context: int = 100
    graph_id: int = 0
    critical_path_depth: int = 0


def drain(scheduler: SchedulingPolicy, now: int = 0) -> list[int]:
    return [scheduler.next(now).id for _ in range(len(scheduler))]


def run(scheduler: SchedulingPolicy, task: Task, decode: int, now: int = 0, end: int | None = None) -> None:
    """A call from its arrival to its end, alone."""
    scheduler.add(task, now)
    assert scheduler.next(now).id == task.id
    scheduler.served(task, 0, decode, now)
    scheduler.done(task, now if end is None else end)
