"""The local model as the kernel sees it: a `Model` in front of a worker process that may die and is replaced."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any, Literal, Self

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from pydantic_core import PydanticSerializationError

from aios.context import Snapshot
from aios.models.base import NO_VECTORS, NOBODY, Caller, Emit, attachments_refusal, too_long
from aios.models.local.file.depth import check_depth
from aios.models.local.file.memory import MEBIBYTE
from aios.models.local.supervisor.process import WorkerProcess
from aios.models.local.supervisor.quarantine import Quarantine
from aios.models.local.supervisor.residency import Residency
from aios.models.local.supervisor.tokenizer import Tokenizer
from aios.models.local.supervisor.worker_supervisor import WorkerSupervisor, heartbeat_s
from aios.tasks import background_tasks
from aios_syscalls import BadRequest, Chat, ChatReply, Embed, KernelBug, LlmCall, ModelFailed, Rank, RankReply
from aios_syscalls.errors import from_wire
from aios_syscalls.port import discard


class _ClientCall:
    """One generation, with what it takes to continue it on another worker."""

    def __init__(self, id: int, chat: Chat, pid: int, seed: int, salt: int) -> None:
        self.id, self.chat, self.pid, self.seed = id, chat, pid, seed
        self.salt = salt
        """Makes the ids of its tool uses unlike those of others."""
        self.tokens: list[int] = []
        self.worker: WorkerProcess | None = None
        """Who has its state."""


class LocalSnapshot(Snapshot):
    """A paused generation; its state is with the worker, its tokens are here, so it outlives the worker."""

    def __init__(self, model: LocalModel, call: _ClientCall) -> None:
        self.tokens = len(call.tokens)
        self._model, self._call = model, call
        self._live = True

    def take(self, model: LocalModel) -> _ClientCall:
        """What `model` needs to continue it. Raises KernelBug if it was continued or dropped, or is another model's."""
        if not self._live or model is not self._model:
            raise KernelBug("a snapshot was continued that had been continued or dropped, or is another model's")
        self._live = False
        return self._call

    def drop(self) -> None:
        if self._live:
            self._live = False
            self._model.drop(self._call)


