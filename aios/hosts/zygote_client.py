"""The kernel's side of a zygote: one life of that process, and of each agent that it starts."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
from anyio.abc import UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic_core import from_json

from aios.frames import encode
from aios.hosts import tree
from aios.python import module_command, without_relative
from aios.wall import Wall
from aios_syscalls import Overloaded

# An agent needs no key, token or home of the user's.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
START_S = 30.0
"""For which a zygote may be silent when it was told to start or to end a process: then it is taken for dead."""


class ZygoteDied(Exception):
    """The zygote has died, or does not answer; another one is needed."""


@dataclass(eq=False)
class Child:
    """An agent's process; `pid` is the operating system's."""

    pid: int
    exited: anyio.Event = field(default_factory=anyio.Event)
    """Set when the process has ended."""
    gone: anyio.Event = field(default_factory=anyio.Event)
    """Set when all that it had started has ended as well, and its log is whole."""
    status: int | None = None
    """What it left with, negative for a signal; None while it lives, and when it is not known."""


class ZygoteClient:
    """Starts and ends agents through a zygote, until that dies. `listen` must run meanwhile."""

    def __init__(self, process: subprocess.Popen[bytes], control: UNIXSocketStream) -> None:
        self._process, self._control = process, control
        self._children: dict[int, Child] = {}
        self._starting, self._ordering = anyio.Lock(), anyio.Lock()
        self._started: MemoryObjectSendStream[Child | str]
        self._answers: MemoryObjectReceiveStream[Child | str]
        self._started, self._answers = anyio.create_memory_object_stream[Child | str](math.inf)
        self._hearing = anyio.CancelScope(shield=True)
        self.buried = anyio.Event()
        """Set when it has ended, and whatever it had started."""

    @classmethod
    async def spawn(cls, scratch: Path, *, apart: bool = False, hash_seed: int | None = None) -> Self:
        """A new zygote, which removes the directory `scratch` if the kernel is gone before it.

        Its agents are in namespaces of their own if they are to be `apart`; all have this `hash_seed`.
        """
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = without_relative(environment.get("PYTHONPATH", ""))
        if hash_seed is not None:
            environment["PYTHONHASHSEED"] = str(hash_seed)
        command = module_command("aios.hosts.zygote", str(theirs.fileno()), str(scratch), *["--apart"] * apart)
        with theirs:
            process = await anyio.to_thread.run_sync(
                # A session of its own: Ctrl-C in the terminal is for the kernel, which then ends its agents in order.
                lambda: subprocess.Popen(
                    command,
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        return cls(process, await UNIXSocketStream.from_socket(ours))

    async def start(self, channel: socket.socket, log: Path, wall: Wall) -> Child:
        """A new agent at the other end of `channel`, behind this wall.

        Raises ZygoteDied, and Overloaded where the system refuses.
        """
        async with self._starting:
            answer = await self._ask({"start": str(log), "wall": asdict(wall)}, channel)
        if isinstance(answer, str):
            raise Overloaded(f"the system starts no more processes ({answer}); wait until some have ended")
        return answer

    async def end(self, child: Child, after: float, grace: float) -> None:
        """Wait until a child is gone, with all that it has started.

        It may take `after` seconds to end by itself; then it is cancelled, and `grace` seconds later killed.
        """
        with anyio.move_on_after(after + grace + START_S):
            if not child.exited.is_set():
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # `listen` finds out
                    await self._order({"end": child.pid, "after": after, "grace": grace})
            await child.gone.wait()
        if not child.gone.is_set():
            self.kill()
            await child.gone.wait()

    async def listen(self) -> None:
        """Take the zygote's news until it has died, or is stopped; then end whatever it had started.

        Shielded: whoever is cancelled still needs to hear that its agents have ended.
        """
        with self._hearing, suppress(anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            news = BufferedByteReceiveStream(self._control)
            while True:
                self._learn(from_json(await news.receive_until(b"\n", 4096)))
        with anyio.CancelScope(shield=True):
            await self._bury()

    def stop(self) -> None:
        """Have it end, once nobody needs it: `listen` returns when it has."""
        self._hearing.cancel()

    def kill(self) -> None:
        """End the zygote at once, and so its agents."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def how_it_died(self) -> str:
        """As in "was ended by SIGKILL"."""
        return how_it_ended(self._process.returncode)

    async def _ask(self, order: dict[str, Any], channel: socket.socket) -> Child | str:
        try:
            with anyio.fail_after(START_S):
                await self._order(order, channel)
                return await self._answers.receive()
        except TimeoutError:
            self.kill()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            pass
        raise ZygoteDied

    async def _order(self, order: dict[str, Any], channel: socket.socket | None = None) -> None:
        line = encode(order)
        async with self._ordering:
            await (self._control.send_fds(line, [channel.fileno()]) if channel else self._control.send(line))

    def _learn(self, fact: dict[str, Any]) -> None:
        match fact:
            case {"started": int(pid)}:
                self._children[pid] = child = Child(pid)
                self._started.send_nowait(child)
            case {"failed": str(why)}:
                self._started.send_nowait(why)
            case {"exited": int(pid), "status": int(status)}:
                self._children[pid].status = status
                self._children[pid].exited.set()
            case {"gone": int(pid)}:
                self._children.pop(pid).gone.set()

    async def _bury(self) -> None:
        """Its agents die with it; what they had started is found by their sessions."""
        self._started.close()
        self._answers.close()
        await anyio.aclose_forcefully(self._control)
        await anyio.to_thread.run_sync(self._process.wait)
        if self._children:
            await anyio.to_thread.run_sync(_kill_sessions, frozenset(self._children))
        for child in self._children.values():
            child.exited.set()
            child.gone.set()
        self._children.clear()
        self.buried.set()


def _kill_sessions(sessions: frozenset[int]) -> None:
    """End every process of these sessions; an agent has one of its own, of its number."""
    for _ in range(10):
        found = tree.in_sessions(sessions)
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def how_it_ended(status: int | None) -> str:
    """A process's status in words: "was ended by SIGKILL", "left with status 3"."""
    if status is None:
        return "ended, and its status is not known"
    if status >= 0:
        return f"left with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"was ended by signal {-status}"
