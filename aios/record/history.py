"""What happened in a run, folded from its events: the same for a live view and for a journal read later."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from aios.record.event import Event, Kind
from aios_syscalls import CallId

ENDINGS = frozenset({Kind.DONE, Kind.FAILED, Kind.CANCELLED, Kind.EXPIRED, Kind.UNKNOWN})


@dataclass(slots=True)
class Bill:
    """What one call took of one model; `usd` is None where nobody knows the price."""

    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    priced: bool = False
    """Whether it was said what it costs, be it that nobody knows."""


@dataclass(slots=True)
class CallRecord:
    """One syscall; times in seconds since the run began."""

    id: CallId
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
    """The lanes that it left before its end, when and why."""
    bills: list[Bill] = field(default_factory=list)
    """What it took of each model, in the order in which it left them."""
    preemptions: int = 0
    """How often it was paused with work left, and went on."""
    paused: set[str] = field(default_factory=set)
    """The lanes on which it waits to go on."""
    ended: float | None = None
    state: str = "queued"
    """queued, running or paused, then the kind of its end."""
    endings: int = 0
    """How often it ended: one, or the kernel broke its promise."""
    tokens: int = 0
    model: str = ""
    outcome: Any = None

    @property
    def pid(self) -> int:
        """The process that made it."""
        return self.id.pid

    @property
    def graph(self) -> CallId | None:
        """The call whose node it is."""
        return self.id._replace(node="") if self.id.node else None

    @property
    def usd(self) -> float | None:
        """What it has cost; None where nobody knows the price of a part."""
        prices = [bill.usd for bill in self.bills]
        return None if None in prices else sum(price for price in prices if price is not None)

    def start(self, at: float, lane: str) -> None:
        """A turn begins; one that went on there is over, for nobody said that it had ended."""
        self.stop(at, lane)
        self.preemptions += lane in self.paused
        self.paused.discard(lane)
        self.open[lane] = len(self.slices)
        self.slices.append((at, None))
        self.lanes.append(lane)

    def stop(self, at: float, lane: str | None = None) -> None:
        """End the turns that go on, all of them or that of a lane."""
        for each in list(self.open) if lane is None else [lane]:
            if (index := self.open.pop(each, None)) is not None:
                self.slices[index] = self.slices[index][0], at

    def pay(self, data: Mapping[str, Any], lane: str = "") -> None:
        """Take what an event says that a model took for it, if anything."""
        priced, (read, written) = "usd" in data, _usage(data)
        if not (read or written or priced):
            return
        usd = data.get("usd")
        if not priced and any(each.priced for each in self.bills):
            usd = 0.0  # it was paid for together with what was taken before
        self.bills.append(Bill(self._served(str(data.get("model") or ""), lane), read, written, usd, priced))

    def busy(self, now: float) -> list[tuple[float, float]]:
        """When it was on a slot, whether on one or on several at once."""
        found: list[tuple[float, float]] = []
        for start, stop in self.slices:
            end = now if stop is None else stop
            if found and start < found[-1][1]:
                found[-1] = found[-1][0], max(end, found[-1][1])
            else:
                found.append((start, end))
        return found

    def run_s(self, now: float) -> float:
        """Time on slots; two slots at once count twice."""
        return sum((now if end is None else end) - start for start, end in self.slices)

    def wait_s(self, now: float) -> float:
        """Time accepted but not on a slot."""
        busy = sum(end - start for start, end in self.busy(now))
        return max(0.0, (now if self.ended is None else self.ended) - self.accepted - busy)

    def _served(self, model: str, lane: str) -> str:
        """The configured name of the model that served it: a server may call its model otherwise than the lane."""
        names = [name for each in ([lane] if lane else self.lanes) if (name := model_of(each))]
        return model if model in names or not names else names[-1]


@dataclass(slots=True)
class WorkSums:
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

    def plus(self, calls: Iterable[CallRecord], now: float) -> WorkSums:
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
    past: WorkSums = field(default_factory=WorkSums)
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
        # What needs a core says more than the graph or the wait around it.
        found = [call for call in open_calls if not call.name.startswith("process.")] or open_calls
        running = [call for call in found if call.state == "running"]
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
        self.closed = False
        """Whether it has ended as it should: its kernel did not die under it."""
        self.died = False
        """Whether its kernel died under it, and another has recorded that."""
        self.slices: dict[str, int] = {}
        """Lane -> tokens of its last slice, where that is measured rather than configured."""
        self.processes: dict[int, ProcessRecord] = {}
        self.forgotten = 0
        """Processes that have ended and are not kept."""
        self.calls: dict[CallId, CallRecord] = {}
        self.past = WorkSums()
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
            case Kind.CLOSED:
                self.closed = "error" not in data
                self.died = not self.closed
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
            case Kind.RESUMED:
                self._resume(data["processes"])
                self.facts |= {"os_pid": data.get("os_pid"), "resumed": data.get("began")}
            case Kind.REFUSED | Kind.RESOLVED:
                pass
            case Kind.ACCEPTED:
                self._drop(event.id)
                call = self.calls[event.id] = CallRecord(event.id, data["name"], event.at)
                call.call = data["call"] if self._whole else None
                if event.pid in self.processes:
                    self.processes[event.pid].calls.append(call)
            case Kind.ROUTED:
                self.calls[event.id].routed.append({"at": event.at, **data})
            case Kind.STARTED:
                call = self.calls[event.id]
                call.start(event.at, data.get("lane", ""))
                if data.get("slice"):
                    self.slices[data["lane"]] = data["slice"]
                call.state = "running"
            case Kind.PAUSED:
                call = self.calls[event.id]
                call.stop(event.at, data.get("lane", ""))
                call.paused.add(data.get("lane", ""))
                call.tokens = data["tokens"]
                call.state = "running" if call.open else "paused"
            case Kind.LEFT:
                call = self.calls[event.id]
                call.stop(event.at, data["lane"])
                call.paused.discard(data["lane"])
                call.pay(data, data["lane"])
                call.left.append({"at": event.at, **data})
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

    def _resume(self, pids: Iterable[int]) -> None:
        """The run goes on, and these of its processes."""
        self.closed = self.died = False
        for pid in pids:
            if process := self.processes.get(pid):
                process.ended, process.state, process.result, process.error = None, "running", None, None
                if pid in self._ended:
                    self._ended.remove(pid)

    def _drop(self, id: CallId) -> None:
        """Forget a call that a resumed process makes again."""
        known = self.calls.pop(id, None)
        process = self.processes.get(id.pid)
        if known is not None and process is not None and known in process.calls:
            process.calls.remove(known)

    def _end(self, event: Event) -> None:
        call = self.calls.get(event.id)
        if call is None:
            self._twice += 1
            return
        call.stop(event.at)
        call.ended, call.state = event.at, event.kind.value
        call.endings += 1
        call.tokens = _count(event.data.get("tokens", call.tokens))
        call.model = event.data.get("model", "")
        if call.endings > 1:
            return
        call.pay(event.data)
        process = self.processes.get(call.pid)
        for past in (self.past, process.past) if process else (self.past,):
            past.add(call, event.at)
        if self._whole:
            call.outcome = event.data.get("reply") or event.data.get("error")
            return
        del self.calls[call.id]
        if process:
            process.calls.remove(call)


def model_of(lane: str) -> str:
    """The model that a lane runs, or nothing."""
    family, _, model = lane.partition(":")
    return model if family == "llm" else ""


def _usage(data: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens read and written, as far as an event tells; in older records they are in the reply."""
    reply = data.get("reply")
    usage = data.get("usage") or (reply.get("usage") if isinstance(reply, Mapping) else None)
    if not isinstance(usage, Mapping):
        return 0, 0
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(value: Any) -> int:
    """A number of tokens, 0 where a record has left it out."""
    return value if isinstance(value, int) else 0
