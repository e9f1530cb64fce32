"""The composition root: from a Config to a running kernel. Only here are concrete classes named."""

from __future__ import annotations

import math
import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from aios.config import (
    MEBIBYTE,
    Config,
    LaneConfig,
    LocalModelConfig,
    ModelConfig,
    RemoteModelConfig,
    home,
    journal_path,
    new_run_directory,
)
from aios.cores.dispatch import Dispatch
from aios.cores.file import FileCore
from aios.cores.llm import LlmCore
from aios.cores.tool import ToolCore
from aios.hosts.process import ProcessHost
from aios.hosts.program import Main, default_directories
from aios.hosts.task import TaskHost
from aios.kernel import Host, Kernel, Lane, Limits, Observer, SqliteJournal
from aios.kernel.totals import Totals
from aios.models.base import Backend
from aios.models.local.memory import kept
from aios.models.local.residency import Residency
from aios.models.prices import Price
from aios.models.retries import Retries
from aios.models.router import Profile, Router
from aios.models.routing.forecast import Load
from aios.models.routing.outcomes import Outcomes
from aios.models.routing.speed import Speed
from aios.models.routing.strategies import Weights
from aios.scheduler import POLICIES, READ_US, Fifo, Learnt, Quantum, Room, Scheduler
from aios.scheduler.quantum import LEAST
from aios.setup import default_embedder, model_path
from aios.tools.builtin import BUILTIN
from aios.tools.registry import ToolBox, load_tools
from aios_storage import Root
from aios_storage.client import Meaning
from aios_storage.library import Library
from aios_syscalls import AiosError, BadRequest, ModelFailed, NotFound

DEFAULT_MODEL = "smollm2-135m"

Progress = Callable[[str, float], None]
"""Takes what is being made ready and how much of it is, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Run:
    """A booted kernel and where its record is."""

    id: str
    directory: Path
    kernel: Kernel
    models: Mapping[str, Backend]

    @property
    def journal(self) -> Path:
        """The run's journal file."""
        return journal_path(self.directory)


@asynccontextmanager
async def boot(
    config: Config,
    *,
    models: Sequence[Backend] | None = None,
    mains: Mapping[str, Main] | None = None,
    observers: Iterable[Observer] = (),
    progress: Progress | None = None,
    directory: Path | None = None,
    remember: bool = True,
) -> AsyncIterator[Run]:
    """A running kernel. `models` replace the configured ones; `mains` are programs that are functions.

    The run's record goes to `directory`, whose name is the run's id. What the router and the schedulers learn is kept
    for the next run, and used in this one, if they are to remember it and the models are those of the configuration.

    Raises BadRequest for a configuration that cannot be, ModelFailed when a model does not load.
    """
    directory = directory or new_run_directory()
    remember = remember and models is None
    async with AsyncExitStack() as stack:
        box = ToolBox([*BUILTIN, *(tool for path in config.tools for tool in load_tools(path))])
        _check_root(config.root)
        serving = {}
        for model in models if models is not None else make_models(config, progress):
            serving[model.name] = await stack.enter_async_context(model)
        # After the models: what does not come to start leaves no record of a run.
        journal = await stack.enter_async_context(SqliteJournal(journal_path(directory)))
        host = await stack.enter_async_context(_host(config, directory, mains))
        files = FileCore(partial(library, config), directory.name, config.files.private, config.files.homes)
        stack.callback(files.close)
        lanes: dict[str, Lane] = {}
        router = stack.enter_context(_router(config, serving, lanes, remember=remember))
        totals = Totals(memory("scheduler")) if remember and config.scheduler.remember else None
        if totals is not None:
            stack.callback(totals.close)
        for name, model in serving.items():
            learnt = totals.learnt(name) if totals is not None else None
            quantum = Quantum()
            core = LlmCore(model, router.forecast.speeds[name], quantum.observe)
            auto = quantum if _slice(config, name) == "auto" else None
            policy = scheduler(config, model.slots, name, learnt, router.forecast.speeds[name], _let_go(model))
            lanes[name] = Lane(f"llm:{name}", core, policy, model.slots, auto)
        kernel = Kernel(
            # Tools and files bound themselves, a tool by its own limit, files by their threads.
            [*lanes.values(), Lane("tool", ToolCore(box), Fifo(), math.inf), Lane("file", files, Fifo(), math.inf)],
            Dispatch(router, Retries(random.Random(config.seed)), hedge=config.router.hedge),
            host,
            journal,
            limits=Limits(**config.limits.model_dump()),
            budget=config.budget,
            budgets=config.budgets,
            observers=observers,
            facts={
                "run": directory.name,
                "began": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "os_pid": os.getpid(),
                "scheduler": config.scheduler.policy,
                "slice": scheduler(config).slice and config.scheduler.slice,
                "router": router.name,
                "models": {name: model.slots for name, model in serving.items()},
            },
        )
        await stack.enter_async_context(kernel)
        if totals is not None:
            stack.callback(totals.close)  # before the kernel, which cuts off what still runs
        yield Run(directory.name, directory, kernel, serving)


