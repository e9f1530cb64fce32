"""What a client says of the run that it opens: what is the run's own, and which kernel it was made for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from aios.config import Config
from aios_syscalls import Frozen

KERNELS = ("models", "router", "prices", "scheduler", "memory", "journal", "seed")
"""Of a configuration, what is the kernel's; the rest is the run's."""
RUNS = ("root", "model", "deadline_s", "limits", "budget", "budgets", "files", "agents", "read_only")
"""Of the rest, what the kernel needs; tools and walls stay with the client, who has the programs."""


class RunOrder(Frozen):
    """One run, as its client wants it."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    config: dict[str, Any]
    """As `RUNS`, paths absolute."""
    kernel: dict[str, Any] | None = None
    """The kernel's part of the client's configuration; None takes any kernel."""
    facts: dict[str, Any] = {}
    """What the record is to say of it."""
    priority: int = Field(default=0, ge=-100, le=100)
    """Of its calls that name none."""
    durable: bool = False
    """Whether it can be resumed."""
    resume: bool = False
    """Whether it is the run of this id on record that goes on."""

    def configuration(self) -> Config:
        """The run's part, as a configuration."""
        return Config.model_validate(self.config)


def run_part(config: Config, sealed: list[Path]) -> dict[str, Any]:
    """What of a configuration is its run's; `sealed` is what agents may not change beside what it names."""
    values = config.model_dump(mode="json", include=set(RUNS))
    read_only = [str(path.absolute()) for path in (*config.read_only, *sealed)]
    agents = [str(path.absolute()) for path in config.agents]
    return {**values, "root": str(config.root.absolute()), "agents": agents, "read_only": read_only}


def kernel_part(config: Config) -> dict[str, Any]:
    """What of a configuration is its kernel's."""
    return config.model_dump(mode="json", include=set(KERNELS))


def differences(kernel: Config, wanted: dict[str, Any]) -> list[str]:
    """The names of the settings in which a kernel is made otherwise than a client wants."""
    return [name for name, value in kernel_part(kernel).items() if wanted.get(name) != value]
