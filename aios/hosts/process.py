"""Agents as operating-system processes: a program that hangs, crashes or lies harms only itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic_core import from_json, to_json

from aios.frames import Frames
from aios.hosts import program as programs
from aios.hosts.session import Session
from aios.python import module_command, without_relative
from aios_syscalls import AgentFailed
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.port import Port

# An agent needs no key, token or home of the user's.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


class ProcessHost:
    """Runs each agent in a process forked by a zygote, over a socket that is its identity and its only channel.

    What agents print goes to `<logs>/<pid>.log`.
    """

    def __init__(self, logs: Path, directories: Sequence[Path] = ()) -> None:
        self._logs = logs
        self._directories = directories or programs.default_directories()
        self._exits: dict[int, anyio.Event] = {}
        self._status: dict[int, int] = {}

    def find(self, program: str) -> str:
        return programs.name(program, self._directories)

    async def run(self, program: str, task: str, port: Port, pid: int) -> str:
        path = programs.find(program, self._directories)
        ours, theirs = socket.socketpair()
        # Not whole: an agent that does not read what it is sent must not outlive its cancellation.
        async with Frames.over(ours, MAX_CALL_BYTES + 1024, whole=False) as frames:
            child = await self._start(theirs, self._logs / f"{pid}.log")
            try:
                await frames.send({"program": str(path), "task": task, "pid": pid})
                return await Session(frames, port, self._exits[child]).serve()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                raise AgentFailed(await self._obituary(program, child, pid)) from None
            finally:
                with anyio.CancelScope(shield=True):
                    await self._end(child)

    async def __aenter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = without_relative(environment.get("PYTHONPATH", ""))
        command = module_command("aios.hosts.zygote", str(theirs.fileno()))
        self._zygote = await anyio.to_thread.run_sync(
            # A session of its own: Ctrl-C in the terminal is for the kernel, which then ends its agents in order.
            lambda: subprocess.Popen(
                command, pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL, start_new_session=True
            )
        )
        theirs.close()
        self._control = await UNIXSocketStream.from_socket(ours)
        self._starting, self._ordering = anyio.Lock(), anyio.Lock()
        self._started, self._pids = anyio.create_memory_object_stream[int](1)
        self._tasks: TaskGroup = anyio.create_task_group()
        await self._tasks.__aenter__()
        # Shielded: whoever cancels the kernel still needs to hear that its agents have ended.
        self._listening = anyio.CancelScope(shield=True)
        self._tasks.start_soon(self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.cancel()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self._control)
                self._pids.close()
                await anyio.to_thread.run_sync(self._zygote.wait)

    async def _start(self, channel: socket.socket, log: Path) -> int:
        with channel, anyio.CancelScope(shield=True):
            async with self._starting:
                try:
                    async with self._ordering:
                        await self._control.send_fds(to_json({"start": str(log)}) + b"\n", [channel.fileno()])
                    child = await self._pids.receive()
                except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
                    raise AgentFailed("the process that starts agents has died; restart the kernel") from None
        return child

    async def _listen(self) -> None:
        buffer = BufferedByteReceiveStream(self._control)
        try:
            with (
                self._listening,
                self._started,
                suppress(anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError),
            ):
                while True:
                    fact = from_json(await buffer.receive_until(b"\n", 4096))
                    if "started" in fact:
                        self._exits[fact["started"]] = anyio.Event()
                        self._started.send_nowait(fact["started"])
                    else:
                        self._status[fact["exited"]] = fact["status"]
                        self._exits[fact["exited"]].set()
        finally:
            for event in self._exits.values():
                event.set()

    async def _end(self, child: int) -> None:
        """Make sure that a child is gone; at once if it is."""
        if not self._exits[child].is_set():
            # When the zygote has died, `_listen` tells everybody, and its children die with it.
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                async with self._ordering:
                    await self._control.send(to_json({"kill": child}) + b"\n")
            await self._exits[child].wait()
        del self._exits[child]
        self._status.pop(child, None)

    async def _obituary(self, program: str, child: int, pid: int) -> str:
        with anyio.move_on_after(5):
            await self._exits[child].wait()
        status = self._status.get(child)
        if status is None:
            how = "closed its channel to the kernel"
        elif status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
        else:
            how = f"left with status {status}"
        return f"{program} {how} before it had a result; what it printed is in {self._logs / f'{pid}.log'}"