def scheduler(
    config: Config,
    slots: int = 1,
    model: str = "",
    learnt: Learnt | None = None,
    speed: Speed | None = None,
    on_left: Callable[[int], None] = lambda _pid: None,
) -> Scheduler:
    """A new scheduler for a model's lane of so many slots. Raises BadRequest for a policy that there is not.

    `learnt` is what is known of programs and `speed` what the model is known to take; `on_left` hears of processes
    whose contexts have no place any more.
    """
    lane = config.scheduler.lanes.get(model, LaneConfig())
    policy, field = lane.policy or config.scheduler.policy, "scheduler.policy"
    if lane.policy:
        field = f"scheduler.lanes.{model}.policy"
    make = POLICIES.get(policy)
    if make is None:
        known = ", ".join(sorted(POLICIES))
        raise BadRequest(f"no scheduling policy {policy!r}; there are {known}", field)
    slice = _slice(config, model)
    # What it chooses itself is what it would if switching were free; the lane lengthens that.
    made = make(LEAST if slice == "auto" else slice, slots, config.scheduler.weights, learnt)
    return _in_room(made, config, slots, model, speed, on_left)


def _let_go(model: Backend) -> Callable[[int], None]:
    """How a model is told that nobody is about to need what it keeps of a process."""
    from aios.models.local.client import LocalModel

    return model.let_go if isinstance(model, LocalModel) else lambda _pid: None


def _in_room(
    policy: Scheduler,
    config: Config,
    slots: int,
    model: str,
    speed: Speed | None,
    on_left: Callable[[int], None],
) -> Scheduler:
    """A policy for as many programs as a model has memory for; the policy itself where there is no bound."""
    lane = config.scheduler.lanes.get(model, LaneConfig())
    memory = lane.memory or config.scheduler.memory
    measured = READ_US if speed is None else partial(getattr, speed, "read_us")
    read_us = config.scheduler.read_us or measured
    if isinstance(memory, int):
        return Room(policy, memory, read_us, on_left=on_left)
    local = config.models.get(model, LocalModelConfig(path=model_path()) if model == DEFAULT_MODEL else None)
    if memory == "unlimited" or not isinstance(local, LocalModelConfig) or local.embed:
        return policy
    bytes = local.memory_mb * MEBIBYTE, local.disk_mb * MEBIBYTE
    try:
        found = kept(local.path, slots, local.context, *bytes)
    except ModelFailed:  # who loads it says so
        return policy
    return policy if found is None else Room(policy, found.capacity, read_us, found.takes, on_left)


def _slice(config: Config, model: str) -> int | Literal["auto"]:
    lane = config.scheduler.lanes.get(model)
    return (lane and lane.slice) or config.scheduler.slice


def make_models(config: Config, progress: Progress | None = None) -> list[Backend]:
    """The configured models, not started yet; SmolLM2 when none is configured."""
    configured: Mapping[str, ModelConfig] = config.models
    if not configured:
        configured = {DEFAULT_MODEL: LocalModelConfig(path=model_path())}
        if not model_path().is_file():
            raise ModelFailed(f"the default model is not at {model_path()}; fetch it with: python -m aios.setup")
    dice = random.Random(config.seed)
    most = config.memory.models_mb
    residency = Residency(None if most is None else most * MEBIBYTE)
    return [make_model(name, each, dice, progress, residency) for name, each in configured.items()]


def make_model(
    name: str,
    config: ModelConfig,
    dice: random.Random,
    progress: Progress | None = None,
    residency: Residency | None = None,
) -> Backend:
    """One model of a configuration, not started yet; local ones share the memory of `residency`."""
    if isinstance(config, LocalModelConfig):
        return _local(name, config, dice, progress, residency)
    return _remote(name, config)


def _local(
    name: str, config: LocalModelConfig, dice: random.Random, progress: Progress | None, residency: Residency | None
) -> Backend:
    if config.embed:
        from aios.models.local.embedder import LocalEmbedder

        return LocalEmbedder(
            config.path,
            name=name,
            slots=config.slots,
            context=config.context,
            requantize=config.requantize,
            on_progress=progress,
            gpu_layers=config.n_gpu_layers,
            rss_limit_bytes=config.rss_limit_mb * MEBIBYTE if config.rss_limit_mb else None,
            residency=residency,
        )
    from aios.models.local.client import LocalModel

    return LocalModel(
        config.path,
        name=name,
        slots=config.slots,
        context=config.context,
        requantize=config.requantize,
        mode=config.mode,
        memory_bytes=config.memory_mb * MEBIBYTE,
        disk_bytes=config.disk_mb * MEBIBYTE,
        random=dice,
        on_progress=progress,
        gpu_layers=config.n_gpu_layers,
        rss_limit_bytes=None if config.rss_limit_mb is None else config.rss_limit_mb * MEBIBYTE,
        residency=residency,
    )


