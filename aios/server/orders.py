"""From a client's order to its run on the daemon's kernel."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

from aios.boot import BootedKernel, BootedRun, Durability, open_run, tool_box
from aios.config import Config, runs_directory
from aios.cores.tool import ToolCore
from aios.kernel import Core, Host
from aios.link.order import RunOrder
from aios.record import Observer
from aios_syscalls import Conflict


def open_order(
    booted: BootedKernel,
    order: RunOrder,
    config: Config,
    host: Host,
    tools: Core | None = None,
    observers: Iterable[Observer] = (),
    durable: Durability | None = None,
) -> AbstractAsyncContextManager[BootedRun]:
    """The run that was ordered, under its own id; see `open_run`. Without `tools` it has those of `config`.

    Raises Conflict where a run of that id is open, BadRequest for a file of tools that is not what it has to be.
    """
    if order.id in booted.kernel.runs:
        raise Conflict(f"run {order.id} goes on already, and no second one may have its id; see aios ps")
    directory = runs_directory() / order.id
    return open_run(
        booted,
        config,
        directory,
        host,
        tools or ToolCore(tool_box(config, directory)),
        order.facts,
        observers,
        tenant=order.id,
        model=config.model,
        priority=order.priority,
        durable=durable,
    )
