"""Benchmarks: one module each, with `main(quick: bool) -> Report`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from aios_syscalls import NotFound

if TYPE_CHECKING:
    from rich.table import Table

BENCHES: Mapping[str, str] = {
    "overhead": "what a syscall costs: latency, throughput, 10,000 queued",
    "batching": "eight agents at once against one after the other, and against llama-cpp-python alone",
    "preemption": "200 random preemption points: the same text, no token generated twice",
    "fairness": "first token of a late short call beside long ones: round robin against FIFO",
    "tools": "tools chosen by writing, under a grammar and by ranking, on 66 labelled requests",
}
"""Name -> what it measures; the module is `aios.bench.<name>`."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What the figure `name` has to keep to."""

    name: str
    relation: Literal["<=", ">="]
    limit: float

    def check(self, value: float) -> Target:
        """The bound, applied to what was measured."""
        met = value <= self.limit if self.relation == "<=" else value >= self.limit
        return Target(self.name, value, f"{self.relation} {self.limit:g}", met)


def at_most(name: str, limit: float) -> Bound:
    """The figure may not be larger."""
    return Bound(name, "<=", limit)


def at_least(name: str, limit: float) -> Bound:
    """The figure may not be smaller."""
    return Bound(name, ">=", limit)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure beside its bound, such as `>= 1.8`, and whether it keeps to it."""

    name: str
    value: float
    bound: str
    met: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a benchmark found, and on which machine."""

    bench: str
    machine: Mapping[str, Any]
    figures: Mapping[str, float]
    targets: Sequence[Target] = ()

    @classmethod
    def of(cls, bench: str, figures: Mapping[str, float], goals: Sequence[Bound | Target] = ()) -> Report:
        """The report of figures measured here; bounds are applied to the figures of their name."""
        targets = [goal if isinstance(goal, Target) else goal.check(figures[goal.name]) for goal in goals]
        return cls(bench, machine(), figures, targets)

    @property
    def met(self) -> bool:
        """Whether every target was met."""
        return all(target.met for target in self.targets)

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(asdict(self), indent=2)

    def table(self) -> Table:
        """The report for people: each figure, with its bound where it has one."""
        from rich.text import Text

        from aios.cli.table import grid

        table = grid("FIGURE", ">VALUE", "BOUND", "MET", title=f"{self.bench} on {describe(self.machine)}")
        bounds = {target.name: target for target in self.targets}
        for name, value in self.figures.items():
            target = bounds.get(name)
            if target is None:
                table.add_row(name, f"{value:,.4g}")
            else:
                met = Text("yes", style="green") if target.met else Text("no", style="bold red")
                table.add_row(name, f"{value:,.4g}", target.bound, met)
        return table


def run(name: str, quick: bool) -> Report:
    """Run the benchmark `name`, smaller when `quick`. Raises NotFound for a name that there is not."""
    if name not in BENCHES:
        near = get_close_matches(name, BENCHES, 1)
        raise NotFound(f"no benchmark {name!r}; {f'did you mean {near[0]}?' if near else 'aios bench lists them'}")
    return cast(Report, import_module(f"aios.bench.{name}").main(quick))


def machine() -> dict[str, Any]:
    """The facts about this machine that figures depend on."""
    import psutil

    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "engine": _version("llama-cpp-python"),
    }


def describe(facts: Mapping[str, Any]) -> str:
    """A machine in one line."""
    return f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Python {facts['python']}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