class LocalModel(anyio.AsyncContextManagerMixin):
    """A GGUF model in a worker process, `slots` generations of up to `context` tokens at once.

    Entering it loads the model: raises ModelFailed when that fails, BadRequest for settings that the model cannot have.
    Models that share a `residency` without room for all are loaded when they are used first, and take turns.
    `memory_bytes` and `disk_bytes` bound the states of paused generations; `timeout_s` is how long a step may go on
    without progress; `rss_limit_bytes` is what the worker may take, by default 500 MB more than it should;
    `gpu_layers` is how many layers go to a GPU, by default all if the build of llama.cpp can do that.
    With `embed`, the worker is one for a LocalEmbedder, and understands only its commands.
    """

    def __init__(
        self,
        path: Path,
        name: str | None = None,
        slots: int = 8,
        context: int = 2048,
        requantize: bool = True,
        mode: Literal["exact", "throughput"] = "exact",
        memory_bytes: int = 1024 * MEBIBYTE,
        disk_bytes: int = 2048 * MEBIBYTE,
        random: Random | None = None,
        on_progress: Callable[[str, float], None] | None = None,
        timeout_s: float = 60.0,
        gpu_layers: int | None = None,
        rss_limit_bytes: int | None = None,
        residency: Residency | None = None,
        embed: bool = False,
    ) -> None:
        self.name, self.slots = name or path.stem, slots
        self._context = context
        settings = {
            "path": str(path),
            "slots": slots,
            "context": context,
            "requantize": requantize,
            "mode": mode,
            "embed": embed,
            "memory_bytes": memory_bytes,
            "disk_bytes": disk_bytes,
            "gpu_layers": gpu_layers,
            "heartbeat_s": heartbeat_s(timeout_s),
        }
        self._path = path
        self._random = random or Random()
        self._ids = 0
        self._inboxes: dict[int, MemoryObjectSendStream[dict[str, Any]]] = {}
        self._quarantine = Quarantine()
        self._tokenizer = Tokenizer(path)
        self._place = (residency or Residency()).place()
        self._supervisor = WorkerSupervisor(
            self.name,
            settings,
            self,
            self._place,
            state_bytes=memory_bytes,
            rss_limit_bytes=rss_limit_bytes,
            timeout_s=timeout_s,
            on_progress=on_progress or (lambda _what, _share: None),
        )

    local, wait_s = True, 0.0

    @property
    def healthy(self) -> bool:
        """Whether a worker is there, or comes when it is wanted."""
        return self._supervisor.healthy

    @property
    def pid(self) -> int | None:
        """The worker's process id, if there is a worker."""
        return self._supervisor.worker.pid if self._supervisor.worker else None

    @property
    def info(self) -> dict[str, Any]:
        """What the worker said of the model when it was loaded last; empty before."""
        return self._supervisor.info

    @property
    def file(self) -> Path:
        """The file that is loaded: when ready, perhaps a requantized copy."""
        return Path(self.info.get("file", self._path))

    def refusal(self, call: LlmCall) -> str:
        """As `Backend.refusal`: it can do everything but embed, or read more than a slot holds."""
        return NO_VECTORS if isinstance(call, Embed) else attachments_refusal(call) or too_long(call, self._context)

    async def generate(
        self,
        chat: Chat,
        snapshot: Snapshot | None,
        budget: int | None,
        emit: Emit,
        caller: Caller = NOBODY,  # how crowded it is does not matter: a pause costs nothing here
    ) -> ChatReply | Snapshot:
        """As `Model.generate`; the budget counts generated tokens, whatever it takes to read the prompt.

        Raises BadRequest, or ModelFailed: the model is down, or this call ends its workers.
        """
        if snapshot is None:
            check_depth(chat)
            call = self._begin(chat, caller.pid)
        elif isinstance(snapshot, LocalSnapshot):
            call = snapshot.take(self)
        else:
            raise KernelBug(f"model {self.name!r} cannot continue a {type(snapshot).__name__}")
        try:
            async with self._place.slice():
                reply = await self._slice(call, budget, emit)
        except BaseException:
            self.drop(call)
            raise
        if reply is None:
            return LocalSnapshot(self, call)
        self._end(call)
        return reply

    async def rank(self, call: Rank) -> RankReply:
        """As `Model.rank`. Raises as `ask` does."""
        check_depth(call)
        reply = await self.ask("start", rank=call)
        return RankReply.model_validate(reply).model_copy(update={"model": self.name})

    def drop(self, call: _ClientCall) -> None:
        """Have what is held for a generation freed within a step."""
        if call.worker is not None and call.worker is self._supervisor.worker:
            call.worker.send({"drop": call.id})
        self._end(call)

    async def count_tokens(self, chat: Chat) -> int | None:
        """As `Backend.count_tokens`, in a process that has the vocabulary alone."""
        check_depth(chat)
        return await self._tokenizer.count(chat)

    def demote(self, pid: int) -> None:
        """Nobody is about to need what is kept of a process: it may go before all else."""
        if self._supervisor.worker is not None:
            self._supervisor.worker.send({"demote": pid})

    async def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """What the worker answers to a command that is no generation.

        Raises what it answers if that is an error, or ModelFailed: the model is down, or the command ends its workers.
        """
        self._ids += 1
        id = self._ids
        self._place.begin()
        try:
            async with self._place.slice():
                while True:
                    async with self._quarantine.admit(id):
                        worker = await self._supervisor.ready(begun=False)
                        end = await self._listen(worker, {command: {"id": id, **fields}}, id, lambda _frame: None)
                    match end:
                        case {"reply": dict(reply)}:
                            return reply
                        case {"error": error}:
                            raise from_wire(error)
                        case {"lost": str(reason)} if self._quarantine.guilty(id):
                            raise self._blamed(id, reason)
        finally:
            if self._supervisor.worker is not None:
                self._supervisor.worker.send({"drop": id})
            self._quarantine.forget(id)
            self._place.end()

    async def stats(self) -> dict[str, Any]:
        """Counts of the worker's lives, and of a living one since its start, with what it knows of the model.

        Does not load a model that is not in memory: `resident` says whether it is.
        """
        lives: dict[str, Any] = asdict(self._supervisor.counts)
        if (worker := self._supervisor.worker) is not None:
            self._ids += 1
            end = await self._listen(worker, {"stats": self._ids}, self._ids, lambda _frame: None)
            if "stats" in end:
                return {**end["stats"], **lives, "resident": True}
        return {**self.info, **lives, "resident": False}

    def _begin(self, chat: Chat, pid: int) -> _ClientCall:
        self._ids += 1
        self._place.begin()
        seed = chat.sampling.seed
        if seed is None:
            seed = self._random.getrandbits(63) if chat.sampling.temperature else 0
        return _ClientCall(self._ids, chat, pid, seed, self._random.getrandbits(32) if chat.tools else 0)

    def _end(self, call: _ClientCall) -> None:
        self._quarantine.forget(call.id)
        self._place.end()

    async def _slice(self, call: _ClientCall, budget: int | None, emit: Emit) -> ChatReply | None:
        """Run a call until it ends, or until its budget is used up: None."""
        goal = None if budget is None else len(call.tokens) + budget

        def hear(frame: dict[str, Any]) -> None:
            call.tokens += frame["tokens"]
            if frame["text"]:
                emit(frame["text"])

        while goal is None or len(call.tokens) < goal:
            left = None if goal is None else goal - len(call.tokens)
            async with self._quarantine.admit(call.id) as trial:
                worker = await self._supervisor.ready(begun=call.worker is not None)
                share = min((each for each in (left, trial) if each is not None), default=None)
                end = await self._listen(worker, self._command(call, worker, share, emit), call.id, hear)
            match end:
                case {"reply": reply}:
                    return self._finished(call, ChatReply.model_validate(reply))
                case {"error": error}:
                    raise from_wire(error)
                case {"lost": str(reason)} if self._quarantine.guilty(call.id):
                    raise self._blamed(call.id, reason)
                case {"paused": _}:
                    self._quarantine.survived(call.id)
        return None

    def _blamed(self, id: int, reason: str) -> ModelFailed:
        return ModelFailed(
            f"this call lost its worker {self._quarantine.losses(id)} times, at last alone; "
            f"the last one {reason}; change the call, or report it with the model's file"
        )

    def _command(self, call: _ClientCall, worker: WorkerProcess, budget: int | None, emit: Emit) -> dict[str, Any]:
        slice = {"id": call.id, "budget": budget, "stream": emit is not discard}
        if call.worker is worker:
            return {"resume": slice}
        call.worker = worker
        return {"start": {**slice, "chat": call.chat, "pid": call.pid, "seed": call.seed, "tokens": call.tokens}}

    def _finished(self, call: _ClientCall, reply: ChatReply) -> ChatReply:
        uses = tuple(use.model_copy(update={"id": f"call-{call.salt:08x}-{use.id}"}) for use in reply.tool_uses)
        return reply.model_copy(update={"model": self.name, "tool_uses": uses})

    async def _listen(
        self, worker: WorkerProcess, command: dict[str, Any], id: int, hear: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Send a command and hear what comes of it; the end that it has, or {"lost": why} if the worker dies."""
        inbox, frames = anyio.create_memory_object_stream[dict[str, Any]](math.inf)
        if not self._inboxes:
            worker.heard = anyio.current_time()
        self._inboxes[id] = inbox
        try:
            with inbox, frames:
                _send(worker, command)
                while "end" not in (frame := await frames.receive()):
                    hear(frame)
                hear(frame)
                end: dict[str, Any] = frame["end"]
                return end
        finally:
            del self._inboxes[id]

    @property
    def waits(self) -> bool:
        """Whether the worker owes an answer."""
        return bool(self._inboxes)

    def hear(self, results: list[dict[str, Any]]) -> None:
        """Hand on what came of a step."""
        for result in results:
            # A call that was cancelled has no inbox any more.
            if inbox := self._inboxes.get(result["id"]):
                inbox.send_nowait(result)

    def lost(self, reason: str, *, died: bool) -> bool:
        """Tell everyone who waits for the worker that it is gone; whether that was a call's fault, which is over."""
        found = died and self._quarantine.died(self._inboxes)
        for id, inbox in self._inboxes.items():
            inbox.send_nowait({"id": id, "tokens": [], "text": "", "end": {"lost": reason}})
        return found

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with background_tasks() as tasks:
            try:
                await tasks.start(self._supervisor.run)
                yield self
            finally:
                await self._tokenizer.close()
                tasks.cancel_scope.cancel()


def _send(worker: WorkerProcess, command: dict[str, Any]) -> None:
    """Queue a command. Raises BadRequest for a call that is no JSON, such as one with half of a character."""
    try:
        worker.send(command)
    except PydanticSerializationError as error:
        raise BadRequest(f"the call cannot be written as JSON: {error}; mend its texts") from None
