"""From a running kernel to a run on it: its host, tools, files, budget and record."""

from __future__ import annotations

import math
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread

from aios import project
from aios.artifacts import default_embedder
from aios.boot.fingerprint import fingerprint
from aios.boot.kernel import BootedKernel, boot_kernel
from aios.boot.models import Progress
from aios.boot.resume import Durability, reopened
from aios.boot.walls import DryWall, agents_logs, wall_facts, walls
from aios.config import Config, home, new_run_directory, runs_directory
from aios.cores.file import FileCore
from aios.cores.tool import ToolCore
from aios.hosts import Main, default_directories, find_program, is_path, program_name, programs
from aios.hosts.process import ProcessHost
from aios.hosts.task import TaskHost
from aios.kernel import Core, Host, Kernel, Lane, Limits, Run, RunSettings
from aios.models import Backend
from aios.owner import meaning
from aios.record import Observer
from aios.routing.defaults import with_defaults
from aios.scheduler import Fifo
from aios.tools.builtin import BUILTIN
from aios.tools.registry import ToolBox, load_tools
from aios.tools.tool import Tool
from aios_storage import Executed, Library, Root, Sealed
from aios_syscalls import BadRequest, NotFound

SEALED = ("__pycache__",)
"""Names of directories that no agent has to write to: what Python runs instead of a source."""


@dataclass(frozen=True, slots=True)
class BootedRun:
    """A run on a booted kernel, and where its record is."""

    id: str
    directory: Path
    run: Run
    kernel: Kernel
    models: Mapping[str, Backend]
    journal: Path
    """The journal that the run is in."""


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
    durable: Durability | None = None,
) -> AsyncIterator[BootedRun]:
    """A kernel of its own for one run; see `boot_kernel`. `mains` are programs that are functions.

    The fingerprint has the programs that have names, and of those that are `starting` the ones given by their path.

    What belongs to the run alone goes to `directory`, whose name is the run's id.
    With `dry_wall` agents run without their walls, and what these would have refused is noted beside their logs.
    With `durable` the run can be resumed, or is. Raises BadRequest where its programs have no processes of their own.
    """
    _check_durable(durable, config, mains)
    directory = directory or run_directory(durable)
    box = tool_box(config, directory)
    check_root(config.root)
    kernel = boot_kernel(config, models=models, progress=progress, directory=directory, remember=remember)
    async with kernel as booted, _host(config, directory, mains, dry_wall, durable) as host:
        facts: dict[str, Any] = {"wall": wall_facts(config, host, dry_wall)}
        facts |= durable.facts(config) if durable else {}
        facts["fingerprint"] = await anyio.to_thread.run_sync(run_fingerprint, config, starting)
        async with open_run(booted, config, directory, host, ToolCore(box), facts, observers, durable=durable) as run:
            yield run


@asynccontextmanager
async def open_run(
    booted: BootedKernel,
    config: Config,
    directory: Path,
    host: Host,
    tools: Core,
    facts: Mapping[str, Any],
    observers: Iterable[Observer] = (),
    *,
    tenant: str = "",
    model: str | None = None,
    priority: int = 0,
    durable: Durability | None = None,
) -> AsyncIterator[BootedRun]:
    """A run on a kernel: the root, files, budgets and limits are of its own configuration, the rest is the kernel's.

    Calls that name no model, or no priority, have those given here. With `durable` it can be resumed, or is.
    """
    old = durable.resume if durable else None
    past = await reopened(booted.kernel.journal, old) if old else None
    key = f"{config.root.absolute()} {config.files.model_dump_json()} {sealed(config)!r}"
    take = partial(booted.libraries.take, key, partial(library, config))
    files = FileCore(take, directory.name, config.files.private, config.files.homes, close=booted.libraries.give_back)
    # Tools and files bound themselves, a tool by its own limit, files by their threads.
    lanes = Lane("tool", tools, Fifo(), math.inf), Lane("file", files, Fifo(), math.inf)
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    settings = RunSettings(
        host,
        id=directory.name,
        lanes=lanes,
        limits=Limits(**config.limits.model_dump()),
        budget=config.budget,
        budgets=config.budgets,
        tenant=tenant,
        prepare=partial(with_defaults, model, priority),
        facts={"run": directory.name, "began": began, "os_pid": os.getpid(), **booted.facts, **facts},
        observers=observers,
        durable=durable is not None,
        past=past,
        deadline_s=config.deadline_s,
        age_s=time.time() - old.began if old else 0.0,
        disk=booted.config.journal.durable if durable or booted.config.journal.durable == "all" else "off",
    )
    try:
        async with booted.kernel.open(settings) as run:
            yield BootedRun(directory.name, directory, run, booted.kernel, booted.models, booted.journal)
    finally:
        files.close()


def run_directory(durable: Durability | None) -> Path:
    """Where a run is to be: a new place, or its own where it is resumed."""
    return runs_directory() / durable.resume.id if durable and durable.resume else new_run_directory()


def _check_durable(durable: Durability | None, config: Config, mains: Mapping[str, Main] | None) -> None:
    if durable and (mains or not config.isolate):
        raise BadRequest("a run is durable where each program has a process of its own; leave out --no-isolate")


def tool_box(config: Config, directory: Path) -> ToolBox:
    """The tools of a run. Raises BadRequest for a file of tools that is not what it has to be."""
    return ToolBox([*BUILTIN, *_tools(config)], walls(config, directory))


def run_fingerprint(config: Config, starting: Iterable[str] = ()) -> dict[str, Any]:
    """See `fingerprint`, of the programs that have names and of those starting that are given by a path. Blocks.

    Raises NotFound for a path without a program.
    """
    directories = (*config.agents, *default_directories())
    by_path = {program_name(each, directories): find_program(each, directories) for each in starting if is_path(each)}
    return fingerprint(config, {**programs(directories), **by_path})


def _tools(config: Config) -> Iterator[Tool]:
    """The tools of the configured files, which are what they have to be."""
    for path in config.tools:
        yield from load_tools(path, config.tool_sha256.get(str(path)))


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
    return Sealed.of(config.root, [*protected(config), *config.read_only], SEALED, _executed(config))


def protected(config: Config) -> list[Path]:
    """What this process was started from, and with."""
    executed = _executed(config)
    *shipped, local = default_directories()
    here = [path for path in (Path(project.NAME), local) if executed and executed.named(path.name)]
    return [home("config"), home("state"), *here, *shipped, *config.agents, *config.tools]


def _executed(config: Config) -> Executed | None:
    """The names that get executed, as far as the user does not allow all of them."""
    allowed = config.files.allow_executed
    return None if allowed is True else Executed(config.root, allowed)


def check_root(path: Path) -> None:
    """Raises NotFound or BadRequest for what is no directory, Denied for one that may not be read."""
    if not path.exists():
        raise NotFound(f"there is no directory {path} to keep agents' files in; make it: mkdir -p {path}", field="root")
    if not path.is_dir():
        raise BadRequest(f"{path} is no directory, and agents' files need one; give another as --root", "root")
    Root(path).close()


def _host(
    config: Config,
    directory: Path,
    mains: Mapping[str, Main] | None,
    dry: DryWall | None,
    durable: Durability | None,
) -> AbstractAsyncContextManager[Host]:
    directories = (*config.agents, *default_directories())
    if config.isolate and not mains:
        hash_seed = durable.hash_seed if durable else None
        return ProcessHost(agents_logs(directory), directories, walls(config, directory, dry), hash_seed)
    return nullcontext(TaskHost(directories, mains))
