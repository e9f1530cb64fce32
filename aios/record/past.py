"""What a run had come to, folded from its events: all that a resumed one needs to go on as it was."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aios.record.event import Event, Kind
from aios.record.history import ENDINGS
from aios.record.replay import AskedCall, Heard, ReplayScript
from aios_syscalls import Cancelled, Checkpoint, OutcomeUnknown, Receive, Send
from aios_syscalls.port import WITHDRAWN
from aios_syscalls.table import TABLE


@dataclass(slots=True)
class Spent:
    """What a process itself had used of its budget, and of those above it."""

    tokens: int = 0
    usd: float = 0.0
    calls: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class PastProcess:
    """One process as it was when its kernel ended, or when it ended itself."""

    pid: int
    parent: int
    program: str
    task: str
    budget: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    """How it ended; empty for one that is to go on."""
    result: str | None = None
    error: Mapping[str, Any] | None = None
    spent: Spent = field(default_factory=Spent)
    mail: deque[tuple[int, str]] = field(default_factory=deque)
    """Unread messages: sender and body."""
    script: ReplayScript = field(default_factory=ReplayScript)


@dataclass(slots=True)
class Past:
    """A run that is to be resumed."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    processes: dict[int, PastProcess] = field(default_factory=dict)
    user_calls: int = 0
    """The number of the user's last call."""
    spent: Spent = field(default_factory=Spent)
    """By the user."""

    @property
    def open(self) -> list[PastProcess]:
        """The processes that are to go on, parents before their children."""
        return [process for pid, process in sorted(self.processes.items()) if not process.state]


def past(events: Iterable[Event]) -> Past:
    """The past that a run's events tell."""
    fold = _Fold()
    for event in events:
        fold.take(event)
    return fold.ended()


@dataclass(slots=True)
class _Life:
    """What one process has asked and heard so far."""

    script: ReplayScript = field(default_factory=ReplayScript)
    inputs: list[Heard] = field(default_factory=list)
    timed: int = 0
    """How many of the inputs have their times."""
    withdrawn: set[int] = field(default_factory=set)
    checkpoint: tuple[int, Any] | None = None
    """The last one: the number of its call, and the state."""
    unknown: set[int] = field(default_factory=set)
    """Calls whose outcome is unknown, and that the program has not heard of."""

    def hear_at(self, times: Iterable[int]) -> None:
        """Note when it heard what it was sent next or, where the time is negative, when a timer of its own rang."""
        for at in times:
            if at < 0:
                self.inputs.insert(self.timed, Heard(0, {}, -at))
                self.timed += 1
            elif self.timed < len(self.inputs):
                self.inputs[self.timed] = self.inputs[self.timed]._replace(at=at)
                self.timed += 1

    def begin_again(self) -> None:
        """Its kernel has ended here: from the last checkpoint on, it is told all again."""
        script, late = self.script, dict[int, list[Heard]]()
        untimed = [*self.inputs[self.timed :], *(each for ends in script.late.values() for each in ends)]
        del self.inputs[self.timed :]
        for each in untimed:
            if each.n in self.withdrawn and _ends(each):
                script.cancelled.add(each.n)
            elif script.calls[each.n].ended:
                late.setdefault(each.n, []).append(each)
        script.late = late
        for call in script.calls.values():
            call.text = ""
        for each in self.inputs:
            if "text" in each.what and each.n in script.calls:
                script.calls[each.n].text += each.what["text"]
        if self.checkpoint is not None:
            self._begin_at(*self.checkpoint)

    def _begin_at(self, n: int, state: Any) -> None:
        """What came of calls before a checkpoint is not waited for by anyone, whenever it came."""
        script = self.script
        script.first, script.state = n + 1, state
        place = next((at for at, each in enumerate(self.inputs) if each.n == n), len(self.inputs))
        before = [each.at for each in self.inputs[: place + 1] if each.at is not None]
        script.clock = before[-1] if before else script.clock
        self.inputs = [each for at, each in enumerate(self.inputs) if each.n > n or (each.n == 0 and at > place)]
        self.timed = len(self.inputs)
        script.calls = {each: call for each, call in script.calls.items() if each > n}
        script.late = {each: heard for each, heard in script.late.items() if each > n}
        self.checkpoint = None


