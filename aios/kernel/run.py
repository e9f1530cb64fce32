"""A run: one user's processes on a kernel, from the first that they start to the last that ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, cast

import anyio
import anyio.lowlevel

from aios.kernel.account import FREE, UNLIMITED
from aios.kernel.core import Route
from aios.kernel.durable import DurableProcess
from aios.kernel.graph import RunningGraph
from aios.kernel.lane import Lane
from aios.kernel.limits import Limits
from aios.kernel.mailbox import MailLimits
from aios.kernel.passage import Passage, RestOfStream
from aios.kernel.process import USER, Process
from aios.kernel.process_table import STOPS, Host, Processes
from aios.kernel.request import AcceptedCall
from aios.record import AskedCall, Event, Journal, Kind, Observer, Past, PastProcess
from aios.scheduler import Fifo
from aios.tasks import background_tasks
from aios_syscalls import (
    AiosError,
    BadRequest,
    Budget,
    CallId,
    Cancelled,
    Effect,
    Expired,
    KernelBug,
    Overloaded,
    R,
    Reply,
    RunGraph,
    StorageFailed,
    Syscall,
)
from aios_syscalls.port import ProcessPort, discard
from aios_syscalls.wire import call_to_json, reply_from_object

DiskWait = Literal["effects", "all", "off"]
"""Those with an effect, all calls, or none."""
log = logging.getLogger("aios.kernel")

GRAPHS_SHARE = 0.75
"""Of the calls that a process may have under way, what nodes of graphs take: a large graph must not lock it out."""


@dataclass(frozen=True)
class RunSettings:
    """What is a run's own; all else is its kernel's, and shared with the other runs."""

    host: Host
    """What runs its programs."""
    id: str = ""
    lanes: Iterable[Lane] = ()
    """Of its own, in which its tools and files are served."""
    limits: Limits = field(default_factory=Limits)
    budget: Budget = UNLIMITED
    """Of all its processes together."""
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    """Of each process of a program."""
    prepare: Callable[[Syscall[Any]], Syscall[Any]] = lambda call: call
    """What it makes of each call before it is accepted: with a model of its own, say, where the call names none."""
    tenant: str = ""
    """On whose behalf all of it runs, where that is not each program that the user starts."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What its first event says of it."""
    observers: Iterable[Observer] = ()
    durable: bool = False
    """Whether what its programs hear is recorded, so that it can be resumed."""
    past: Past | None = None
    """Of a run that is resumed: it goes on from there."""
    age_s: float = 0.0
    """For how long it has been on record."""
    deadline_s: float | None = None
    """After so many seconds from its beginning its processes are ended."""
    disk: DiskWait = "off"
    """Which of its calls wait until the disk has what is recorded of them: as they begin, and before their answer."""


class Shared(Protocol):
    """What a run has of its kernel."""

    @property
    def lanes(self) -> Mapping[str, Lane]: ...

    @property
    def route(self) -> Route: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def closing(self) -> bool:
        """Whether it takes no more calls."""

    def new_number(self) -> int:
        """One that no call or graph has, for policies."""

    def full(self) -> str:
        """Why no call more may be under way; empty if one may."""

    def count(self, calls: int) -> None:
        """So many calls more are under way, or fewer."""


