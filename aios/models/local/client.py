"""The local model as the kernel sees it: a `Model` in front of a worker process that may die and is replaced."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from aios.context import Snapshot
from aios.models.base import NO_VECTORS, Emit, too_long
from aios.models.local.process import WorkerProcess
from aios_syscalls import AiosError, Chat, ChatReply, Embed, KernelBug, LlmCall, ModelFailed
from aios_syscalls.errors import from_wire

MEBIBYTE = 1 << 20
LIVES = 3
"""Deaths of workers within `WINDOW_S` seconds after which calls are refused for `COOL_DOWN_S` seconds."""
WINDOW_S, COOL_DOWN_S = 60.0, 30.0
LOSSES = 2
"""Workers that a call may lose: it may be what kills them."""
LOAD_TIMEOUT_S = 300.0
"""How long a worker may say nothing while it loads."""


class _Call:
    """One generation, with what it takes to continue it on another worker."""

    def __init__(self, id: int, chat: Chat, seed: int, salt: int) -> None:
        self.id, self.chat, self.seed = id, chat, seed
        self.salt = salt
        """Makes the ids of its tool uses unlike those of others."""
        self.tokens: list[int] = []
        self.losses = 0
        self.worker: WorkerProcess | None = None
        """Who has its state."""


class LocalSnapshot(Snapshot):
    """A paused generation; its state is with the worker, its tokens are here, so it outlives the worker."""

    def __init__(self, model: LocalModel, call: _Call) -> None:
        self.tokens = len(call.tokens)
        self._model, self._call = model, call
        self._live = True

    def take(self, model: LocalModel) -> _Call:
        """What `model` needs to continue it. Raises KernelBug if it was continued or dropped, or is another model's."""
        if not self._live or model is not self._model:
            raise KernelBug("a snapshot was continued that had been continued or dropped, or is another model's")
        self._live = False
        return self._call

    def drop(self) -> None:
        if self._live:
            self._live = False
            self._model.forget(self._call)


