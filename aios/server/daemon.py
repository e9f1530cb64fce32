"""The daemon of a home: one kernel, a Unix socket, and whoever connects. `python -m aios.server.daemon` runs it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any

import anyio
from anyio.abc import TaskGroup
from pydantic import ValidationError

from aios import __version__
from aios.boot import BootedKernel, boot_kernel
from aios.config import Config, load
from aios.dumpable import set_dumpable
from aios.frames import Frames
from aios.hosts.held import HeldBytes
from aios.link.greeting import PROTOCOL, check_greeting
from aios.link.order import RunOrder, differences, kernel_part
from aios.link.peer import Peer, unknown
from aios.link.place import Place
from aios.models.base import Backend
from aios.server.channels import Channels
from aios.server.client_service import serve_client
from aios.server.run_service import RunService
from aios_syscalls import AiosError, BadRequest, Conflict, Denied, Kill, NoKernel, NotFound
from aios_syscalls.invalid import explain

GREETING_S = 10.0
"""For which a connection may be silent before it says what it is here for."""
IDLE_S = 15 * 60.0
"""After which a daemon that a command started ends, when nobody has been connected."""
GRACE_S = 2.0
"""For which what runs may go on when the daemon is told to end."""

log = logging.getLogger("aios.server")


class Daemon:
    """Serves a home until it is told to end, or has been idle for too long. `models` replace the configured ones."""

    def __init__(
        self, config: Config, place: Place, idle_s: float | None = None, models: Sequence[Backend] | None = None
    ) -> None:
        self.config, self.place = config, place
        self._models = models
        self._idle_s = idle_s
        self._began = time.time()
        self._booted: BootedKernel | None = None
        self._ready, self._stop = anyio.Event(), anyio.Event()
        self._failure: AiosError | None = None
        self._loading: dict[str, float] = {}
        self._channels, self._held = Channels(), HeldBytes.of_all()
        self._connections = 0
        self._last_seen = 0.0
        self._draining = False

    async def serve(self, listening: Callable[[], None] = lambda: None) -> None:
        """Serve until the end; `listening` is called once connections are taken. Raises Conflict, StorageFailed."""
        self.place.make()
        with self.place.held(), closing(self.place.listen()) as sock:
            sock.setblocking(False)
            listening()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_on_signal)
                tasks.start_soon(self._end_when_idle)
                tasks.start_soon(self._accept, sock, tasks)
                await self._keep_kernel()
                tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _keep_kernel(self) -> None:
        """The kernel, until the daemon is to stop; then what runs has a moment, and who is connected is sent off."""
        try:
            progress = self._loading.__setitem__
            async with boot_kernel(self.config, models=self._models, progress=progress) as self._booted:
                self._ready.set()
                async with anyio.create_task_group() as self._serving:
                    await self._stop.wait()
                    self._draining = True
                    await self._drain(self._booted)
                    self._serving.cancel_scope.cancel()
        except AiosError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _drain(self, booted: BootedKernel) -> None:
        kernel = booted.kernel
        kernel.closing = True
        with anyio.move_on_after(GRACE_S):
            await kernel.idle()

    async def _stop_on_signal(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self._stop.set()

    async def _end_when_idle(self) -> None:
        if self._idle_s is None:
            return
        self._last_seen = anyio.current_time()
        while True:
            await anyio.sleep(max(0.05, self._last_seen + self._idle_s - anyio.current_time()))
            if not self._connections and anyio.current_time() >= self._last_seen + self._idle_s:
                log.info("nobody has been connected for %g s; the daemon ends", self._idle_s)
                self._stop.set()
                return

    async def _accept(self, sock: socket.socket, tasks: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(sock)
            try:
                connection, _ = sock.accept()
            except OSError as error:  # too many descriptors: those who wait are taken when some are free
                log.warning("a connection cannot be taken: %s", error.strerror)
                await anyio.sleep(0.1)
                continue
            tasks.start_soon(self._connected, connection)

    async def _connected(self, connection: socket.socket) -> None:
        """Serve one connection, whatever it sends."""
        self._connections += 1
        try:
            async with Frames.over(connection) as frames:
                try:
                    await self._greet(frames, connection)
                except AiosError as error:
                    with anyio.move_on_after(1), suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                        await frames.send({"error": error.to_wire()})
                except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                    pass
                except Exception:
                    log.exception("serving a connection failed; please report this")
        finally:
            self._connections -= 1
            self._last_seen = anyio.current_time()

    async def _greet(self, frames: Frames, connection: socket.socket) -> None:
        _check_user(connection)
        frame: Any = None
        with anyio.move_on_after(GREETING_S):
            try:
                frame = await frames.receive()
            except (ValueError, anyio.DelimiterNotFound):
                raise BadRequest("the first frame is not JSON; connect with: aios, or aios.connect()") from None
        if frame is None:
            return
        purpose = check_greeting(frame)
        if self._draining and purpose != "control":
            raise NoKernel("the daemon is ending; start it anew: aios up", retry_after_s=5)
        await self._serve(purpose, frame, frames)

    async def _serve(self, purpose: str, frame: dict[str, Any], frames: Frames) -> None:
        match purpose:
            case "process":
                await self._channels.arrive(str(frame.get("secret")), frames)
            case "control":
                await frames.send({"ok": {"version": __version__, "protocol": PROTOCOL}})
                await Peer(frames, self._control).serve()
            case "run":
                order = self._order(frame)
                await frames.send({"ok": {}})
                await self._within_kernel(RunService(frames, order, self._channels).serve, await self._kernel())
            case "client":
                order, program = self._order(frame), str(frame.get("program") or "client")[:64]
                await frames.send({"ok": {}})
                await self._within_kernel(serve_client, frames, order, program, await self._kernel(), self._held)
            case _:
                raise BadRequest(f"nobody connects for {purpose[:40]!r}; there are run, client, control")

    async def _within_kernel(self, serve: Any, *arguments: Any) -> None:
        """Serve in the task group that ends with the kernel, not before it; an error is this connection's alone."""
        done, failures = anyio.Event(), list[Exception]()

        async def run() -> None:
            try:
                await serve(*arguments)
            except Exception as error:
                failures.append(error)  # raised below, where the connection's own task is
            finally:
                done.set()

        self._serving.start_soon(run)
        await done.wait()
        if failures:
            raise failures[0]

    def _order(self, frame: dict[str, Any]) -> RunOrder:
        try:
            order = RunOrder.model_validate(frame.get("order"))
            order.configuration()
        except ValidationError as error:
            raise explain(error, "the order of a run") from None
        if order.kernel is not None and (names := differences(self.config, order.kernel)):
            raise Conflict(f"the daemon's kernel has another {' and '.join(names)}", names=names)
        return order

    async def _kernel(self) -> BootedKernel:
        """The kernel, once its models are there. Raises what it could not start for."""
        await self._ready.wait()
        if self._booted is None:
            raise self._failure or NoKernel("the daemon is ending; start it anew: aios up")
        return self._booted

    async def _control(self, question: dict[str, Any]) -> Any:
        match question:
            case {"status": True}:
                return self._status()
            case {"kill": int(pid)}:
                return await self._kill(pid)
            case {"stop": True}:
                self._stop.set()
                return True
            case _:
                raise unknown(question)

    def _status(self) -> dict[str, Any]:
        booted = self._booted
        runs = {} if booted is None else booted.kernel.runs
        return {
            "version": __version__,
            "os_pid": os.getpid(),
            "began": self._began,
            "ready": self._ready.is_set(),
            "loading": self._loading,
            "connections": self._connections,
            "kernel": kernel_part(self.config),
            "models": {} if booted is None else {name: model.slots for name, model in booted.models.items()},
            "runs": {id: sum(process.state.alive for process in run.processes) for id, run in runs.items()},
        }

    async def _kill(self, pid: int) -> list[int]:
        run = (await self._kernel()).kernel.run_of(pid) if pid else None
        if run is None:
            raise NotFound(f"no process {pid} lives on this daemon; `aios ps` lists those that do")
        return list((await run.submit(Kill(pid=pid))).pids)


def _check_user(connection: socket.socket) -> None:
    """Raises Denied for a client of another user, which the directory's mode should have kept out."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid not in (os.getuid(), 0):
        raise Denied("the daemon serves its own user only")


def main() -> int:
    """Run the daemon in the foreground; `--idle` ends it when nobody needs it."""
    set_dumpable(False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    os.chdir("/")
    daemon = Daemon(load(), Place.of_home(), IDLE_S if "--idle" in sys.argv[1:] else None)
    try:
        anyio.run(daemon.serve)
    except AiosError as error:
        log.error("%s", error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
