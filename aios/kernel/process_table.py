"""The process table, and the core of the process family: the only one that the kernel brings itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol, assert_never, cast

import anyio
from anyio.abc import TaskGroup

from aios.kernel.account import Account, tighter
from aios.kernel.core import Turn
from aios.kernel.durable import DurableProcess
from aios.kernel.mailbox import Mailbox, MailLimits
from aios.kernel.process import USER, Process, text_bytes
from aios.record import Kind, Past, PastProcess, Spent
from aios_syscalls import (
    AgentFailed,
    AiosError,
    BadRequest,
    Budget,
    CallId,
    Cancelled,
    Checkpoint,
    CheckpointReply,
    Denied,
    Expired,
    Kill,
    KillReply,
    ListProcesses,
    ListProcessesReply,
    Note,
    NoteReply,
    NotFound,
    Overloaded,
    ProcessCall,
    ProcessInfo,
    ProcessState,
    Receive,
    ReceiveReply,
    Reply,
    RunGraph,
    Send,
    SendReply,
    Spawn,
    SpawnReply,
    Wait,
    WaitReply,
)
from aios_syscalls.errors import from_wire
from aios_syscalls.port import ProcessPort

MEBIBYTE = 1024 * 1024
TASKS_BYTES = 64 * MEBIBYTE
"""Of the tasks of all living processes together."""
ENDED_BYTES = 64 * MEBIBYTE
"""Of the tasks and results that rows of ended processes keep together."""

STOPS = "the kernel stops"
"""Why processes end that would have gone on: a durable run's go on when it is resumed."""


class Host(Protocol):
    """Runs agent programs: as tasks, as operating-system processes, ..."""

    async def find(self, program: str) -> str:
        """The program's full name. Raises NotFound, which lists what there is."""

    async def run(self, program: str, task: str, port: ProcessPort, pid: int) -> str:
        """Run a program to its result; raises AiosError when it fails, and ends it when cancelled."""


Report = Callable[[Kind, int, Mapping[str, Any]], None]
Graphs = Callable[[RunGraph, CallId], Awaitable[Reply]]
"""Runs a graph, which is the call of this id."""


