"""From a Config to a running kernel, which outlives the runs on it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aios.boot.lanes import llm_lane, scheduler
from aios.boot.libraries import Libraries
from aios.boot.models import Progress, make_models
from aios.boot.remembered import memory
from aios.config import Config, ModelConfig, home, journal_path
from aios.kernel import Kernel, Lane, Limits
from aios.kernel.service_history import ServiceHistory
from aios.models.base import Backend
from aios.private import private_directory
from aios.record import SqliteJournal
from aios.routing.dispatch import Dispatch
from aios.routing.forecast import QueueLoad
from aios.routing.outcomes import Outcomes
from aios.routing.prices import Price
from aios.routing.retries import Retries
from aios.routing.router import Profile, Router
from aios.routing.strategies import Weights
from aios_syscalls import BadRequest

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BootedKernel:
    """A kernel that runs can be opened on; see `open_run`."""

    kernel: Kernel
    config: Config
    """Of the kernel's own; a run has another for what is its own."""
    journal: Path
    models: Mapping[str, Backend]
    facts: Mapping[str, Any]
    """What the record of each run says of its kernel."""
    libraries: Libraries
    """The files of the roots of all runs."""


@asynccontextmanager
async def boot_kernel(
    config: Config,
    *,
    models: Sequence[Backend] | None = None,
    progress: Progress | None = None,
    directory: Path | None = None,
    remember: bool = True,
    shared: bool = False,
) -> AsyncIterator[BootedKernel]:
    """A running kernel without a run. `models` replace the configured ones.

    Its record is in the journal of all runs, or with the run that is to have this `directory`, where that is not one of
    theirs. What the router and the schedulers learn is kept for the next kernel, and used in this one, if they are to
    remember it and the models are those of the configuration.

    Raises BadRequest for a configuration that cannot be, ModelFailed when a model does not load.
    """
    _keep_private(directory, models is None)
    config = _fair(config) if shared else config
    remember = remember and models is None
    async with AsyncExitStack() as stack:
        serving = {}
        for model in models if models is not None else make_models(config, progress):
            serving[model.name] = await stack.enter_async_context(model)
        # After the models: what does not come to start leaves no record of a run.
        path = journal_path(directory) if directory else journal_path()
        journal = await stack.enter_async_context(SqliteJournal(path, config.journal.max_mb * MEBIBYTE))
        libraries = stack.enter_context(Libraries())
        lanes: dict[str, Lane] = {}
        router = stack.enter_context(_router(config, serving, lanes, remember=remember))
        totals = _totals(config, stack) if remember else None
        for name, model in serving.items():
            lanes[name] = llm_lane(config, model, router.forecast.speeds[name], totals)
        dispatch = Dispatch(router, Retries(random.Random(config.seed)), hedge=config.router.hedge)
        kernel = Kernel(lanes.values(), dispatch, journal, limits=Limits(**config.limits.model_dump()))
        await stack.enter_async_context(kernel)
        if totals is not None:
            stack.callback(totals.close)  # before the kernel, which cuts off what still runs
        yield BootedKernel(kernel, config, path, serving, _facts(config, router.name, serving), libraries)


def _fair(config: Config) -> Config:
    """The configuration whose usual policy shares the models evenly between tenants, each served as it was before."""
    if "policy" in config.scheduler.model_fields_set:
        return config
    return config.model_copy(update={"scheduler": config.scheduler.model_copy(update={"policy": "fair_gittins"})})


def _totals(config: Config, stack: AsyncExitStack) -> ServiceHistory | None:
    """What earlier runs of programs took, if the scheduler is to remember it."""
    if not config.scheduler.remember:
        return None
    totals = ServiceHistory(memory("scheduler"))
    stack.callback(totals.close)
    return totals


def _keep_private(directory: Path | None, kept: bool) -> None:
    """Close to others what a kernel keeps things in, and make it so where anything is to be `kept` there.

    Where that cannot be done, who writes there says so.
    """
    state = home("state")
    places = [(each, each) for each in (state, home("cache")) if kept or each.exists()]
    places += [(directory.parent, state)] if directory and state in directory.parents else []
    for place, base in places:
        with suppress(OSError):
            private_directory(place, base)


def _facts(config: Config, router: str, models: Mapping[str, Backend]) -> dict[str, Any]:
    return {
        "scheduler": config.scheduler.policy,
        "slice": scheduler(config).slice and config.scheduler.slice,
        "router": router,
        "models": {name: model.slots for name, model in models.items()},
    }


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
