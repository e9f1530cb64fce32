"""The worker of a model, through all its lives: loaded when it is wanted, watched, and replaced when it dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import anyio
from anyio.abc import TaskStatus

from aios.models.local.file.memory import MEBIBYTE, mb
from aios.models.local.supervisor.process import WorkerProcess
from aios.models.local.supervisor.residency import MemoryTurn
from aios.tasks import Signal
from aios_syscalls import AiosError, ModelFailed
from aios_syscalls.errors import from_wire

LIVES = 3
"""Deaths of workers within `WINDOW_S` seconds after which calls are refused for `COOL_DOWN_S` seconds."""
WINDOW_S, COOL_DOWN_S = 60.0, 30.0
LOAD_TIMEOUT_S = 300.0
"""How long a worker may say nothing while it loads."""
GROWTH_BYTES = 500 * MEBIBYTE
"""What a worker may grow by, beside the states that it may keep, unless there is a limit of its own."""


class Client(Protocol):
    """Whom the worker works for."""

    @property
    def waits(self) -> bool:
        """Whether the worker owes an answer."""

    def hear(self, results: list[dict[str, Any]]) -> None:
        """Take what came of a step."""

    def lost(self, reason: str, *, died: bool) -> bool:
        """The worker is gone. Whether, if it died, the cause is found and gone as well."""


@dataclass(slots=True)
class WorkerCounts:
    """The worker's lives since the model was entered."""

    loads: int = 0
    unloads: int = 0
    """Given way to other models."""
    deaths: int = 0
    """Ended against its will, whatever the reason."""
    rss_restarts: int = 0
    """Those of them for the memory that it took."""
    resident_bytes: int = 0
    """What it takes now, as the operating system counts; 0 without a worker."""