def _remote(name: str, config: RemoteModelConfig) -> Backend:
    from aios.models.remote.endpoint import Settings
    from aios.models.remote.model import RemoteEmbedder, RemoteModel

    settings: Settings = {
        "name": name,
        "api_key_env": config.api_key_env,
        "slots": config.slots,
        "timeout_s": config.timeout_s,
        "rpm": config.rpm,
        "tpm": config.tpm,
        "extra": config.extra,
        "local": config.local,
    }
    if config.embed:
        return RemoteEmbedder(str(config.base_url), config.model, **settings)
    return RemoteModel(
        str(config.base_url),
        config.model,
        protocol=config.kind,
        context=config.context,
        tools=config.tools,
        schemas=config.schemas,
        stream=config.stream,
        logprobs=config.logprobs,
        resume=config.resume,
        priority=config.priority,
        program_field=config.program_field,
        **settings,
    )


def survey(config: LocalModelConfig) -> dict[str, Any]:
    """What can be said of a local model without loading it; `problem` is why it would not load, if that shows."""
    from aios.models.local.gguf import Header
    from aios.models.local.memory import Needs
    from aios.models.local.process import resident_bytes

    try:
        header = Header.read(config.path)
        needs = Needs.of(config.path, config.slots, config.context)
    except ModelFailed as error:
        return {"problem": error.message}
    return {
        "architecture": header.architecture,
        "layers": header.layers,
        "trained_context": header.trained_context,
        "needs_bytes": needs.total,
        "resident_bytes": resident_bytes(config.path),
    }


async def try_models(config: Config, progress: Progress | None = None) -> dict[str, dict[str, Any]]:
    """What the engine says of each local model when it is loaded, one at a time, or `problem`: why it does not load."""
    from aios.models.local.client import LocalModel

    found: dict[str, dict[str, Any]] = {}
    for model in make_models(config, progress):
        if isinstance(model, LocalModel):
            try:
                async with model:
                    found[model.name] = {**model.info, "resident_bytes": (await model.stats())["rss_bytes"]}
            except AiosError as error:
                found[model.name] = {"problem": error.message}
    return found


def library(config: Config) -> Library:
    """The files of the configured root. Meaning is asked of the index's owner, which the first such question starts."""
    spec = config.files.embedder or default_embedder()
    return Library(config.root, nearest=Meaning(config.root, spec) if spec and spec != "none" else None)


def _check_root(path: Path) -> None:
    """Raises NotFound or BadRequest for what is no directory, Denied for one that may not be read."""
    if not path.exists():
        raise NotFound(f"there is no directory {path} to keep agents' files in; make it: mkdir -p {path}", field="root")
    if not path.is_dir():
        raise BadRequest(f"{path} is no directory, and agents' files need one; give another as --root", "root")
    Root(path).close()


def _host(config: Config, directory: Path, mains: Mapping[str, Main] | None) -> AbstractAsyncContextManager[Host]:
    directories = (*config.agents, *default_directories())
    if config.isolate and not mains:
        return ProcessHost(directory / "agents", directories)
    return nullcontext(TaskHost(directories, mains))


def _preferred(models: Mapping[str, Backend], first: str | None) -> Mapping[str, Backend]:
    """The models with the preferred one in front. Raises BadRequest when there is none of that name."""
    if first is None:
        return models
    if first not in models:
        raise BadRequest(f"no model {first!r} is configured; there are {', '.join(models)}", "model")
    return {first: models[first], **models}


@contextmanager
def _router(
    config: Config, models: Mapping[str, Backend], lanes: Mapping[str, Lane], *, remember: bool
) -> Iterator[Router]:
    """The router of a kernel whose lanes are about to be; what it learns is kept for the next run."""

    def load(name: str) -> Load:
        lane = lanes[name]
        return Load(lane.running, lane.waiting, lane.width)

    settings = config.router
    several = remember and settings.remember and len(models) > 1
    outcomes = Outcomes(memory("router")) if several else None
    try:
        yield Router(
            _preferred(models, config.model),
            "explicit" if config.model else settings.strategy,
            profiles={name: _profile(config, each) for name, each in config.models.items()},
            weights=Weights(settings.usd, settings.second, settings.explore),
            load=load,
            outcomes=outcomes,
        )
    finally:
        if outcomes is not None:
            outcomes.close()


def memory(kind: Literal["router", "scheduler"]) -> Path:
    """Where what one of these has learnt is kept for the next run."""
    return home("state") / f"{kind}.db"


def learnt_answers() -> tuple[int, str]:
    """How many answers the router remembers, and what is wrong with that, if anything."""
    with closing(Outcomes(memory("router"))) as outcomes:
        return outcomes.count(), outcomes.trouble


def learnt_programs() -> tuple[int, int, str]:
    """How many runs of how many programs the scheduler remembers, and what is wrong with that, if anything."""
    with closing(Totals(memory("scheduler"))) as totals:
        return *totals.count(), totals.trouble


def _profile(config: Config, model: ModelConfig) -> Profile:
    price = config.price(model)
    dollars = Price(price.input, price.output, price.cached) if price else None
    return Profile(dollars, model.quality, model.fallbacks)
