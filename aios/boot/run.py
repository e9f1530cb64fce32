"""From a Config to a running kernel."""

from __future__ import annotations

import math
import os
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread

from aios import project
from aios.artifacts import default_embedder
from aios.boot.fingerprint import fingerprint
from aios.boot.lanes import llm_lane, scheduler
from aios.boot.models import Progress, make_models
from aios.boot.remembered import memory
from aios.boot.walls import DryWall, agents_logs, wall_facts, walls
from aios.config import (
    Config,
    ModelConfig,
    home,
    journal_path,
    new_run_directory,
)
from aios.cores.file import FileCore
from aios.cores.tool import ToolCore
from aios.hosts import Main, default_directories, find_program, is_path, program_name, programs
from aios.hosts.process import ProcessHost
from aios.hosts.task import TaskHost
from aios.kernel import Host, Kernel, Lane, Limits
from aios.kernel.service_history import ServiceHistory
from aios.models import Backend
from aios.owner import meaning
from aios.private import private_directory
from aios.record import Observer, SqliteJournal
from aios.routing.dispatch import Dispatch
from aios.routing.forecast import QueueLoad
from aios.routing.outcomes import Outcomes
from aios.routing.prices import Price
from aios.routing.retries import Retries
from aios.routing.router import Profile, Router
from aios.routing.strategies import Weights
from aios.scheduler import Fifo
from aios.tools.builtin import BUILTIN
from aios.tools.registry import ToolBox, load_tools
from aios.tools.tool import Tool
from aios_storage import Executed, Library, Root, Sealed
from aios_syscalls import BadRequest, NotFound

MEBIBYTE = 1024 * 1024
SEALED = ("__pycache__",)
"""Names of directories that no agent has to write to: what Python runs instead of a source."""


@dataclass(frozen=True, slots=True)
class Run:
    """A booted kernel and where its record is."""

    id: str
    directory: Path
    kernel: Kernel
    models: Mapping[str, Backend]

    @property
    def journal(self) -> Path:
        """The journal that the run is in."""
        return journal_path(self.directory)


@asynccontextmanager
async def boot(
    config: Config,
    *,
    models: Sequence[Backend] | None = None,
    mains: Mapping[str, Main] | None = None,
    starting: Iterable[str] = (),
    observers: Iterable[Observer] = (),
    progress: Progress | None = None,
    directory: Path | None = None,
    remember: bool = True,
    dry_wall: DryWall | None = None,
) -> AsyncIterator[Run]:
    """A running kernel. `models` replace the configured ones; `mains` are programs that are functions.

    The fingerprint has the programs that have names, and of those that are `starting` the ones given by their path.

    What belongs to the run alone goes to `directory`, whose name is the run's id, and its record to the journal of all
    runs; where the directory is not one of theirs, the record is in there too. What the router and the schedulers learn
    is kept for the next run, and used in this one, if they are to remember it and the models are those of the
    configuration.
    With `dry_wall` agents run without their walls, and what these would have refused is noted beside their logs.

    Raises BadRequest for a configuration that cannot be, NotFound for a path without a program, ModelFailed
    when a model does not load.
    """
    directory = directory or new_run_directory()
    _keep_private(directory, models is None)
    remember = remember and models is None
    async with AsyncExitStack() as stack:
        box = ToolBox([*BUILTIN, *_tools(config)], walls(config, directory))
        _check_root(config.root)
        serving = {}
        for model in models if models is not None else make_models(config, progress):
            serving[model.name] = await stack.enter_async_context(model)
        # After the models: what does not come to start leaves no record of a run.
        max_bytes = config.journal.max_mb * MEBIBYTE
        journal = await stack.enter_async_context(SqliteJournal(journal_path(directory), max_bytes))
        host = await stack.enter_async_context(_host(config, directory, mains, dry_wall))
        files = FileCore(partial(library, config), directory.name, config.files.private, config.files.homes)
        stack.callback(files.close)
        lanes: dict[str, Lane] = {}
        router = stack.enter_context(_router(config, serving, lanes, remember=remember))
        totals = _totals(config, stack) if remember else None
        for name, model in serving.items():
            lanes[name] = llm_lane(config, model, router.forecast.speeds[name], totals)
        # Tools and files bound themselves, a tool by its own limit, files by their threads.
        others = Lane("tool", ToolCore(box), Fifo(), math.inf), Lane("file", files, Fifo(), math.inf)
        facts = _facts(config, directory.name, router.name, serving, wall_facts(config, host, dry_wall))
        kernel = Kernel(
            [*lanes.values(), *others],
            Dispatch(router, Retries(random.Random(config.seed)), hedge=config.router.hedge),
            host,
            journal,
            limits=Limits(**config.limits.model_dump()),
            budget=config.budget,
            budgets=config.budgets,
            observers=observers,
            facts={**facts, "fingerprint": await _fingerprint(config, starting)},
        )
        await stack.enter_async_context(kernel)
        if totals is not None:
            stack.callback(totals.close)  # before the kernel, which cuts off what still runs
        yield Run(directory.name, directory, kernel, serving)


