"""What happened in a run, folded from its events: the same for a live view and for a journal read later."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from aios.kernel.instrument import Event, Kind

ENDINGS = frozenset({Kind.DONE, Kind.FAILED, Kind.CANCELLED, Kind.EXPIRED, Kind.UNKNOWN})


@dataclass(slots=True)
class CallRecord:
    """One syscall; times in seconds since the run began."""

    id: int
    pid: int
    name: str
    accepted: float
    call: Any = None
    slices: list[tuple[float, float | None]] = field(default_factory=list)
    """Start and end of each turn on a slot; None while it runs."""
    ended: float | None = None
    state: str = "queued"
    """queued, running or paused, then the kind of its end."""
    endings: int = 0
    """How often it ended: one, or the kernel broke its promise."""
    tokens: int = 0
    model: str = ""
    outcome: Any = None

    @property
    def preemptions(self) -> int:
        """How often it was paused with work left."""
        return max(0, len(self.slices) - 1)

    def run_s(self, now: float) -> float:
        """Time on a slot."""
        return sum((now if end is None else end) - start for start, end in self.slices)

    def wait_s(self, now: float) -> float:
        """Time accepted but not on a slot."""
        return (now if self.ended is None else self.ended) - self.accepted - self.run_s(now)


@dataclass(slots=True)
class ProcessRecord:
    """One process, with what its syscalls add up to."""

    pid: int
    parent: int
    program: str
    task: str
    began: float
    ended: float | None = None
    state: str = "running"
    result: str | None = None
    error: dict[str, Any] | None = None
    calls: list[CallRecord] = field(default_factory=list)

    @property
    def work(self) -> list[CallRecord]:
        """Its calls that need a core; waiting for another process is no work."""
        return [call for call in self.calls if not call.name.startswith("process.")]

    def figures(self, now: float) -> dict[str, Any]:
        """The row of the final table: waits and runs in seconds, tokens generated, turns taken."""
        work = self.work
        return {
            "pid": self.pid,
            "parent": self.parent,
            "program": self.program,
            "task": self.task,
            "state": self.doing(),
            "wait_s": round(sum(call.wait_s(now) for call in work), 4),
            "run_s": round(sum(call.run_s(now) for call in work), 4),
            "turnaround_s": round((now if self.ended is None else self.ended) - self.began, 4),
            "calls": len(self.calls),
            "tokens": sum(call.tokens for call in work),
            "slices": sum(len(call.slices) for call in work),
            "preemptions": sum(call.preemptions for call in work),
            "result": self.result,
            "error": self.error,
        }

    def doing(self) -> str:
        """The state, and what a living process waits for: `queued`, `llm`, `tool`, ..."""
        if self.state != "running":
            return self.state
        open_calls = [call for call in self.calls if call.ended is None]
        running = [call for call in open_calls if call.state == "running"]
        if running:
            return running[-1].name.partition(".")[0]
        return "queued" if open_calls else "running"


class History:
    """Processes and calls of a run so far; without `payloads`, what was asked and answered is left to the journal."""

    def __init__(self, *, payloads: bool = True) -> None:
        self._payloads = payloads
        self.facts: dict[str, Any] = {}
        self.processes: dict[int, ProcessRecord] = {}
        self.calls: dict[int, CallRecord] = {}
        self.now = 0.0
        self.kinds: defaultdict[Kind, int] = defaultdict(int)

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """The history that events tell."""
        history = cls()
        for event in events:
            history.apply(event)
        return history

    def apply(self, event: Event) -> None:
        """Take the next event."""
        self.now = event.at
        self.kinds[event.kind] += 1
        data = event.data
        match event.kind:
            case Kind.RUN:
                self.facts = dict(data)
            case Kind.SPAWNED:
                self.processes[event.pid] = ProcessRecord(
                    event.pid, data["parent"], data["program"], data["task"], event.at
                )
            case Kind.EXITED:
                process = self.processes[event.pid]
                process.ended, process.state = event.at, data["state"]
                process.result, process.error = data["result"], data["error"]
            case Kind.ACCEPTED:
                call = self.calls[event.call] = CallRecord(event.call, event.pid, data["name"], event.at)
                call.call = data["call"] if self._payloads else None
                if event.pid in self.processes:
                    self.processes[event.pid].calls.append(call)
            case Kind.STARTED:
                call = self.calls[event.call]
                call.slices.append((event.at, None))
                call.state = "running"
            case Kind.PAUSED:
                self._stop(self.calls[event.call], event.at)
                self.calls[event.call].tokens = data["tokens"]
                self.calls[event.call].state = "paused"
            case _:
                self._end(self.calls[event.call], event)

    def ended_once(self) -> bool:
        """Whether every syscall that was accepted has ended, and only once."""
        return all(call.endings == 1 for call in self.calls.values())

    def _stop(self, call: CallRecord, at: float) -> None:
        if call.slices and call.slices[-1][1] is None:
            call.slices[-1] = call.slices[-1][0], at

    def _end(self, call: CallRecord, event: Event) -> None:
        self._stop(call, event.at)
        call.ended, call.state = event.at, event.kind.value
        call.endings += 1
        call.tokens = event.data.get("tokens", call.tokens)
        call.model = event.data.get("model", "")
        if self._payloads:
            call.outcome = event.data.get("reply") or event.data.get("error")
