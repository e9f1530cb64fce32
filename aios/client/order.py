"""What a client says of itself when it connects."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aios import project
from aios.config import Config, load, new_run_directory
from aios.link.order import RunOrder, run_part
from aios_syscalls import BadRequest, Budget
from aios_syscalls.invalid import explain

AGENTS = "agents"
"""The directory of programs here, which nobody who was started from here may change."""


def client_order(
    root: str | os.PathLike[str] | None,
    model: str | None,
    budget: Budget | None,
    priority: int,
    deadline_s: float | None = None,
) -> Any:
    """The client's run, as JSON: by the configuration in force here, where no argument says otherwise."""
    try:
        config = _configuration(root, model, budget, deadline_s)
        sealed = [Path(project.NAME), Path(AGENTS), *config.tools]
        order = RunOrder(
            # Longer than that of `aios run`: a thousand programs may connect in one second.
            id=new_run_directory().name + secrets.token_hex(6),
            config=run_part(config, sealed),
            facts={"directory": os.getcwd(), "python": sys.executable},
            priority=priority,
        )
    except ValidationError as error:
        raise explain(error, "aios.connect") from None
    return order.model_dump(mode="json")


def client_name(name: str | None) -> str:
    """What a client is called in the process table: its program's file, where it has none of its own."""
    if name is not None and not isinstance(name, str):
        raise BadRequest(f"name is {type(name).__name__}; give a text, as in name='my-script'", "name")
    return name or Path(sys.argv[0] if sys.argv else "").stem or "client"


def _configuration(
    root: str | os.PathLike[str] | None, model: str | None, budget: Budget | None, deadline_s: float | None
) -> Config:
    flags: dict[str, Any] = {} if deadline_s is None else {"deadline_s": deadline_s}
    if root is not None:
        flags["root"] = os.fspath(root)
    if model is not None:
        flags["model"] = model
    config = load(flags)
    return config if budget is None else config.model_copy(update={"budget": Budget.model_validate(budget)})
