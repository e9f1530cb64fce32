"""The local model as the kernel sees it: starts the worker, talks to it, and outlives it."""

from __future__ import annotations

import itertools
import os
import random as randomness
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import anyio
import anyio.abc
import anyio.to_thread

from aios.context import Snapshot
from aios.frames import Frames
from aios.models.base import Emit
from aios_syscalls import AiosError, Chat, ChatReply, ModelFailed
from aios_syscalls.errors import from_wire
from aios_syscalls.wire import call_to_object

DEATHS, WINDOW_S, COOL_DOWN_S = 3, 60.0, 30.0
"""After so many deaths of the worker within the window, the model is unhealthy for the cool-down."""
ATTEMPTS = 2
"""How often a call may lose its worker before it fails: it may well be what kills it."""

Progress = Callable[[str, float], None]


@dataclass(slots=True, eq=False)
class _Live:
    """A generation as the client knows it: enough to begin it again on another worker."""

    id: int
    chat: Chat
    seed: int
    emit: Emit
    tokens: list[int] = field(default_factory=list)
    """Generated, as of the last slice's end."""
    emitted: int = 0
    """Characters given to the caller."""
    seen: int = 0
    """Characters that the present worker has sent."""
    worker: _Worker | None = None
    deaths: int = 0
    outcome: ChatReply | AiosError | str | None = None
    """Of this slice: a reply, an error, or the word paused or lost."""
    changed: anyio.Event = field(default_factory=anyio.Event)

    def take(self, event: dict[str, Any]) -> None:
        """An event of the worker."""
        if text := event.get("text"):
            # A worker that began again repeats the text so far; the caller has it already.
            fresh = text[max(0, self.emitted - self.seen) :]
            self.seen += len(text)
            if fresh:
                self.emitted += len(fresh)
                self.emit(fresh)
        if "paused" in event:
            self.tokens += event["paused"]
            self._end("paused")
        elif "done" in event:
            self._end(ChatReply.model_validate(event["done"]))
        elif "error" in event:
            self._end(from_wire(event["error"]))

    def lose(self) -> None:
        """The worker has died."""
        self.deaths += 1
        self._end("lost")

    def _end(self, outcome: ChatReply | AiosError | str) -> None:
        self.outcome = outcome
        self.changed.set()


class LocalSnapshot(Snapshot):
    """A paused generation: its state is with the worker, its tokens are here."""

    def __init__(self, model: LocalModel, live: _Live) -> None:
        self.tokens = len(live.tokens)
        self.live = live
        self._model = model

    def drop(self) -> None:
        self._model.forget(self.live)


class _Worker:
    """One worker process and the frames to it."""

    def __init__(self, process: subprocess.Popen[bytes], stderr: IO[bytes], frames: Frames) -> None:
        self.process = process
        self._stderr = stderr
        self.frames = frames
        self._words = ""
        self.live: dict[int, _Live] = {}
        self.outbox: deque[dict[str, Any]] = deque()
        self.posted = anyio.Event()
        self.heard_at = anyio.current_time()
        self.dead = False

    def post(self, frame: dict[str, Any]) -> None:
        """Send a frame soon; never blocks."""
        self.outbox.append(frame)
        self.posted.set()

    async def write(self) -> None:
        """Send what is posted, until the worker is gone."""
        while True:
            while self.outbox:
                try:
                    await self.frames.send(self.outbox.popleft())
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return
            self.posted = anyio.Event()
            await self.posted.wait()

    async def obituary(self) -> str:
        """How the process ended, with the last line that it wrote to stderr."""
        code = await anyio.to_thread.run_sync(self.process.wait)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"left with status {code}"
        if not self._stderr.closed:
            self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - 500))
            self._words = self._stderr.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            self._stderr.close()
        return f"{how} ({self._words})" if self._words else how


