"""The daemon of a home: one kernel, a Unix socket, and whoever connects. `python -m aios.server.daemon` runs it."""

from __future__ import annotations

import gc
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
import anyio.to_thread
from anyio.abc import TaskGroup
from pydantic import ValidationError

from aios import __version__
from aios.boot import BootedKernel, boot_kernel
from aios.config import Config, load
from aios.dumpable import set_dumpable
from aios.frames import Frames
from aios.hosts.held import HeldBytes
from aios.kernel import Limits
from aios.link.greeting import PROTOCOL, check_greeting
from aios.link.order import KERNELS, RunOrder, differences, kernel_part
from aios.link.peer import Peer, unknown
from aios.link.place import Place
from aios.models import Backend
from aios.server.callers import Callers
from aios.server.channels import Channels
from aios.server.client_service import serve_client
from aios.server.exec_service import serve_command
from aios.server.hosted import ClientHost
from aios.server.log_file import begin_log
from aios.server.open_files import allow_many_files
from aios.server.run_service import RunService
from aios.server.tokens import Tokens, home_token
from aios_syscalls import (
    AiosError,
    BadRequest,
    Cancelled,
    Conflict,
    Denied,
    KernelBug,
    Kill,
    NoKernel,
    NotFound,
    StorageFailed,
)
from aios_syscalls.invalid import explain

GREETING_S = 10.0
"""For which a connection may be silent before it says what it is here for."""
IDLE_S = 15 * 60.0
"""After which a daemon that a command started ends, when nobody has been connected."""
GRACE_S = 2.0
"""For which what runs may go on when the daemon is told to end."""
LAST_WORDS_S = 0.1

log = logging.getLogger("aios.server")


