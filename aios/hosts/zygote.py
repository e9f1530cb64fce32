"""The zygote: a small process with the SDK loaded, which forks agents in milliseconds.

The kernel never forks itself: it has threads, an event loop and secrets that an agent must not inherit. Orders come
over the zygote's one socket, facts go back, both as JSON lines:

    {"start": log, "wall": ...}, with an agent's channel as a file
    descriptor; the wall is that of `wall.Wall`                    ->  {"started": pid}, or {"failed": why}
    {"end": pid, "after": s, "grace": s}                              see `Ending`
                                                                   <-  {"exited": pid, "status": code}: it has ended
                                                                   <-  {"gone": pid}: so has all that it had started

A negative status is a signal. When the socket closes, the kernel is gone, and everything here ends.

*Nothing that an agent starts outlives it.* An agent is the reaper of its own orphans, and the zygote of the agent's. So
any child of the zygote that is no living agent was started by one that has ended, and is killed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import anyio
import anyio.lowlevel

from aios.dumpable import libc
from aios.frames import send_blocking
from aios.hosts import child, farewell, tree
from aios.hosts.output import AgentLog
from aios.wall import Level, Wall, enclose, enter_namespaces, note_refusals, put_up, remove_scratch, search_path

AGAIN_S = 0.25
"""After which an agent that was asked to end is interrupted where it stands."""
LINGER_S = 2.0
"""For which the end of what an agent had started is waited for: a process in the system's own hands may not end."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
APART = "--apart"
"""Said to a zygote whose agents are to have namespaces of their own."""
SWEEPS = 50
"""Looks for what was started meanwhile, one right after the other: processes that fork on as they are killed."""


@dataclass
class AgentChild:
    """A process that the zygote has started, until it and all that it had started have ended."""

    pid: int
    log: AgentLog
    exited: float | None = None
    """When it was seen to have ended."""
    signals: list[tuple[float, int]] = field(default_factory=list)
    """Those to come, and when."""
    late: str = ""
    """What to put in the log with the first of them."""