class WorkerSupervisor:
    """Keeps a worker with one model for a client.

    `place` is the model's in the machine's memory; `state_bytes` is what it may keep of paused generations there.
    """

    def __init__(
        self,
        name: str,
        settings: dict[str, Any],
        client: Client,
        place: MemoryTurn,
        *,
        state_bytes: int,
        rss_limit_bytes: int | None,
        timeout_s: float,
        on_progress: Callable[[str, float], None],
    ) -> None:
        self.counts = WorkerCounts()
        self.info: dict[str, Any] = {}
        """What the worker said of the model when it was ready the last time."""
        self.worker: WorkerProcess | None = None
        self._name, self._settings, self._client, self._place = name, settings, client, place
        self._state_bytes, self._rss_limit, self._timeout_s = state_bytes, rss_limit_bytes, timeout_s
        self._on_progress = on_progress
        self._deaths: deque[float] = deque(maxlen=LIVES)
        self._down: AiosError | None = ModelFailed(f"model {name!r} is not started")
        self._patient = False
        """Whether a worker will come after all, if one waits: those who have begun do."""
        self._task_status: TaskStatus[None]
        self._started = False
        self._changed = Signal()

    @property
    def healthy(self) -> bool:
        """Whether a worker is there, or comes when it is wanted."""
        return self._down is None

    async def ready(self, begun: bool = False) -> WorkerProcess:
        """The worker, when there is one. Raises ModelFailed if there is none for a while, unless a call has begun."""
        while self.worker is None:
            if self._down is not None and not (begun and self._patient):
                raise type(self._down)(self._down.message, **self._down.data)
            await self._changed.wait()
        return self.worker

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Keep a worker alive while it is wanted. Started when the first is loaded, or has to wait for room.

        Raises what keeps the first from loading.
        """
        self._task_status = task_status
        self._set(None, None)
        try:
            while True:
                try:
                    failure = await self._live()
                except OSError as error:
                    failure = ModelFailed(f"the worker of model {self._name!r} could not be started: {error}")
                if failure and not self._started:
                    self._set(None, failure)
                    raise failure
                if failure:
                    self._deaths.append(anyio.current_time())
                if len(self._deaths) == LIVES and self._deaths[-1] - self._deaths[0] < WINDOW_S:
                    await self._cool_down(failure)
                if self._place.most_bytes is not None:
                    # What memory there is belongs to those who are used.
                    await self._place.wanted()
        finally:
            self._patient = False
            self._client.lost("was stopped with the model", died=False)
            self._set(None, self._down or ModelFailed(f"model {self._name!r} is stopped"))

    async def _cool_down(self, failure: AiosError | None) -> None:
        reason = f": {failure.message}" if failure else ""
        self._patient = failure is None
        self._set(
            None,
            ModelFailed(
                f"the worker of model {self._name!r} died {LIVES} times within {WINDOW_S:.0f} s{reason}; "
                f"it is tried again in {COOL_DOWN_S:.0f} s"
            ),
        )
        await anyio.sleep(COOL_DOWN_S)
        self._patient = False
        self._deaths.clear()
        self._set(None, None)

    async def _live(self) -> AiosError | None:
        """One worker's life; the error that it failed to load with, if so. Raises OSError without a process for it."""
        # The place is given back when the process is gone, not before.
        async with AsyncExitStack() as stack, WorkerProcess.spawn(Path(self._settings["path"])) as worker:
            try:
                limit = await self._load(worker, stack)
            except AiosError as error:
                return error
            if limit is not None:
                await self._serve(worker, limit)
            return None

    async def _load(self, worker: WorkerProcess, stack: AsyncExitStack) -> int | None:
        """Load the model and hold its place; the bytes that the worker may take, or None if there is no room at start.

        Raises AiosError.
        """
        worker.send(self._settings)
        needs = await self._expect(worker, "needs")
        self._check(needs)
        if self._started or self._place.has_room(needs):
            await stack.enter_async_context(self._place.hold(needs))
            worker.send({"load": True})
            self.info = await self._expect(worker, "ready")
            self.counts.resident_bytes = worker.rss_bytes()
            limit = self._limit(self.counts.resident_bytes)
            self.counts.loads += 1
            self._place.loaded()
            self._set(worker, None)
            self._start()
            return limit
        self._start()
        return None

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._task_status.started()

    async def _expect(self, worker: WorkerProcess, key: str) -> Any:
        """What a loading worker says next under a key, past its progress."""
        while True:
            try:
                with anyio.fail_after(LOAD_TIMEOUT_S):
                    frame = await worker.receive()
            except anyio.EndOfStream:
                reason = f"{await worker.exit_reason()} while it loaded"
                raise ModelFailed(f"the worker of model {self._name!r} {reason}") from None
            except TimeoutError:
                reason = f"made no progress in loading for {LOAD_TIMEOUT_S:.0f} s"
                raise ModelFailed(f"model {self._name!r} {reason}; look at the machine's load and disk") from None
            match frame:
                case {"progress": [what, share]}:
                    self._on_progress(f"{self._name}: {what}", share)
                case {"failed": error}:
                    raise from_wire(error)
            if key in frame:
                return frame[key]

    def _check(self, needs: int) -> None:
        most = self._place.most_bytes
        if most is not None and needs > most:
            raise ModelFailed(
                f"model {self._name!r} needs about {mb(needs)} of memory and all models together may have {mb(most)}; "
                "raise memory.models_mb, or configure fewer slots, a shorter context or a smaller model"
            )

    def _limit(self, rss: int) -> int:
        """The most that a worker may take which takes `rss` bytes when it is loaded."""
        if self._rss_limit is None:
            return rss + self._state_bytes + GROWTH_BYTES
        if rss > self._rss_limit:
            raise ModelFailed(
                f"model {self._name!r} takes {mb(rss)} of memory once it is loaded and may take {mb(self._rss_limit)}; "
                "raise its rss_limit_mb, or configure fewer slots, a shorter context or a smaller model"
            )
        return self._rss_limit

    async def _serve(self, worker: WorkerProcess, limit: int) -> None:
        """Hand on what a worker says until it dies or gives way; then say so."""
        gave_way = False

        async def give_way() -> None:
            nonlocal gave_way
            await self._place.unwanted()
            gave_way = True
            worker.kill("gave way to another model")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, worker, limit)
            tasks.start_soon(give_way)
            with suppress(anyio.EndOfStream):
                while True:
                    self._client.hear((await worker.receive()).get("step", []))
            tasks.cancel_scope.cancel()
        self._set(None, None)
        self.counts.resident_bytes = 0
        reason = await worker.exit_reason()
        if gave_way:
            self.counts.unloads += 1
            self._client.lost(reason, died=False)
            return
        self.counts.deaths += 1
        if self._client.lost(reason, died=True):
            self._deaths.clear()
        else:
            self._deaths.append(anyio.current_time())

    async def _watch(self, worker: WorkerProcess, limit: int) -> None:
        """Kill a worker that has something to do and gets nowhere, or that has grown too large.

        Any moment is a safe one for that: what it wrote is here, and its generations go on from their tokens.
        """
        while True:
            self.counts.resident_bytes = rss = worker.rss_bytes()
            if rss > limit:
                self.counts.rss_restarts += 1
                worker.kill(f"was ended at {mb(rss)} of memory, over its limit of {mb(limit)}")
                return
            if self._client.waits and anyio.current_time() - worker.heard > self._timeout_s:
                worker.kill(f"was ended after {self._timeout_s:g} s without progress")
                return
            await anyio.sleep(heartbeat_s(self._timeout_s))

    def _set(self, worker: WorkerProcess | None, down: AiosError | None) -> None:
        self.worker, self._down = worker, down
        self._changed.notify()


def heartbeat_s(timeout_s: float) -> float:
    """How often a worker is looked at, and says that it gets on."""
    return min(1.0, timeout_s / 4)