class LocalModel:
    """A GGUF model in a worker process, `slots` generations of up to `context` tokens at once.

    Entering it loads the model: raises ModelFailed when that fails, BadRequest for settings that the model cannot have.
    `memory_bytes` and `disk_bytes` bound the states of paused generations; `timeout_s` is how long a step may take.
    With `embed`, the worker is one for a LocalEmbedder, and understands only its commands.
    """

    def __init__(
        self,
        path: Path,
        name: str | None = None,
        slots: int = 8,
        context: int = 2048,
        requantize: bool = True,
        memory_bytes: int = 512 * MEBIBYTE,
        disk_bytes: int = 2048 * MEBIBYTE,
        random: Random | None = None,
        on_progress: Callable[[str, float], None] | None = None,
        timeout_s: float = 60.0,
        embed: bool = False,
    ) -> None:
        self.name, self.slots = name or path.stem, slots
        self.file = path
        """The file that is loaded: when ready, perhaps a requantized copy."""
        self.info: dict[str, Any] = {}
        """What the worker said of the model when it was ready."""
        self._settings: dict[str, Any] = {
            "path": str(path),
            "slots": slots,
            "context": context,
            "requantize": requantize,
            "embed": embed,
            "memory_bytes": memory_bytes,
            "disk_bytes": disk_bytes,
        }
        self._random = random or Random()
        self._on_progress = on_progress or (lambda _what, _share: None)
        self._timeout_s = timeout_s
        self._ids = 0
        self._worker: WorkerProcess | None = None
        self._inboxes: dict[int, MemoryObjectSendStream[dict[str, Any]]] = {}
        self._deaths: deque[float] = deque(maxlen=LIVES)
        self._down: AiosError | None = ModelFailed(f"model {self.name!r} is not started")
        self._changed = anyio.Event()
        self._tasks: TaskGroup

    @property
    def healthy(self) -> bool:
        """Whether a worker is there or on its way."""
        return self._down is None

    @property
    def pid(self) -> int | None:
        """The worker's process id, if there is a worker."""
        return self._worker.pid if self._worker else None

    def refusal(self, call: LlmCall) -> str:
        """As `Backend.refusal`: it can do everything but embed, or read more than a slot holds."""
        return NO_VECTORS if isinstance(call, Embed) else too_long(call, self._settings["context"])

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit
    ) -> ChatReply | Snapshot:
        """As `Model.generate`; the budget counts generated tokens, whatever it takes to read the prompt.

        Raises BadRequest, or ModelFailed: the model is down, or this call lost its worker twice.
        """
        if snapshot is None:
            call = self._begun(chat)
        elif isinstance(snapshot, LocalSnapshot):
            call = snapshot.take(self)
        else:
            raise KernelBug(f"model {self.name!r} cannot continue a {type(snapshot).__name__}")
        try:
            reply = await self._slice(call, budget, emit)
        except BaseException:
            self.forget(call)
            raise
        return LocalSnapshot(self, call) if reply is None else reply

    def forget(self, call: _Call) -> None:
        """Have what is held for a generation freed within a step."""
        if call.worker is not None and call.worker is self._worker:
            call.worker.send({"drop": call.id})

    async def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """What the worker answers to a command that is no generation.

        Raises what it answers if that is an error, or ModelFailed: the model is down, or the command lost two workers.
        """
        self._ids += 1
        id = self._ids
        for _ in range(LOSSES):
            worker = await self._ready()
            try:
                end = await self._listen(worker, {command: {"id": id, **fields}}, id, lambda _frame: None)
            except BaseException:
                if worker is self._worker:
                    worker.send({"drop": id})
                raise
            match end:
                case {"reply": dict(reply)}:
                    return reply
                case {"error": error}:
                    raise from_wire(error)
        raise ModelFailed(f"this call lost its worker {LOSSES} times; the last one {end['lost']}")

    async def stats(self) -> dict[str, Any]:
        """The worker's counts since its start, its memory in bytes, and what it knows of the model."""
        worker = await self._ready()
        self._ids += 1
        end = await self._listen(worker, {"stats": self._ids}, self._ids, lambda _frame: None)
        if "lost" in end:
            raise ModelFailed(end["lost"])
        statistics: dict[str, Any] = end["stats"]
        return statistics

    def _begun(self, chat: Chat) -> _Call:
        self._ids += 1
        seed = chat.sampling.seed
        if seed is None:
            seed = self._random.getrandbits(63) if chat.sampling.temperature else 0
        return _Call(self._ids, chat, seed, self._random.getrandbits(32) if chat.tools else 0)

    async def _slice(self, call: _Call, budget: int | None, emit: Emit) -> ChatReply | None:
        """Run a call until it ends, or until its budget is used up: None."""
        goal = None if budget is None else len(call.tokens) + budget

        def hear(frame: dict[str, Any]) -> None:
            call.tokens += frame["tokens"]
            if frame["text"]:
                emit(frame["text"])

        while goal is None or len(call.tokens) < goal:
            worker = await self._ready()
            left = None if goal is None else goal - len(call.tokens)
            match await self._listen(worker, self._command(call, worker, left), call.id, hear):
                case {"reply": reply}:
                    return self._finished(call, ChatReply.model_validate(reply))
                case {"error": error}:
                    raise from_wire(error)
                case {"lost": str(reason)}:
                    call.losses += 1
                    if call.losses >= LOSSES:
                        raise ModelFailed(f"this call lost its worker {LOSSES} times; the last one {reason}")
        return None

    def _command(self, call: _Call, worker: WorkerProcess, budget: int | None) -> dict[str, Any]:
        if call.worker is worker:
            return {"resume": {"id": call.id, "budget": budget}}
        call.worker = worker
        job = {"id": call.id, "chat": call.chat, "seed": call.seed, "budget": budget, "tokens": call.tokens}
        return {"start": job}

    def _finished(self, call: _Call, reply: ChatReply) -> ChatReply:
        uses = tuple(use.model_copy(update={"id": f"call-{call.salt:08x}-{use.id}"}) for use in reply.tool_uses)
        return reply.model_copy(update={"model": self.name, "tool_uses": uses})

    async def _listen(
        self, worker: WorkerProcess, command: dict[str, Any], id: int, hear: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Send a command and hear what comes of it; the end that it has, or {"lost": why} if the worker dies."""
        inbox, frames = anyio.create_memory_object_stream[dict[str, Any]](math.inf)
        self._inboxes[id] = inbox
        try:
            worker.send(command)
            with inbox, frames:
                while "end" not in (frame := await frames.receive()):
                    hear(frame)
                hear(frame)
                end: dict[str, Any] = frame["end"]
                return end
        finally:
            del self._inboxes[id]

    async def _ready(self) -> WorkerProcess:
        """The worker, when there is one. Raises ModelFailed if there will be none for a while."""
        while self._worker is None:
            if self._down is not None:
                raise type(self._down)(self._down.message, **self._down.data)
            await self._changed.wait()
        return self._worker

    async def __aenter__(self) -> Self:
        self._down = None
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        try:
            self._tasks.start_soon(self._supervise)
            await self._ready()
        except BaseException:
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def _supervise(self) -> None:
        """Keep a worker alive; the first that does not load ends it."""
        try:
            while True:
                try:
                    failure = await self._live()
                except OSError as error:
                    failure = ModelFailed(f"the worker of model {self.name!r} could not be started: {error}")
                if failure and not self.info:
                    self._set(None, failure)
                    return
                self._deaths.append(anyio.current_time())
                if len(self._deaths) == LIVES and self._deaths[-1] - self._deaths[0] < WINDOW_S:
                    await self._cool_down(failure)
        finally:
            self._lose("was stopped with the model")
            self._set(None, self._down or ModelFailed(f"model {self.name!r} is stopped"))

    async def _cool_down(self, failure: AiosError | None) -> None:
        reason = f": {failure.message}" if failure else ""
        self._set(
            None,
            ModelFailed(
                f"the worker of model {self.name!r} died {LIVES} times within {WINDOW_S:.0f} s{reason}; "
                f"it is tried again in {COOL_DOWN_S:.0f} s"
            ),
        )
        await anyio.sleep(COOL_DOWN_S)
        self._deaths.clear()
        self._set(None, None)

    async def _live(self) -> AiosError | None:
        """One worker's life; the error that it failed to load with, if so."""
        async with WorkerProcess.spawn() as worker:
            worker.send(self._settings)
            failure = await self._load(worker)
            if failure is None:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._watch, worker)
                    await self._dispatch(worker)
                    tasks.cancel_scope.cancel()
            self._set(None, None)
            self._lose(await worker.obituary())
            return failure

    async def _load(self, worker: WorkerProcess) -> AiosError | None:
        while True:
            try:
                with anyio.fail_after(LOAD_TIMEOUT_S):
                    frame = await worker.receive()
            except anyio.EndOfStream:
                return ModelFailed(f"the worker of model {self.name!r} {await worker.obituary()} while it loaded")
            except TimeoutError:
                worker.kill()
                return ModelFailed(f"model {self.name!r} made no progress in loading for {LOAD_TIMEOUT_S:.0f} s")
            match frame:
                case {"progress": [what, share]}:
                    self._on_progress(what, share)
                case {"failed": error}:
                    return from_wire(error)
                case {"ready": info}:
                    self.info, self.file = info, Path(info["file"])
                    self._set(worker, None)
                    return None

    async def _dispatch(self, worker: WorkerProcess) -> None:
        """Hand on what a worker says until it dies."""
        while True:
            try:
                frame = await worker.receive()
            except anyio.EndOfStream:
                return
            for result in frame["step"]:
                # A call that was cancelled has no inbox any more.
                if inbox := self._inboxes.get(result["id"]):
                    inbox.send_nowait(result)

    async def _watch(self, worker: WorkerProcess) -> None:
        """Kill a worker that has something to do and gets nowhere."""
        while True:
            await anyio.sleep(min(1.0, self._timeout_s / 4))
            if self._inboxes and anyio.current_time() - worker.heard > self._timeout_s:
                worker.kill()

    def _lose(self, reason: str) -> None:
        """Tell everyone who waits for the worker that it is gone."""
        for id, inbox in self._inboxes.items():
            inbox.send_nowait({"id": id, "tokens": [], "text": "", "end": {"lost": reason}})

    def _set(self, worker: WorkerProcess | None, down: AiosError | None) -> None:
        self._worker, self._down = worker, down
        self._changed.set()
        self._changed = anyio.Event()