class LocalModel:
    """A GGUF file, run by llama.cpp in a worker process that is started again when it dies.

    `context` is in tokens, of each of `slots` generations at once; `memory_bytes` and `disk_bytes` are for the
    states of paused generations. A generation that loses its worker continues on the next one, its tokens read again.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str | None = None,
        slots: int = 8,
        context: int = 2048,
        requantize: bool = True,
        memory_bytes: int = 512 << 20,
        disk_bytes: int = 2048 << 20,
        cache: Path,
        random: randomness.Random | None = None,
        on_progress: Progress | None = None,
        stall_s: float = 60.0,
    ) -> None:
        self.name = name or path.stem
        self.slots = slots
        self.file = path
        """The file that is loaded: a faster copy where one was made."""
        self.facts: dict[str, Any] = {}
        self._order = {
            "path": str(path.absolute()),
            "slots": slots,
            "context": context,
            "requantize": requantize,
            "memory_bytes": memory_bytes,
            "disk_bytes": disk_bytes,
            "cache": str(cache / "models"),
            "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        }
        self._cache = cache
        self._random = random or randomness.Random()
        self._progress = on_progress or (lambda _what, _share: None)
        self._stall_s = stall_s
        self._ids = itertools.count(1)
        self._worker: _Worker | None = None
        self._starting = anyio.Lock()
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._last_words = ""
        self._stats: dict[int, anyio.Event | dict[str, int]] = {}

    @property
    def healthy(self) -> bool:
        """False for a while after the worker has died again and again."""
        now = anyio.current_time()
        often = len(self._deaths) == DEATHS and self._deaths[-1] - self._deaths[0] < WINDOW_S
        return not (often and now - self._deaths[-1] < COOL_DOWN_S)

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit
    ) -> ChatReply | Snapshot:
        """As `Model.generate`. Raises BadRequest for a prompt longer than the context or a schema without a grammar."""
        if isinstance(snapshot, LocalSnapshot):
            live = snapshot.live
            live.emit = emit
        else:
            seed = chat.sampling.seed
            live = _Live(next(self._ids), chat, self._random.getrandbits(63) if seed is None else seed, emit)
        try:
            outcome = await self._slice(live, budget)
        except BaseException:
            self.forget(live)
            raise
        return outcome

    async def _slice(self, live: _Live, budget: int | None) -> ChatReply | Snapshot:
        while True:
            worker = await self._living()
            live.outcome, live.changed = None, anyio.Event()
            if live.worker is worker:
                worker.post({"resume": live.id, "budget": budget})
            else:
                live.worker, live.seen = worker, 0
                worker.live[live.id] = live
                start = {"chat": call_to_object(live.chat), "seed": live.seed, "done": live.tokens, "budget": budget}
                worker.post({"start": live.id, **start})
            await live.changed.wait()
            match live.outcome:
                case "paused":
                    return LocalSnapshot(self, live)
                case "lost" if live.deaths < ATTEMPTS:
                    continue
                case ChatReply() as reply:
                    self._release(live)
                    return reply.model_copy(update={"model": self.name})
                case AiosError() as error:
                    raise error
                case _:
                    raise ModelFailed(
                        f"{self.name} lost its worker {live.deaths} times during this call; the last one "
                        f"{self._last_words}; shorten the call, or look at the memory that is free"
                    )

    def forget(self, live: _Live) -> None:
        """Free what the worker holds for a generation."""
        worker = live.worker
        if worker is not None and worker.live.pop(live.id, None) is not None:
            worker.post({"drop": live.id})
        live.worker = None

    async def stats(self) -> dict[str, int]:
        """The engine's counts: steps, tokens, hits of each tier."""
        worker = await self._living()
        id = next(self._ids)
        arrived = self._stats[id] = anyio.Event()
        worker.post({"stats": id})
        await arrived.wait()
        found = self._stats.pop(id)
        if not isinstance(found, dict):
            raise ModelFailed(f"{self.name} lost its worker, which {self._last_words}")
        return found

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        try:
            await self._living()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.process.kill()
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    def _release(self, live: _Live) -> None:
        if live.worker is not None:
            live.worker.live.pop(live.id, None)

    async def _living(self) -> _Worker:
        """The worker, started if there is none. Raises ModelFailed when it does not come up."""
        async with self._starting:
            if self._worker is None or self._worker.dead:
                if not self.healthy:
                    raise ModelFailed(
                        f"{self.name} has died {DEATHS} times within {WINDOW_S:g} s (the last one {self._last_words}); "
                        f"it is left alone for {COOL_DOWN_S:g} s, try again then or use another model"
                    )
                self._worker = await self._start()
            return self._worker

    async def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        # libgomp's default is to spin, which starves whoever shares the cores.
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        command = [sys.executable, "-m", "aios.models.gguf.worker", str(theirs.fileno())]

        def spawn() -> subprocess.Popen[bytes]:
            with theirs:
                return subprocess.Popen(
                    command,
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,
                )

        process = await anyio.to_thread.run_sync(spawn)
        worker = _Worker(process, stderr, await Frames.over(ours))
        try:
            await worker.frames.send({**self._order, "scratch": str(self._scratch(worker))})
            await self._loaded(worker)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._bury(worker)
            raise
        self._tasks.start_soon(self._attend, worker)
        return worker

    def _scratch(self, worker: _Worker) -> Path:
        return self._cache / "contexts" / str(worker.process.pid)

    async def _loaded(self, worker: _Worker) -> None:
        while True:
            try:
                frame = await worker.frames.receive()
            except anyio.EndOfStream:
                how = await worker.obituary()
                raise ModelFailed(
                    f"the worker of {self.name} {how} while loading {self.file}; is there enough memory?"
                ) from None
            if "loading" in frame:
                self._progress(f"{frame['loading']} {self.name}", frame["share"])
            elif "failed" in frame:
                raise from_wire(frame["failed"])
            else:
                self.facts = frame["ready"]
                self.file = Path(frame["ready"]["file"])
                return

    async def _attend(self, worker: _Worker) -> None:
        """Carry frames to and from a worker until it dies, then tell everybody who waits."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(worker.write)
                tasks.start_soon(self._watch, worker)
                await self._read(worker)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._bury(worker)

    async def _read(self, worker: _Worker) -> None:
        while True:
            try:
                frame = await worker.frames.receive()
            except anyio.EndOfStream:
                return
            worker.heard_at = anyio.current_time()
            if "stats" in frame:
                arrived = self._stats[frame["id"]]
                self._stats[frame["id"]] = frame["stats"]
                if isinstance(arrived, anyio.Event):
                    arrived.set()
            for event in frame.get("events", ()):
                if (live := worker.live.get(event["id"])) is not None:
                    live.take(event)

    async def _watch(self, worker: _Worker) -> None:
        """End a worker that has work and does not get on with it."""
        while True:
            await anyio.sleep(min(1.0, self._stall_s / 4))
            waits = any(live.outcome is None for live in worker.live.values())
            if waits and anyio.current_time() - worker.heard_at > self._stall_s:
                worker.process.kill()
            elif not waits:
                worker.heard_at = anyio.current_time()

    async def _bury(self, worker: _Worker) -> None:
        worker.dead = True
        worker.process.kill()
        self._last_words = await worker.obituary()
        await anyio.to_thread.run_sync(partial(shutil.rmtree, self._scratch(worker), ignore_errors=True))
        self._deaths.append(anyio.current_time())
        async with worker.frames:
            pass
        for live in worker.live.values():
            if live.outcome is None:
                live.lose()
        for arrived in list(self._stats.values()):
            if isinstance(arrived, anyio.Event):
                arrived.set()