class _Fold:
    """Takes the events of a run one by one."""

    def __init__(self) -> None:
        self._past = Past()
        self._lives: defaultdict[int, _Life] = defaultdict(_Life)
        self._running: dict[tuple[int, int, str, str], float] = {}
        """When a slice began, by its call and lane."""

    def ended(self) -> Past:
        """All that is known, every living process ready to begin again."""
        for pid, process in self._past.processes.items():
            life = self._lives[pid]
            life.begin_again()
            process.script = life.script
            process.script.inputs.extend(life.inputs)
        self._past.user_calls = self._lives[0].script.last
        return self._past

    def take(self, event: Event) -> None:
        data = event.data
        match event.kind:
            case Kind.RUN:
                self._past.facts = data
            case Kind.SPAWNED:
                budget = data.get("budget") or {}
                self._past.processes[event.pid] = PastProcess(
                    event.pid, data["parent"], data["program"], data["task"], budget
                )
                if by := data.get("n"):
                    self._lives[data["parent"]].script.children[by] = event.pid
            case Kind.EXITED if not data.get("cut"):
                process = self._past.processes[event.pid]
                process.state, process.result, process.error = data["state"], data["result"], data["error"]
            case Kind.RESUMED:
                for pid in data["processes"]:
                    self._lives[pid].begin_again()
            case Kind.EXITED | Kind.CLOSED:
                pass
            case Kind.RESOLVED:
                self._resolve(event)
            case _:
                self._take_call(event)

    def _take_call(self, event: Event) -> None:
        data, life = event.data, self._lives[event.pid]
        for n, text in data.get("pieces", ()):
            life.inputs += life.script.late.pop(n, []) if text is None else [Heard(n, {"text": text})]
            if text is None:
                life.unknown.discard(n)
        life.withdrawn.update(data.get("withdrawn", ()))
        life.hear_at(data.get("heard", ()))
        self._charge(event)
        if event.node:
            self._take_node(event, life.script)
        else:
            self._take_own(event, life)

    def _take_node(self, event: Event, script: ReplayScript) -> None:
        key = event.n, event.node
        call, _ = script.nodes.get(key, (None, None))
        match event.kind:
            case Kind.ACCEPTED:
                again = call is not None and call.started and script.nodes[key][1] is None
                script.nodes[key] = AskedCall(event.data["name"], event.data["call"], started=again), None
            case Kind.STARTED if call is not None:
                call.started = True
            case Kind.DONE | Kind.FAILED | Kind.EXPIRED if call is not None:
                script.nodes[key] = call, _outcome(event)
            case Kind.UNKNOWN if call is not None and outcome_unknown(call.name, started=call.started):
                script.nodes[key] = call, {"error": _unknown(event, call).to_wire()}

    def _take_own(self, event: Event, life: _Life) -> None:
        script, n = life.script, event.n
        match event.kind:
            case Kind.ACCEPTED:
                known = script.calls.get(n)
                again = known is not None and known.started and not known.ended  # in an earlier life
                text = known.text if known else ""
                script.calls[n] = AskedCall(event.data["name"], event.data["call"], started=again, text=text)
                script.last = max(script.last, n)
            case Kind.REFUSED:
                code = event.data["error"].get("code")
                if code != Cancelled.code or n in life.withdrawn:
                    script.calls.setdefault(n, AskedCall("", None)).ended = True
                    script.cancelled.discard(n)
                    script.late[n] = [Heard(n, {"error": event.data["error"]})]
                script.last = max(script.last, n)
            case Kind.STARTED:
                script.calls[n].started = True
            case _ if event.kind in ENDINGS and n in script.calls:
                self._end(event, life, script.calls[n])

    def _end(self, event: Event, life: _Life, call: AskedCall) -> None:
        n = event.n
        match event.kind:
            case Kind.DONE | Kind.FAILED | Kind.EXPIRED:
                outcome = _outcome(event)
            case Kind.CANCELLED if n in life.withdrawn:
                outcome = {"error": Cancelled(WITHDRAWN).to_wire()}
            case Kind.UNKNOWN if outcome_unknown(call.name, started=call.started):
                outcome = {"error": _unknown(event, call).to_wire()}
                life.unknown.add(n)
            case _:
                return  # its kernel has ended, and it has not
        call.ended = True
        life.script.late[n] = [Heard(n, outcome)]  # until it was told: answers wait for the disk, each for its own row
        if event.kind is Kind.DONE:
            self._took_effect(event, life, call)

    def _took_effect(self, event: Event, life: _Life, call: AskedCall) -> None:
        """What a call changed in the kernel itself."""
        processes = self._past.processes
        match call.name, call.call:
            case Checkpoint.name, {"state": state}:
                life.checkpoint = event.n, state
            case Send.name, {"to": int(to), "body": str(body)} if to in processes:
                processes[to].mail.append((event.pid, body))
            case Receive.name, _ if event.pid in processes and processes[event.pid].mail:
                processes[event.pid].mail.popleft()

    def _resolve(self, event: Event) -> None:
        """What the user has decided about a call whose outcome was unknown, before the program heard of it."""
        life = self._lives[event.pid]
        outcome = event.data.get("outcome")
        if event.node:
            self._resolve_node(event, life.script, outcome)
            return
        if event.n not in life.unknown:
            return
        life.unknown.discard(event.n)
        if outcome is None:  # it is to run again
            life.script.calls[event.n].ended = life.script.calls[event.n].started = False
            del life.script.late[event.n]
        else:
            life.script.late[event.n] = [Heard(event.n, outcome)]

    def _resolve_node(self, event: Event, script: ReplayScript, outcome: Mapping[str, Any] | None) -> None:
        """The same of a graph's node: it ends so once its graph runs again, or runs with it."""
        call, known = script.nodes.get((event.n, event.node), (None, None))
        if call is not None and known is not None and known.get("error", {}).get("code") == OutcomeUnknown.code:
            call.started = call.started and outcome is not None
            script.nodes[event.n, event.node] = call, outcome

    def _charge(self, event: Event) -> None:
        known = self._past.processes.get(event.pid)
        spent = known.spent if known else self._past.spent
        data, key = event.data, (event.pid, event.n, event.node, event.data.get("lane", ""))
        spent.tokens += data.get("charged", 0)
        spent.usd += data.get("usd") or 0.0 if "charged" in data else 0.0
        match event.kind:
            case Kind.ACCEPTED if not data["name"].startswith("process.") and not data.get("again"):
                spent.calls += 1
            case Kind.STARTED:
                self._running[key] = event.at
            case Kind.PAUSED | Kind.LEFT:
                spent.seconds += event.at - self._running.pop(key, event.at)
            case _ if event.kind in ENDINGS:
                mine = [each for each in self._running if each[:3] == key[:3]]
                spent.seconds += sum(event.at - self._running.pop(each) for each in mine)


def _ends(heard: Heard) -> bool:
    return heard.n > 0 and "text" not in heard.what


def _outcome(event: Event) -> Mapping[str, Any]:
    return {"ok": event.data["reply"]} if event.kind is Kind.DONE else {"error": event.data["error"]}


def outcome_unknown(name: str, *, started: bool) -> bool:
    """Whether nobody can tell if a call took effect that its kernel died under."""
    cls = TABLE.get(name)
    return started and (cls is None or (cls.effect == "at_most_once" and not cls.settles))


def _unknown(event: Event, call: AskedCall) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{call.name} had begun when its kernel died: whether it took effect is not known, and it is not run again by "
        f"itself; look, and say which with aios resolve {event.id} done, failed or retry"
    )