class Processes:
    """Every process of a run: starts them through the host, ends them, carries their messages."""

    def __init__(
        self,
        host: Host,
        port: Callable[[int], ProcessPort],
        report: Report,
        graphs: Graphs,
        new_pid: Callable[[], Awaitable[int]],
        *,
        limit: int,
        ended: int,
        mail: MailLimits,
        time_limit_s: float,
        budget: Budget,
        budgets: Mapping[str, Budget],
        tenant: str = "",
        replay_log: Callable[[PastProcess | int], DurableProcess] | None = None,
    ) -> None:
        self._tenant = tenant
        self._new_log = replay_log
        self._host = host
        self._port = port
        self._report = report
        self._graphs = graphs
        self._new_pid = new_pid
        self._limit = limit
        self._ended_limit = ended
        self._mail = mail
        self._time_limit_s = time_limit_s
        self._budgets = budgets
        self._rows: dict[int, Process] = {USER: self._row(USER, USER, "user", "", Account(USER, budget))}
        self._ended: dict[int, Process] = {}
        """Those rows whose process has ended, in the order of their ends."""
        self._ended_bytes = 0
        """What those weigh."""
        self._first = self._last = USER

    def __iter__(self) -> Iterator[Process]:
        return (process for pid, process in self._rows.items() if pid != USER)

    def has(self, pid: int) -> bool:
        """Whether the table has, or had, process `pid`; the user is in every table."""
        return pid in self._rows

    def alive(self, pid: int) -> Process:
        """The living process `pid`. Raises NotFound, or Cancelled when it has ended or is being ended."""
        process = self._get(pid)
        if process.killed is not None:
            raise process.killed
        if not process.state.alive:
            raise Cancelled(f"process {pid} has ended ({process.state}); it can make no more syscalls")
        return process

    def count_call(self, pid: int, n: int | None = None) -> int:
        """The number of a call that process `pid` submits now, counted whether or not it is accepted.

        It is `n` where the process counts for itself.
        """
        process = self._rows.get(pid)
        if process is None:
            return 0
        process.submitted = process.submitted + 1 if n is None else max(process.submitted, n)
        return process.submitted if n is None else n

    def replay_log(self, pid: int) -> DurableProcess | None:
        """That of a process of a durable run, while its row is there."""
        process = self._rows.get(pid)
        return process.replay_log if process else None

    async def run(self, turn: Turn) -> Reply:
        """The core of the process family."""
        call = cast(ProcessCall, turn.call)
        match call:
            case Spawn():
                return SpawnReply(pid=(await self._spawn(call, turn.pid, turn.id.n)).pid)
            case Wait():
                if call.pid == turn.pid or call.pid in self._ancestors(self._get(turn.pid)) or call.pid == USER:
                    raise BadRequest(
                        f"process {turn.pid} would wait for itself: {call.pid} cannot end before it", "pid"
                    )
                process = self._seen(call.pid, turn.pid, self._below)
                process.waited = True
                await process.ended.wait()
                return WaitReply(process=process.info())
            case Kill():
                return await self._kill(call.pid, turn.pid)
            case ListProcesses():
                return ListProcessesReply(processes=tuple(self._table(turn.pid)))
            case Send():
                return self._send(call.to, ReceiveReply(sender=turn.pid, body=call.body))
            case Receive():
                return await self._get(turn.pid).mailbox.take()
            case RunGraph():
                return await self._graphs(call, turn.id)
            case Note(value=value):
                return NoteReply(value=value)
            case Checkpoint():
                return self._checkpoint(turn.pid)
            case _:
                assert_never(call)

    async def settle(self, turn: Turn) -> Reply | None:
        """What a call had changed when its kernel died is on record, or else is gone with the kernel: see `restore`."""
        log = self.replay_log(turn.pid)
        pid = log.child(turn.id.n) if log and isinstance(turn.call, Spawn) else None
        return None if pid is None else SpawnReply(pid=pid)

    def start(self, tasks: TaskGroup) -> None:
        """From here on, programs run in `tasks`."""
        self._tasks = tasks

    def restore(self, past: Past) -> None:
        """The table as it was: who has ended, and who goes on, with their messages and what they have used."""
        user = self._rows[USER]
        user.submitted = past.user_calls
        _charge(user.account, past.spent)
        for pid, old in sorted(past.processes.items()):
            parent = self._rows.get(old.parent, user)
            process = self._enter(pid, parent, old.program, old.task, Budget.model_validate(old.budget))
            _charge(process.account, old.spent)
            process.submitted = old.script.last
            if old.state:
                self._restore_end(process, old)
            elif self._new_log is not None:
                process.replay_log = self._new_log(old)
                for sender, body in old.mail:
                    process.mailbox.put(ReceiveReply(sender=sender, body=body))

    def _restore_end(self, process: Process, old: PastProcess) -> None:
        process.state, process.result = ProcessState(old.state), old.result
        process.error = from_wire(old.error) if old.error else None
        process.mailbox.close()
        process.ended.set()
        self._forget(process)

    def go_on(self) -> None:
        """Start the programs of the processes that have not ended."""
        for process in [each for each in self if each.state.alive]:
            self._tasks.start_soon(self._main, process, name=f"process {process.pid} {process.program}")

    async def stop(self, reason: Cancelled | Expired) -> None:
        """End every process and wait until all have ended."""
        await self._end([process for process in self if process.state.alive], reason)
        self._rows[USER].mailbox.close()

    def _row(self, pid: int, parent: int, program: str, task: str, account: Account) -> Process:
        return Process(pid, parent, program, task, Mailbox(pid, self._mail), account)

    def _get(self, pid: int) -> Process:
        process = self._rows.get(pid)
        if process is None and self._first <= pid <= self._last:
            raise NotFound(
                f"process {pid} ended a while ago: the table keeps the last {self._ended_limit} that did; wait for a "
                "process before so many others have ended, raise limits.ended, or read the run's record: aios ps"
            )
        if process is None:
            raise NotFound(f"no process {pid} in this run; `ps` lists them")
        return process

    def _seen(self, pid: int, by: int, view: Callable[[Process, int], bool]) -> Process:
        """The process `pid`, where `by` may know of it. Raises NotFound, in the words for a pid that never was."""
        process = self._get(pid) if by == USER else self._rows.get(pid)
        if process is None or not (by == USER or view(process, by)):
            raise NotFound(
                f"process {by} knows no process {pid}: it did not start it, it never was, or it ended more than "
                f"{self._ended_limit} processes ago; use the pid that spawn returned"
            )
        return process

    @staticmethod
    def _below(process: Process, by: int) -> bool:
        """Whether `by`, or a process under it, has started a process, or is it."""
        return process.pid == by or by in process.lineage

    def _related(self, process: Process, by: int) -> bool:
        """Whether both are under the same process of the user's, or one is the user."""
        return process.pid == USER or process.family == self._get(by).family

    def _table(self, by: int) -> Iterator[ProcessInfo]:
        """What a process may see of the table: all of itself and those below, of those above that they are there."""
        above = set() if by == USER else self._ancestors(self._get(by))
        for process in self:
            if by == USER or self._below(process, by):
                yield process.listed()
            elif process.pid in above:
                yield process.outline()

    def _checkpoint(self, pid: int) -> CheckpointReply:
        process = self._get(pid)
        if process.calls > 1:
            raise BadRequest(
                f"process {pid} has {process.calls - 1} other calls under way, whose answers nobody would wait for "
                "after a resume; await them, then make the checkpoint"
            )
        return CheckpointReply()

    async def _spawn(self, call: Spawn, parent: int, n: int) -> Process:
        program, task = await self._host.find(call.program), call.task
        self._check_spawn(task)
        pid = await self._new_pid()
        self._check_spawn(task)  # others may have been started meanwhile
        budget = tighter(call.budget, self._budgets.get(program, Budget()))
        process = self._enter(pid, self._get(parent), program, task, budget)
        if self._new_log is not None:
            process.replay_log = self._new_log(pid)
        limits = {"budget": budget.model_dump(exclude_none=True)} if budget != Budget() else {}
        facts = {"parent": parent, "n": n, "program": program, "task": task, **limits}
        self._report(Kind.SPAWNED, process.pid, facts)
        self._tasks.start_soon(self._main, process, name=f"process {process.pid} {program}")
        return process

    def _enter(self, pid: int, parent: Process, program: str, task: str, budget: Budget) -> Process:
        """Its new row."""
        process = self._row(pid, parent.pid, program, task, Account(pid, budget, parent.account))
        self._rows[pid] = process
        self._first, self._last = self._first or pid, max(self._last, pid)
        self._relate(process, parent)
        return process

    def _check_spawn(self, task: str) -> None:
        """Raises Overloaded where no program may be started now."""
        living = sum(process.state.alive for process in self)
        if living >= self._limit:
            raise Overloaded(f"{living} processes live, which is the limit; wait for one to end")
        if sum(text_bytes(process.task) for process in self if process.state.alive) + text_bytes(task) > TASKS_BYTES:
            raise Overloaded(
                f"the tasks of living processes take {TASKS_BYTES} bytes together, which is the limit; give the task "
                "as a file's path, or wait for a process to end"
            )

    def _relate(self, process: Process, parent: Process) -> None:
        """Note whose a new process is."""
        if parent.pid == USER:
            process.tenant, process.family = self._tenant or process.program, process.pid
            return
        process.tenant, process.family = parent.tenant, parent.family
        living = (pid for pid in parent.lineage if pid in self._rows and self._rows[pid].state.alive)
        process.lineage = frozenset([parent.pid, *living])

    async def _main(self, process: Process) -> None:
        limit = self._time_limit_s
        process.scope.deadline = anyio.current_time() + limit
        error: AiosError | None = None
        try:
            with process.scope:
                process.result = await self._host.run(
                    process.program, process.task, self._port(process.pid), process.pid
                )
        except AiosError as failure:
            error = failure
        except (anyio.get_cancelled_exc_class(), GeneratorExit, KeyboardInterrupt):
            # Not by `kill`, which ends inside the scope: whoever runs the kernel was cancelled, or interrupted.
            self._exit(process, process.killed or Cancelled(STOPS))
            raise
        except BaseException as failure:  # whatever it is, the process has ended, and others wait for that
            error = AgentFailed(f"{process.program} raised {type(failure).__name__}: {failure}")
        if process.result is None and error is None:
            error = process.killed or AgentFailed(
                f"{process.program} ran longer than its limit of {limit:g} s and was ended; raise agent_time_limit_s"
            )
        self._exit(process, error)

    def _exit(self, process: Process, error: AiosError | None) -> None:
        process.error = error
        if error is None:
            process.state = ProcessState.DONE
        else:
            process.state = ProcessState.KILLED if isinstance(error, Cancelled) else ProcessState.FAILED
            process.result = None
        process.mailbox.close()
        for child in self:
            if child.parent == process.pid and child.state.alive:
                child.parent = USER
        wire = error.to_wire() if error else None
        cut = {"cut": True} if isinstance(error, Cancelled) and error.message == STOPS else {}
        data = {"state": process.state, "result": process.result, "error": wire, **cut}
        self._report(Kind.EXITED, process.pid, data)
        process.ended.set()
        self._forget(process)

    def _forget(self, process: Process) -> None:
        """Keep the row of a process that has ended, and drop one if that makes too many.

        It is the oldest of those that somebody has waited for, or else the oldest; and too much is as bad as too many.
        """
        self._ended[process.pid] = process
        self._ended_bytes += process.weight
        while len(self._ended) > self._ended_limit or (self._ended_bytes > ENDED_BYTES and len(self._ended) > 1):
            gone = next((each for each in self._ended.values() if each.waited), None)
            pid = gone.pid if gone else next(iter(self._ended))
            self._ended_bytes -= self._rows[pid].weight
            del self._ended[pid], self._rows[pid]

    async def _kill(self, pid: int, by: int) -> KillReply:
        process = self._seen(pid, by, self._related)
        if pid == by or by not in self._ancestors(process):
            raise Denied(f"process {by} may not kill {pid}: only an ancestor may; ask its parent {process.parent}")
        doomed = [each for each in self._descendants(process) if each.state.alive]
        await self._end(doomed, Cancelled(f"killed by process {by}"))
        return KillReply(pids=tuple(each.pid for each in doomed))

    async def _end(self, doomed: list[Process], reason: Cancelled | Expired) -> None:
        for process in doomed:
            process.killed = process.killed or reason
            process.scope.cancel()
        for process in doomed:
            await process.ended.wait()

    def _ancestors(self, process: Process) -> set[int]:
        found = set()
        while process.pid != USER:
            found.add(process.parent)
            # An ended process may have had a parent whose row is gone.
            process = self._rows.get(process.parent, self._rows[USER])
        return found

    def _descendants(self, process: Process) -> list[Process]:
        """Children before their parents, the process itself last."""
        children: dict[int, list[Process]] = {}
        for each in self:
            children.setdefault(each.parent, []).append(each)
        found, stack = [], [process]
        while stack:
            found.append(stack.pop())
            stack += children.get(found[-1].pid, [])
        return found[::-1]

    def _send(self, to: int, mail: ReceiveReply) -> SendReply:
        receiver = self._seen(to, mail.sender, self._related)
        if not receiver.state.alive:
            raise NotFound(f"process {to} has ended ({receiver.state}) and reads no more messages")
        receiver.mailbox.put(mail)
        return SendReply()


def _charge(account: Account, spent: Spent) -> None:
    account.restore(spent.tokens, spent.usd, spent.calls, spent.seconds)
