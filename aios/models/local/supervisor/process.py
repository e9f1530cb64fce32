"""One life of the worker process, as its client sees it."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import anyio
import psutil
from anyio.abc import Process
from pydantic_core import to_json

from aios.frames import Frames
from aios.python import child_path, module_command, without_relative

MODULE = "aios.models.local.engine.worker"
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "AIOS_HOME", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
"""Environment variables that the worker may see."""
THREADS = {"GOMP_SPINCOUNT": "2000", "OPENBLAS_NUM_THREADS": "1"}
"""How the worker's threads share the machine.

A step has a thousand barriers. With libgomp's default a thread that waits at one looks 300,000 times before it sleeps,
which keeps its core from others that need it: beside a busy process each step then takes tens of times as long. A
thread that sleeps at once makes a second core worth nothing. This often, some 100 us, is nearly as fast as the first on
free cores and as the second on busy ones (docs/measured.md). Numpy's own threads have nothing to do here.
"""
TAIL_BYTES = 2000
"""How much of what it wrote last to stderr is kept: there llama.cpp says why it aborts."""
GRACE_S = 5.0


class WorkerProcess:
    """A running worker. Sending never waits; what cannot be sent any more is dropped, for then it is dead."""

    def __init__(self, process: Process, frames: Frames) -> None:
        self.heard = anyio.current_time()
        """When it last got on with its work, or was given some after it had none."""
        self._process, self._frames = process, frames
        self._reason: str | None = None
        self._outbox, self._pending = anyio.create_memory_object_stream[bytes](math.inf)
        self._stderr = b""

    @classmethod
    @asynccontextmanager
    async def spawn(cls, path: Path) -> AsyncIterator[Self]:
        """A new worker, which is killed at the end; the path of its model is there for `resident_bytes`, and for ps."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = module_command(MODULE, str(theirs.fileno()), _absolute(path))
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=worker_environment(),
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )
        try:
            async with Frames.over(ours) as frames, anyio.create_task_group() as tasks:
                worker = cls(process, frames)
                tasks.start_soon(worker._write)
                tasks.start_soon(worker._read_stderr)
                with worker._outbox, worker._pending:
                    yield worker
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                with suppress(ProcessLookupError):
                    process.kill()
                await process.aclose()

    def send(self, frame: dict[str, Any]) -> None:
        """Queue a command."""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._outbox.send_nowait(to_json(frame))

    async def receive(self) -> dict[str, Any]:
        """The next thing that it says. Raises anyio.EndOfStream when it is dead."""
        frame: dict[str, Any] = await self._frames.receive()
        self.heard = anyio.current_time()
        return frame

    def kill(self, reason: str) -> None:
        """End it at once; `reason` is how it died, as in "was ended after 60 s without progress"."""
        self._reason = self._reason or reason
        with suppress(ProcessLookupError):
            self._process.kill()

    def rss_bytes(self) -> int:
        """The memory that it takes; 0 when it is dead."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    @property
    def pid(self) -> int:
        return self._process.pid

    async def exit_reason(self) -> str:
        """How a worker died that said its last word: "was killed by SIGKILL"."""
        with anyio.move_on_after(GRACE_S):
            await self._process.wait()
        if self._reason is not None:
            return self._reason
        code = self._process.returncode
        if code is None:
            return "closed its socket but lives on"
        died = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
        lines = self._stderr.decode("utf-8", "replace").strip().splitlines()
        return f"{died} ({lines[-1].strip()})" if lines and code != -signal.SIGKILL else died

    async def _write(self) -> None:
        # When it is dead, the reader finds out and says so.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for frame in self._pending:
                await self._frames.send(frame)

    async def _read_stderr(self) -> None:
        assert self._process.stderr
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for data in self._process.stderr:
                self._stderr = (self._stderr + data)[-TAIL_BYTES:]


def resident_bytes(path: Path) -> int:
    """The memory that workers of this user take now which serve a file, of whichever kernel."""
    total, name = 0, _absolute(path)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cmdline()[-1:] == [name] and MODULE in process.cmdline():
                total += process.memory_info().rss
    return total


def _absolute(path: Path) -> str:
    return os.path.abspath(path)


def worker_environment() -> dict[str, str]:
    kept = {name: value for name in INHERITED if (value := os.environ.get(name)) is not None}
    if libraries := kept.get("LD_LIBRARY_PATH"):
        kept["LD_LIBRARY_PATH"] = without_relative(libraries)
    return {**kept, **THREADS, "PYTHONPATH": child_path()}