class Zygote:
    """Forks, ends and reaps agents as the kernel says, and keeps what they print. One thread, no event loop."""

    def __init__(self, control: socket.socket, scratch: Path | None = None, *, apart: bool = False) -> None:
        """`scratch` is removed if the kernel is gone first; `apart` puts all agents into namespaces of their own."""
        self._control = control
        self._scratch = scratch
        self._apart = apart
        self._pid = os.getpid()
        self._agents: dict[int, AgentChild] = {}
        self._buffer = b""
        self._fds: list[int] = []
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def serve(self) -> None:
        """Work until the kernel hangs up; then end the agents that are left."""
        self._prepare()
        self._reaper, self._wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        self._selector = selectors.DefaultSelector()
        self._watch(self._control, self._obey)
        self._watch(self._reaper, self._reap)
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                self._signal()
                self._sweep()
        self._end_all()

    def _prepare(self) -> None:
        if self._apart:
            enter_namespaces()  # first: it takes files of /proc that are closed afterwards
        enclose()
        if sys.platform == "linux":
            libc().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # An agent takes two descriptors here.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._limits[1], self._limits[1]))
        # What is here now stays: the collector of a child neither looks at it nor so copies its pages.
        gc.collect()
        gc.disable()
        gc.freeze()

    def _watch(self, file: Any, act: Callable[[], object]) -> None:
        self._selector.register(file, selectors.EVENT_READ, act)

    # -- orders

    def _obey(self) -> None:
        for order in self._orders():
            if "start" in order:
                self._start(Path(order["start"]), Wall.of(order["wall"]))
            elif agent := self._agents.get(order["end"]):
                self._plan_end(agent, order["after"], order["grace"])

    def _orders(self) -> Iterator[dict[str, Any]]:
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        data, fds, flags, _ = socket.recv_fds(self._control, 65536, 16, flags)
        if not data or flags & socket.MSG_CTRUNC:  # a channel that was lost would give the next one to the wrong agent
            raise EOFError
        self._fds += fds
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        yield from map(json.loads, lines)

    def _start(self, path: Path, wall: Wall) -> None:
        channel = self._fds.pop(0)
        search_path(wall.closed)  # here, once for all
        try:
            log = AgentLog(path)
            pid = os.fork()
        except OSError as error:
            os.close(channel)
            self._tell({"failed": str(error)})
            return
        if pid == 0:
            self._become_agent(channel, log, wall)
        os.close(channel)
        os.close(log.writing)
        self._agents[pid] = AgentChild(pid, log)
        self._watch(log.reading, lambda: log.take() or self._selector.unregister(log.reading))
        self._tell({"started": pid})

    def _plan_end(self, agent: AgentChild, after: float, grace: float) -> None:
        """Let it be for a time, then ask it to end, then interrupt it, then kill it."""
        begin = time.monotonic() + after
        agent.signals = [(begin + grace, signal.SIGKILL)]
        if grace > AGAIN_S:
            agent.signals = [(begin, signal.SIGTERM), (begin + AGAIN_S, signal.SIGTERM), *agent.signals]
        agent.late = f"ended: it went on for {after:g} s after its result" if after else ""

    # -- ends

    def _patience(self) -> float | None:
        """For how long nothing is due."""
        if any(agent.exited is not None for agent in self._agents.values()):
            return 0.01  # what it had started is ending
        due = [agent.signals[0][0] for agent in self._agents.values() if agent.signals]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _signal(self) -> None:
        now = time.monotonic()
        for agent in self._agents.values():
            while agent.exited is None and agent.signals and agent.signals[0][0] <= now:
                if agent.late:
                    agent.log.note(agent.late)
                    agent.late = ""
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(agent.pid, agent.signals.pop(0)[1])
                    os.kill(agent.pid, signal.SIGCONT)  # one that is stopped would not notice

    def _reap(self) -> None:
        self._reaper.recv(4096)
        while (pid := self._ended()) is not None:
            if agent := self._agents.get(pid):
                # While it is a zombie, its number can be nobody else's.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if agent:
                agent.exited, agent.signals = time.monotonic(), []
                self._tell({"exited": pid, "status": os.waitstatus_to_exitcode(status)})

    def _ended(self) -> int | None:
        """A child that has ended, if there is one."""
        with suppress(ChildProcessError):
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return found.si_pid if found else None
        return None

    def _sweep(self) -> None:
        """Kill what ended agents had started; where nothing is left, let them go."""
        ended = [agent for agent in self._agents.values() if agent.exited is not None]
        if not ended:
            return
        left = self._kill_strangers()
        for agent in ended:
            if not left or time.monotonic() - (agent.exited or 0) > LINGER_S:
                self._let_go(agent)

    def _kill_strangers(self) -> bool:
        """Whether there are children that are no living agents, after they were killed."""
        for _ in range(SWEEPS):
            strangers = [pid for pid in tree.children() if pid not in self._agents]
            for pid in strangers:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            while (ended := self._ended()) is not None and ended not in self._agents:
                os.waitpid(ended, 0)
            if not strangers:
                return False
        return True

    def _let_go(self, agent: AgentChild) -> None:
        agent.log.drain()
        with suppress(KeyError):  # at its end already
            self._selector.unregister(agent.log.reading)
        agent.log.close()
        del self._agents[agent.pid]
        self._tell({"gone": agent.pid})

    def _end_all(self) -> None:
        """The kernel is gone: nobody hears of it."""
        until = time.monotonic() + LINGER_S
        logs = [agent.log for agent in self._agents.values()]
        self._agents.clear()
        while self._kill_strangers() and time.monotonic() < until:
            time.sleep(0.01)
        for log in logs:
            log.drain()
        if self._scratch is not None:
            remove_scratch(self._scratch)

    def _tell(self, fact: dict[str, Any]) -> None:
        send_blocking(self._control, fact)

    # -- in the child

    def _become_agent(self, channel: int, log: AgentLog, wall: Wall) -> NoReturn:
        code, shared = 1, len(sys.modules)
        try:
            self._cut_off(channel, log)
            code = child.main(channel, self._wall_in(wall))
        except BaseException:
            traceback.print_exc()
        finally:
            # Never back into the zygote's own frames, whatever happened.
            farewell.leave(code, shared)

    def _wall_in(self, wall: Wall) -> Level:
        """Put the wall up, or watch in its place; the level that there is."""
        if wall.notes:
            note_refusals(wall)
            return "off"
        put_up(wall)
        return wall.level

    def _cut_off(self, channel: int, log: AgentLog) -> None:
        """Keep nothing of the zygote's: no descriptor, no handler, no session."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._heed_signals()
        for each in (self._control, self._reaper, self._wakeup, self._selector):
            each.close()
        os.dup2(log.writing, 1)
        os.dup2(log.writing, 2)
        most = max(channel, *map(int, os.listdir("/proc/self/fd"))) if os.path.isdir("/proc/self/fd") else 65_536
        os.closerange(3, channel)
        os.closerange(channel + 1, most + 1)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        os.setsid()
        self._tie()
        gc.enable()
        # By line, so that a killed agent's output is there too.
        sys.stdout = os.fdopen(1, "w", buffering=1, errors="backslashreplace", closefd=False)

    def _heed_signals(self) -> None:
        """Ignore what Python itself does and nothing else: a shell lets its background ignore some signals."""
        for each in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
            if signal.getsignal(each) is signal.SIG_IGN:
                signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)

    def _tie(self) -> None:
        """Die with the zygote, and take in whatever is left by what this process starts."""
        if sys.platform == "linux":
            prctl = libc().prctl
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if os.getppid() != self._pid:
            os._exit(1)


if __name__ == "__main__":
    # Loads the event loop's modules once, here, instead of in every agent.
    anyio.run(anyio.lowlevel.checkpoint)
    with contextlib.suppress(KeyboardInterrupt):
        control, *rest = sys.argv[1:]
        places = [Path(each) for each in rest if each != APART]
        Zygote(socket.socket(fileno=int(control)), *places, apart=APART in rest).serve()
