"""What happened in a run, folded from its events: the same for a live view and for a journal read later."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
    lanes: list[str] = field(default_factory=list)
    """Of each turn."""
    open: dict[str, int] = field(default_factory=dict)
    """Of each lane on which it runs now, the index of its turn there."""
    routed: list[dict[str, Any]] = field(default_factory=list)
    """How its lane was chosen, each time that there was a choice."""
    left: list[dict[str, Any]] = field(default_factory=list)
    """The lanes that it left before its end, and why."""
    usd: float | None = 0.0
    """What it has cost; None where nobody knows the price."""
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

    def start(self, at: float, lane: str) -> None:
        """A turn begins."""
        self.open[lane] = len(self.slices)
        self.slices.append((at, None))
        self.lanes.append(lane)

    def stop(self, at: float, lane: str | None = None) -> None:
        """End the turns that go on, all of them or that of a lane."""
        for each in list(self.open) if lane is None else [lane]:
            if (index := self.open.pop(each, None)) is not None:
                self.slices[index] = self.slices[index][0], at

    def pay(self, data: Mapping[str, Any]) -> None:
        """Add what an event says of money, if anything."""
        if "usd" in data:
            self.usd = None if self.usd is None or data["usd"] is None else self.usd + data["usd"]

    def run_s(self, now: float) -> float:
        """Time on a slot."""
        return sum((now if end is None else end) - start for start, end in self.slices)

    def wait_s(self, now: float) -> float:
        """Time accepted but not on a slot."""
        return max(0.0, (now if self.ended is None else self.ended) - self.accepted - self.run_s(now))


@dataclass(slots=True)
class Work:
    """What syscalls add up to: waits and runs in seconds. Waiting for another process counts as a call, and no more."""

    calls: int = 0
    wait_s: float = 0.0
    run_s: float = 0.0
    tokens: int = 0
    slices: int = 0
    preemptions: int = 0

    def add(self, call: CallRecord, now: float) -> None:
        """Count a call as it is now."""
        self.calls += 1
        if call.name.startswith("process."):
            return
        self.wait_s += call.wait_s(now)
        self.run_s += call.run_s(now)
        self.tokens += call.tokens
        self.slices += len(call.slices)
        self.preemptions += call.preemptions

    def plus(self, calls: Iterable[CallRecord], now: float) -> Work:
        """The sum with those of `calls` that have not ended."""
        total = replace(self)
        for call in calls:
            if call.ended is None:
                total.add(call, now)
        return total


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
    past: Work = field(default_factory=Work)
    """Its calls that have ended."""

    @property
    def work(self) -> list[CallRecord]:
        """Its calls that need a core; waiting for another process is no work."""
        return [call for call in self.calls if not call.name.startswith("process.")]

    def figures(self, now: float) -> dict[str, Any]:
        """The row of the final table: waits and runs in seconds, tokens generated, turns taken."""
        work = self.past.plus(self.calls, now)
        return {
            "pid": self.pid,
            "parent": self.parent,
            "program": self.program,
            "task": self.task,
            "state": self.doing(),
            "wait_s": round(work.wait_s, 4),
            "run_s": round(work.run_s, 4),
            "turnaround_s": round((now if self.ended is None else self.ended) - self.began, 4),
            "calls": work.calls,
            "tokens": work.tokens,
            "slices": work.slices,
            "preemptions": work.preemptions,
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
    """Processes and calls of a run so far.

    Without `calls`, of those that have ended only the sums are kept, and no call's payload. With a number `ended`, of
    processes that have ended only the last so many are kept. Both are in the journal.
    """

    def __init__(self, *, calls: bool = True, ended: float = math.inf) -> None:
        self._whole = calls
        self._limit = ended
        self._ended: deque[int] = deque()
        self._twice = 0
        self.facts: dict[str, Any] = {}
        self.processes: dict[int, ProcessRecord] = {}
        self.forgotten = 0
        """Processes that have ended and are not kept."""
        self.calls: dict[int, CallRecord] = {}
        self.past = Work()
        """The calls of everybody that have ended."""
        self.now = 0.0
        self.kinds: defaultdict[Kind, int] = defaultdict(int)

    @classmethod
    def of(cls, events: Iterable[Event], *, calls: bool = True) -> Self:
        """The history that events tell."""
        history = cls(calls=calls)
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
                self._ended.append(event.pid)
                if len(self._ended) > self._limit:
                    del self.processes[self._ended.popleft()]
                    self.forgotten += 1
            case Kind.ACCEPTED:
                call = self.calls[event.call] = CallRecord(event.call, event.pid, data["name"], event.at)
                call.call = data["call"] if self._whole else None
                if event.pid in self.processes:
                    self.processes[event.pid].calls.append(call)
            case Kind.ROUTED:
                self.calls[event.call].routed.append(dict(data))
            case Kind.STARTED:
                call = self.calls[event.call]
                call.start(event.at, data.get("lane", ""))
                call.state = "running"
            case Kind.PAUSED:
                call = self.calls[event.call]
                call.stop(event.at, data.get("lane", ""))
                call.tokens = data["tokens"]
                call.state = "paused"
            case Kind.LEFT:
                call = self.calls[event.call]
                call.stop(event.at, data["lane"])
                call.pay(data)
                call.left.append(dict(data))
                call.state = "running" if call.open else "queued"
            case _:
                self._end(event)

    def ended_once(self) -> bool:
        """Whether every syscall that was accepted has ended, and only once."""
        return not self._twice and all(call.endings == 1 for call in self.calls.values())

    @property
    def open_calls(self) -> int:
        """How many syscalls have not ended."""
        return self.kinds[Kind.ACCEPTED] - self.past.calls

    @property
    def tokens(self) -> int:
        """Tokens generated so far."""
        return self.past.plus(self.calls.values(), self.now).tokens

    def _end(self, event: Event) -> None:
        call = self.calls.get(event.call)
        if call is None:
            self._twice += 1
            return
        call.stop(event.at)
        call.pay(event.data)
        call.ended, call.state = event.at, event.kind.value
        call.endings += 1
        call.tokens = event.data.get("tokens", call.tokens)
        call.model = event.data.get("model", "")
        if call.endings > 1:
            return
        process = self.processes.get(call.pid)
        for past in (self.past, process.past) if process else (self.past,):
            past.add(call, event.at)
        if self._whole:
            call.outcome = event.data.get("reply") or event.data.get("error")
            return
        del self.calls[call.id]
        if process:
            process.calls.remove(call)