class Run(anyio.AsyncContextManagerMixin):
    """Queues the syscalls of its processes, runs them on lanes, and ends each exactly once; see `Kernel.open`.

    Use as an async context manager: leaving it ends every process. Nothing in it knows of any other run.
    """

    def __init__(self, kernel: Shared, settings: RunSettings) -> None:
        self.id, self.host = settings.id, settings.host
        limits = settings.limits
        self.processes = Processes(
            settings.host,
            self.port,
            self._report,
            self._run_graph,
            kernel.journal.new_pid,
            limit=limits.processes,
            ended=limits.ended,
            mail=MailLimits(limits.mailbox, limits.mail_bytes, limits.mailbox_bytes),
            time_limit_s=limits.agent_time_limit_s,
            budget=settings.budget,
            budgets=settings.budgets,
            tenant=settings.tenant,
            replay_log=self._durable_process if settings.durable else None,
        )
        own = (*settings.lanes, Lane("process", self.processes, Fifo()))
        self.lanes = {**kernel.lanes, **{lane.name: lane for lane in own}}
        self._kernel = kernel
        self._limits = limits
        self._own_observers: tuple[Observer, ...] = (kernel.journal.record, self._tell_lanes)
        self._observers = [*settings.observers]
        self._facts = settings.facts
        self._prepare = settings.prepare
        self._past, self._age_s, self._deadline_s = settings.past, settings.age_s, settings.deadline_s
        self._disk = settings.disk
        self._closing = self._late = False
        """Whether it takes no more calls, and whether that is for its deadline."""

    def port(self, pid: int) -> ProcessPort:
        """The way in for process `pid`: who calls is fixed here, never by the call."""
        return RunPort(self, pid)

    async def submit(
        self, call: Syscall[R], emit: Callable[[str], None] = discard, *, pid: int = USER, n: int | None = None
    ) -> R:
        """Run a syscall for `pid`, its `n`-th if it counts for itself: its reply, or the AiosError that it ended with.

        Cancelling the caller cancels the syscall: its slot is free and its snapshot dropped when this returns.
        """
        n = self.processes.count_call(pid, n)
        log = self.processes.replay_log(pid)
        try:
            await anyio.lowlevel.checkpoint()
            process = self._open(pid)
            if full := self._full(process):
                raise Overloaded(full)
        except BaseException as error:
            if log is not None:
                log.refused(n, error if isinstance(error, AiosError) else Cancelled("cancelled before it was a call"))
            raise
        accepted = AcceptedCall(
            number=self._kernel.new_number(),
            call_id=CallId(pid, n),
            call=self._prepare(call),
            emit=emit,
            program=process.program,
            tenant=process.tenant,
            account=FREE if call.family() == "process" else process.account,
            begin=self._begin(call),
        )
        self._count(process, 1)
        try:
            return cast(R, await self._run(accepted, begun=log.begun(n) if log else None))
        finally:
            self._count(process, -1)

    def next_call(self, pid: int) -> str:
        """What `ChatReply.call` will be of a call that process `pid` submits before anything is awaited."""
        return str(CallId(pid, self.processes.alive(pid).submitted + 1))

    def refusal(self, pid: int) -> AiosError | None:
        """What a call of process `pid` would be refused with now, as far as that is known without it."""
        try:
            process = self._open(pid)
            process.account.check()
        except AiosError as error:
            return error
        full = self._full(process)
        return Overloaded(full, retry_after_s=1) if full else None

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._began = anyio.current_time() - self._age_s
        if self._past is None:
            self._report(Kind.RUN, USER, self._facts)
        else:
            self.processes.restore(self._past)
            who = {key: self._facts[key] for key in ("os_pid", "began") if key in self._facts}
            self._report(Kind.RESUMED, USER, {"processes": [process.pid for process in self._past.open], **who})
        try:
            async with background_tasks() as tasks:
                self.processes.start(tasks)
                if self._past is not None:
                    self._begin_again()
                if self._deadline_s is not None:
                    tasks.start_soon(self._end_at_deadline, self._deadline_s)
                try:
                    yield self
                finally:
                    self._closing = True
                    with anyio.CancelScope(shield=True):
                        await self.processes.stop(Cancelled(STOPS))
        finally:
            self._report(Kind.CLOSED, USER, {})

    async def _end_at_deadline(self, deadline_s: float) -> None:
        await anyio.sleep_until(self._began + deadline_s)
        self._closing = self._late = True
        await self.processes.stop(Expired(f"the run did not end within its deadline of {deadline_s:g} s"))

    def _begin_again(self) -> None:
        """The programs of a resumed run go on, and policies hear of them."""
        for process in self.processes:
            if process.state.alive:
                for lane in self.lanes.values():
                    lane.began(process.pid, process.program, process.tenant)
        self.processes.go_on()

    def _durable_process(self, process: PastProcess | int) -> DurableProcess:
        pid, script = (process, None) if isinstance(process, int) else (process.pid, process.script)
        return DurableProcess(pid, self, self._report, self._prepare, script)

    async def _run_graph(self, call: RunGraph, id: CallId) -> Reply:
        """Run a graph within its own call, whose place its first node under way takes."""
        process = self.processes.alive(id.pid)
        depths, graph_id = call.depths(), self._kernel.new_number()
        log = process.replay_log

        async def submit(node: str, call: Syscall[Any]) -> Reply:
            await anyio.lowlevel.checkpoint()
            if log is not None and (known := log.node(id.n, node)) is not None:
                return cast(Reply, reply_from_object(call, dict(known)))
            process, own, depth = self._open(id.pid), id._replace(node=node), depths[node]
            accepted = AcceptedCall(
                number=self._kernel.new_number(),
                call_id=own,
                call=self._prepare(call),
                emit=discard,
                program=process.program,
                tenant=process.tenant,
                account=process.account,
                begin=self._begin(call),
                graph_id=graph_id,
                critical_path_depth=depth,
            )
            return await self._run(accepted, {"depth": depth}, log.begun(id.n, node) if log else None)

        def place() -> bool:
            if self._full(process, GRAPHS_SHARE):
                return False
            self._count(process, 1)
            return True

        graph = RunningGraph(call, depths, submit, place, lambda: self._count(process, -1))
        process.graphs.append(graph)
        try:
            return await graph.run()
        finally:
            process.graphs.remove(graph)

    def _open(self, pid: int) -> Process:
        """The process, if it may make calls now."""
        process = self.processes.alive(pid)
        if self._closing or self._kernel.closing:
            why = "the run's deadline has passed" if self._late else STOPS
            raise Cancelled(f"{why}; it takes no more syscalls")
        return process

    def _full(self, process: Process, share: float = 1.0) -> str:
        """Why a process, with a share of its limit, may not have one call more under way; empty if it may."""
        if full := self._kernel.full():
            return full
        if process.calls >= share * self._limits.calls_per_process and process.pid != USER:
            return f"process {process.pid} has {process.calls} syscalls under way, its limit; await some"
        return ""

    def _count(self, process: Process, calls: int) -> None:
        """So many calls more are under way, or fewer: then nodes that wait may have their places."""
        self._kernel.count(calls)
        process.calls += calls
        if calls < 0:
            for graph in process.graphs:
                graph.advance()

    def _begin(self, call: Syscall[Any]) -> Callable[[], Awaitable[None]] | None:
        """What a call waits for before it may take effect."""
        waits = self._disk == "all" or (self._disk == "effects" and call.effect is not Effect.PURE)
        return self._kernel.journal.sync if waits else None

    def _run(
        self, accepted: AcceptedCall, told: Mapping[str, Any] | None = None, begun: AskedCall | None = None
    ) -> Coroutine[Any, Any, Reply]:
        """Run an accepted request to its one end, as the disk has it where the call is to wait for that."""
        run = self._run_to_end if accepted.begin is None else self._run_on_disk
        return run(accepted, told, begun)

    async def _run_on_disk(
        self, accepted: AcceptedCall, told: Mapping[str, Any] | None, begun: AskedCall | None
    ) -> Reply:
        """Answer a call once its end is on the disk.

        What has happened cannot be taken back: on a full disk the answer waits for room, or until it is cancelled.
        """
        try:
            reply = await self._run_to_end(accepted, told, begun)
        except AiosError as error:
            if self._kernel.journal.failure is None:
                await self._flush(accepted, error)
            raise
        await self._flush(accepted)
        return reply

    async def _flush(self, accepted: AcceptedCall, error: AiosError | None = None) -> None:
        try:
            await self._kernel.journal.flush()
        except StorageFailed as failed:
            ended = f"failed ({error.message})" if error else "was done"
            raise StorageFailed(
                f"{accepted.call.name} {ended}, but that is not on record: {failed.message}"
            ) from failed

    async def _room(self, call: Syscall[Any]) -> None:
        """Wait until the journal can take more. Raises StorageFailed for a call with an effect that cannot be kept.

        Others go on: they change nothing, so that nobody is misled by their missing on record.
        """
        try:
            await self._kernel.journal.room()
        except StorageFailed:
            if call.effect is not Effect.PURE:
                raise

    async def _run_to_end(
        self, accepted: AcceptedCall, told: Mapping[str, Any] | None, begun: AskedCall | None
    ) -> Reply:
        """Run an accepted request, and report the one way in which it ends; `told` goes with its acceptance.

        `begun` is what is on record of it where an earlier life of its process had made it.
        """
        call, rest = accepted.call, None
        if begun is not None:
            told = {**(told or {}), "again": True}
            if begun.text and accepted.emit is not discard:
                rest = RestOfStream(accepted.emit, begun.text)
                accepted = accepted._replace(emit=rest)
        deadline = call.deadline_s
        if deadline is None and call.family() != "process":
            deadline = self._limits.deadline_s
        self._report_call(Kind.ACCEPTED, accepted, {"name": call.name, "call": call, **(told or {})})
        passage = Passage(accepted, self.lanes, self._report_call)
        try:
            with anyio.move_on_after(deadline) as scope:
                await self._room(call)
                if begun is None:
                    accepted.account.admit()
                settled = await self._settled(accepted) if begun is not None and begun.started else None
                reply = settled or await self._kernel.route(passage)
                if rest is not None:
                    rest.check()
            if scope.cancelled_caught:
                raise Expired(f"{call.name} did not end within its deadline of {deadline:g} s")
        except AiosError as error:
            kind = Kind.EXPIRED if isinstance(error, Expired) else Kind.FAILED
            self._report_call(kind, accepted, {"error": error.to_wire(), **passage.rest()})
            raise
        except Exception as error:
            failure = _unforeseen(call, error)
            self._report_call(Kind.FAILED, accepted, {"error": failure.to_wire(), **passage.rest()})
            raise failure from error
        except BaseException:
            self._report_call(Kind.CANCELLED, accepted, passage.rest())
            raise
        self._report_call(Kind.DONE, accepted, {**reply.summary(), "reply": reply, **passage.bill()})
        return reply

    async def _settled(self, accepted: AcceptedCall) -> Reply | None:
        """The reply of a call that had begun when its kernel died, if it is found to have taken effect."""
        lane = self.lanes.get(accepted.call.family())
        return await lane.settle(accepted) if lane is not None and accepted.call.settles else None

    def _tell_lanes(self, event: Event) -> None:
        """Policies about whole programs hear when one begins and ends."""
        if event.kind is Kind.SPAWNED:
            process = self.processes.alive(event.pid)
            for lane in self.lanes.values():
                lane.began(process.pid, process.program, process.tenant)
        elif event.kind is Kind.EXITED:
            for lane in self.lanes.values():
                lane.ended(event.pid)

    def _report_call(self, kind: Kind, accepted: AcceptedCall, data: Mapping[str, Any]) -> None:
        id = accepted.call_id
        if (log := self.processes.replay_log(id.pid)) is not None:
            data = {**data, **log.take()}
        self._report(kind, id.pid, data, id.n, id.node)

    def _report(self, kind: Kind, pid: int, data: Mapping[str, Any], n: int = 0, node: str = "") -> None:
        at = round(anyio.current_time() - self._began, 6)
        event = Event(at, kind, pid, n, data, node, self.id)
        for observe in self._own_observers:
            observe(event)
        for observe in [*self._observers]:
            try:
                observe(event)
            except Exception:  # whatever it is: who looks on is no part of what happens
                self._observers.remove(observe)
                log.exception("an observer of run %s raised at %s, and is told nothing more", self.id, event.kind)


class RunPort:
    """A process's way in from the kernel's own event loop."""

    def __init__(self, run: Run, pid: int) -> None:
        self._run = run
        self._pid = pid

    @property
    def replay_log(self) -> DurableProcess | None:
        return self._run.processes.replay_log(self._pid)

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        return await self._run.submit(call, emit, pid=self._pid)


def _unforeseen(call: Syscall[Any], error: Exception) -> AiosError:
    """What to say of an error that is none of ours: of the call, where that is nothing to be sent, or else a bug."""
    try:
        call_to_json(call)
    except BadRequest as refused:
        return refused
    return KernelBug(f"{call.name} met {type(error).__name__}: {error}; please report this")