class Daemon:
    """Serves a home until it is told to end, or has been idle for too long. `models` replace the configured ones."""

    def __init__(
        self, config: Config, place: Place, idle_s: float | None = None, models: Sequence[Backend] | None = None
    ) -> None:
        self.config, self.place = config, place
        self._idle_s, self._models = idle_s, models
        self._began = time.time()
        self._booted: BootedKernel | None = None
        self._ready, self._stop = anyio.Event(), anyio.Event()
        self._failure: AiosError | None = None
        self._loading: dict[str, float] = {}
        self._channels, self._held = Channels(), HeldBytes.of_all()
        self._connections = 0
        self._served, self._one_less = 0, anyio.Event()
        self._last_seen = 0.0
        self._draining, self._waiters = False, 0
        self._http: str | None = None
        """Where HTTP is served, if it is."""

    async def serve(self, listening: Callable[[], None] = lambda: None) -> None:
        """Serve until the end; `listening` is called once connections are taken. Raises Conflict, StorageFailed."""
        self.place.make()
        self._tokens = Tokens(home_token(self.place.token))
        with self.place.held(), closing(self.place.listen()) as sock:
            sock.setblocking(False)
            listening()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_on_signal)
                tasks.start_soon(self._end_when_idle)
                tasks.start_soon(self._accept, sock, tasks)
                with anyio.CancelScope() as loading:
                    tasks.start_soon(self._give_up_loading, loading)
                    await self._keep_kernel()
                tasks.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    async def _give_up_loading(self, scope: anyio.CancelScope) -> None:
        """Models that take long to load keep no daemon from ending."""
        await self._stop.wait()
        if not self._ready.is_set():
            scope.cancel()

    async def _keep_kernel(self) -> None:
        """The kernel, until the daemon is to stop; then what runs has a moment, and who is connected is sent off."""
        try:
            progress = self._loading.__setitem__
            booting = boot_kernel(self.config, models=self._models, progress=progress, shared=True)
            async with booting as self._booted:
                async with anyio.create_task_group() as self._serving:
                    self._callers = Callers(self._booted, self._for_http(), self._tokens, self._serving)
                    self._ready.set()
                    if self.config.daemon.tcp is not None:
                        await self.listen()
                    await self._stop.wait()
                    self._draining = True
                    await self._drain(self._booted)
                    self._serving.cancel_scope.cancel()
        except AiosError as error:
            self._failure = error
        finally:
            self._ready.set()

    def _for_http(self) -> Config:
        """What the runs of HTTP clients have: files of their own, which are nobody's project."""
        root = self.place.directory / "files"
        root.mkdir(mode=0o700, exist_ok=True)
        return self.config.model_copy(update={"root": root, "tools": ()})

    async def listen(self) -> str:
        """The URL at which HTTP is served, from now on if it was not. Raises BadRequest, StorageFailed."""
        if self._http is None:
            await self._kernel()
            from aios.server.http import HttpSettings, make_app  # with what it needs: a tenth of a second
            from aios.server.http_calls import make_calls_app
            from aios.server.listener import start, url_of

            sock = self._bind()
            calls = make_calls_app(self._tokens.admit, self._callers.open_client, self._held)
            app = make_app(self._callers, HttpSettings(strict=self.config.daemon.strict), calls)
            self.place.remember_port(sock.getsockname()[1])
            self._http = url_of(sock)
            start(app, sock, self._serving)
        return self._http

    def _bind(self) -> socket.socket:
        """The socket of the HTTP side: where it is configured to be, or else where it was, if that port is free."""
        from aios.server.listener import bind

        if self.config.daemon.tcp is not None:
            host, _, port = self.config.daemon.tcp.rpartition(":")
            return bind(host.strip("[]"), int(port))
        last = self.place.port
        try:
            return bind("127.0.0.1", last)
        except StorageFailed:
            sock = bind("127.0.0.1", 0)
            log.warning(
                "port %d is another program's now, so HTTP is served on another one; see aios token --url", last
            )
            return sock

    async def _drain(self, booted: BootedKernel) -> None:
        """What waits is sent off now, what runs when its time is over."""
        booted.kernel.drain(Cancelled("the daemon ends, and this call waited for its turn; start it anew: aios up"))
        with anyio.move_on_after(GRACE_S):
            await booted.kernel.idle()
            await anyio.sleep(LAST_WORDS_S)  # for the answers to be sent

    async def _end_after_runs(self) -> bool:
        """Take no more runs, and end when those under way have; who asked for it and hangs up takes it back."""
        kernel = None if self._booted is None else self._booted.kernel
        self._draining = True
        self._waiters += 1
        try:
            while self._served:
                self._one_less = anyio.Event()
                await self._one_less.wait()
            if kernel is not None:
                kernel.closing = True
                await kernel.idle()
            self._stop.set()
        finally:
            self._waiters -= 1
            self._draining = self._stop.is_set() or self._waiters > 0
            if kernel is not None:
                kernel.closing = self._stop.is_set()
        return True

    async def _reload(self) -> dict[str, list[str]]:
        """Take over what a configuration says that has changed; what is the kernel's own needs a new one."""
        found = await anyio.to_thread.run_sync(load)
        own = {name: getattr(self.config, name) for name in KERNELS}
        names = [name for name in Config.model_fields if getattr(found, name) != getattr(self.config, name)]
        self.config = found.model_copy(update=own)
        if self._booted is not None:
            self._booted.kernel.limits = Limits(**found.limits.model_dump())
            self._callers.reconfigure(self._for_http())
        taken = [name for name in names if name not in KERNELS]
        return {"taken": taken, "left": [name for name in names if name in KERNELS]}

    async def _stop_on_signal(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                log.info("told to end by %s", signal.Signals(number).name)
                self._stop.set()

    async def _end_when_idle(self) -> None:
        if self._idle_s is None:
            return
        self._last_seen = anyio.current_time()
        while True:
            await anyio.sleep(max(0.05, self._last_seen + self._idle_s - anyio.current_time()))
            if self._is_busy():
                self._last_seen = anyio.current_time()
            elif anyio.current_time() >= self._last_seen + self._idle_s:
                log.info("nobody has been connected for %g s; the daemon ends", self._idle_s)
                self._stop.set()
                return

    def _is_busy(self) -> bool:
        return bool(self._connections) or (self._ready.is_set() and self._booted is not None and self._callers.busy)

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
                except Exception as error:  # of one connection, which is no other's business
                    _as_ours(error)
        finally:
            self._connections -= 1
            self._last_seen = anyio.current_time()

    async def _greet(self, frames: Frames, connection: socket.socket) -> None:
        check_user(connection)
        with anyio.move_on_after(GREETING_S) as greeting:
            try:
                frame = await frames.receive()
            except (ValueError, anyio.DelimiterNotFound):
                raise BadRequest("the first frame is not JSON; connect with: aios, or aios.connect()") from None
        if greeting.cancelled_caught:
            return
        purpose = check_greeting(frame)
        if self._draining and purpose not in ("control", "process"):  # a run that goes on still starts processes
            raise NoKernel("the daemon is ending and takes no more runs; start it anew: aios up", retry_after_s=5)
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
            case "command":
                order, program, task = self._order(frame), str(frame.get("program"))[:64], str(frame.get("task", ""))
                await frames.send({"ok": {}})
                booted = await self._kernel()
                served = serve_command, frames, order, program, task, booted, self._callers, self._tokens, self.listen
                await self._within_kernel(*served)
            case _:
                raise BadRequest(f"nobody connects for {purpose[:40]!r}; there are run, client, command, control")

    async def _within_kernel(self, serve: Any, *arguments: Any) -> None:
        """Serve in the task group that ends with the kernel, not before it."""
        done = anyio.Event()
        failures: list[AiosError] = []

        async def run() -> None:
            try:
                await serve(*arguments)
            except Exception as error:  # of one connection, which is no other's business
                failures.append(_as_ours(error))
            finally:
                self._served -= 1
                self._one_less.set()
                done.set()

        self._served += 1
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
            case {"kill": int(pid), "at_once": True}:
                return await self._kill(pid, at_once=True)
            case {"kill": int(pid)}:
                return await self._kill(pid)
            case {"listen": True}:
                return await self.listen()
            case {"stop": True}:
                log.info("told to end")
                self._stop.set()
                return True
            case {"wait": True}:
                return await self._end_after_runs()
            case {"reload": True}:
                return await self._reload()
            case _:
                raise unknown(question)

    def _status(self) -> dict[str, Any]:
        booted = self._booted
        runs = {} if booted is None else booted.kernel.runs
        lanes = [] if booted is None else [*booted.kernel.lanes.values()]
        return {
            "version": __version__,
            "os_pid": os.getpid(),
            "began": self._began,
            "ready": self._ready.is_set() and booted is not None and self._failure is None,
            "ending": self._draining or self._stop.is_set(),
            "home": str(self.place.directory.parent),
            "socket": str(self.place.address),
            "log": str(self.place.log),
            "loading": self._loading,
            "connections": self._connections,
            "calls": 0 if booted is None else booted.kernel.calls,
            "running": sum(lane.running for lane in lanes),
            "waiting": sum(lane.waiting for lane in lanes),
            "kernel": kernel_part(self.config),
            "models": {} if booted is None else {name: model.slots for name, model in booted.models.items()},
            "read_only": ""
            if booted is None or (failure := booted.kernel.journal.failure) is None
            else failure.message,
            "runs": {id: sum(process.state.alive for process in run.processes) for id, run in runs.items()},
        }

    async def _kill(self, pid: int, *, at_once: bool = False) -> list[int]:
        run = (await self._kernel()).kernel.run_of(pid) if pid else None
        if run is None:
            raise NotFound(f"no process {pid} lives on this daemon; `aios ps` lists those that do")
        if at_once and isinstance(run.host, ClientHost):
            run.host.end_at_once(each.pid for each in run.processes if pid in (each.pid, *each.lineage))
        return list((await run.submit(Kill(pid=pid))).pids)


def _as_ours(error: Exception) -> AiosError:
    """The error of ours that an exception is, or holds; what is none is a bug, and goes to the log."""
    if isinstance(error, AiosError):
        return error
    if isinstance(error, ExceptionGroup):
        return _as_ours(error.exceptions[0])
    log.exception("serving a connection failed", exc_info=error)
    return KernelBug(f"serving met {type(error).__name__}: {error}; please report this")


def check_user(connection: socket.socket) -> None:
    """Raises Denied for a client of another user, which the directory's mode should have kept out."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if uid not in (os.getuid(), 0):
        raise Denied("the daemon serves its own user only")


def main(models: Sequence[Backend] | None = None) -> int:
    """Run the daemon in the foreground; `--idle` ends it when nobody needs it. `models` replace the configured ones."""
    set_dumpable(False)
    place = Place.of_home()
    os.chdir("/")
    try:
        place.make()
        begin_log(place.log)
        allow_many_files()
        daemon = Daemon(load(), place, IDLE_S if "--idle" in sys.argv[1:] else None, models)
        log.info("aios %s begins as process %d", __version__, os.getpid())
        gc.freeze()  # what is loaded is there for good, and need not be looked through again and again
        anyio.run(daemon.serve)
    except AiosError as error:
        log.error("%s", error.message)
        return 1
    except Exception:
        log.exception("the daemon dies of an error of its own; please report this")
        return 1
    log.info("the daemon has ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