def _totals(config: Config, stack: AsyncExitStack) -> ServiceHistory | None:
    """What earlier runs of programs took, if the scheduler is to remember it."""
    if not config.scheduler.remember:
        return None
    totals = ServiceHistory(memory("scheduler"))
    stack.callback(totals.close)
    return totals


async def _fingerprint(config: Config, starting: Iterable[str]) -> dict[str, Any]:
    directories = (*config.agents, *default_directories())
    by_path = {program_name(each, directories): find_program(each, directories) for each in starting if is_path(each)}
    return await anyio.to_thread.run_sync(fingerprint, config, {**programs(directories), **by_path})


def _keep_private(directory: Path, kept: bool) -> None:
    """Close to others what a kernel keeps things in, and make it so where anything is to be `kept` there.

    Where that cannot be done, who writes there says so.
    """
    state = home("state")
    places = [(each, each) for each in (state, home("cache")) if kept or each.exists()]
    places += [(directory.parent, state)] if state in directory.parents else []
    for place, base in places:
        with suppress(OSError):
            private_directory(place, base)


def _tools(config: Config) -> Iterator[Tool]:
    """The tools of the configured files, which are what they have to be."""
    for path in config.tools:
        yield from load_tools(path, config.tool_sha256.get(str(path)))


def _facts(
    config: Config, run: str, router: str, models: Mapping[str, Backend], wall: dict[str, Any] | None
) -> dict[str, Any]:
    """What the record of a run begins with."""
    return {
        "run": run,
        "began": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "os_pid": os.getpid(),
        "scheduler": config.scheduler.policy,
        "slice": scheduler(config).slice and config.scheduler.slice,
        "router": router,
        "models": {name: model.slots for name, model in models.items()},
        "wall": wall,
    }


def library(config: Config) -> Library:
    """The files of the configured root. Meaning is asked of the index's owner, which the first such question starts."""
    spec = config.files.embedder or default_embedder()
    nearest = meaning(config.root, spec) if spec and spec != "none" else None
    return Library(config.root, nearest=nearest, sealed=sealed(config))


def sealed(config: Config) -> Sealed:
    """What agents may not change, for programs are started from it.

    That is what this run was started from, wherever it lies, and the names that get executed, as far as the user does
    not allow them. `agents` is a usual name deeper in a tree, where only who goes there and asks for a program by name
    would run it: it is such a name at the top.
    """
    allowed = config.files.allow_executed
    executed = None if allowed is True else Executed(config.root, allowed)
    *shipped, local = default_directories()
    here = [path for path in (Path(project.NAME), local) if executed and executed.named(path.name)]
    own = [home("config"), home("state"), *here, *shipped, *config.agents, *config.tools, *config.read_only]
    return Sealed.of(config.root, own, SEALED, executed)


def _check_root(path: Path) -> None:
    """Raises NotFound or BadRequest for what is no directory, Denied for one that may not be read."""
    if not path.exists():
        raise NotFound(f"there is no directory {path} to keep agents' files in; make it: mkdir -p {path}", field="root")
    if not path.is_dir():
        raise BadRequest(f"{path} is no directory, and agents' files need one; give another as --root", "root")
    Root(path).close()


def _host(
    config: Config, directory: Path, mains: Mapping[str, Main] | None, dry: DryWall | None
) -> AbstractAsyncContextManager[Host]:
    directories = (*config.agents, *default_directories())
    if config.isolate and not mains:
        return ProcessHost(agents_logs(directory), directories, walls(config, directory, dry))
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

    def load(name: str) -> QueueLoad:
        lane = lanes[name]
        return QueueLoad(lane.running, lane.waiting, lane.width)

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


def _profile(config: Config, model: ModelConfig) -> Profile:
    price = config.price(model)
    dollars = Price(price.input, price.output, price.cached) if price else None
    return Profile(dollars, model.quality, model.fallbacks)
