"""Benchmarks: one module each, with `main(quick: bool) -> Report`, or with `data`, `model` or `live` too."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module, metadata
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from aios.bench.chart import Chart, draw
from aios_syscalls import BadRequest, KernelBug, NotFound

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

BENCHES: Mapping[str, str] = {
    "overhead": "what a syscall costs: latency, throughput, 10,000 queued",
    "http": "chat and messages over HTTP beside a bare route, vanishing clients, how soon and large a daemon is",
    "durable": "durable runs: what they cost beside others, how soon a cut one goes on, how soon a kernel starts",
    "record": "the record of runs: `aios ps` beside a gigabyte of payloads, `aios runs` over a million events",
    "batching": "eight agents at once against one after the other, and against llama-cpp-python alone",
    "preemption": "200 random preemption points: the same text, no token generated twice",
    "memory": "more agents than contexts are kept of: what is read again where all begin, and under admission control",
    "fairness": "first token of a late short call beside long ones: round robin against FIFO",
    "tools": "tools chosen by writing, under a grammar and by ranking, on 66 labelled requests",
    "fs": "requests in plain words to operations on files: by rule, by SmolLM2, by a --model",
    "llm": "the local engine against its peers: agents in turns, chat servers, streams, more agents than slots",
    "crash": "a program that changes files and the owner of an index, killed hundreds of times: what is left",
    "route": "the router: which model serves a question (--data), what a decision takes, two queues, a judge",
    "sched": "scheduling policies in virtual time: workloads, fairness, traces (--data), the local model (--live)",
    "wall": "the wall around agents: probes that try to get out, honest programs, spawn with and without",
    "search": "the file system: rankings on sets with known answers (--data), latency, indexing, the way back",
}
"""Name -> what it measures; the module is `aios.bench.<name>`."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What the figure `name` has to keep to."""

    name: str
    relation: Literal["<=", ">="]
    limit: float

    def check(self, value: float | None) -> FigureTarget:
        """The bound, applied to what was measured; what could not be measured does not keep to it."""
        met = value is not None and (value <= self.limit if self.relation == "<=" else value >= self.limit)
        return FigureTarget(self.name, value, f"{self.relation} {self.limit:g}", met)


def at_most(name: str, limit: float) -> Bound:
    """The figure may not be larger."""
    return Bound(name, "<=", limit)


def at_least(name: str, limit: float) -> Bound:
    """The figure may not be smaller."""
    return Bound(name, ">=", limit)


@dataclass(frozen=True, slots=True)
class FigureTarget:
    """A figure beside its bound, such as `>= 1.8`, and whether it keeps to it."""

    name: str
    value: float | None
    bound: str
    met: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a benchmark found, and on which machine.

    A figure that could not be measured is None, and `missing` says why. `notes` say how the figures were made.
    Those in `charts` have tables and drawings of their own.
    """

    bench: str
    machine: Mapping[str, Any]
    figures: Mapping[str, float | None]
    targets: Sequence[FigureTarget] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    charts: Sequence[Chart] = ()

    @classmethod
    def of(
        cls,
        bench: str,
        figures: Mapping[str, float | None],
        goals: Sequence[Bound | FigureTarget] = (),
        *,
        missing: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
        charts: Sequence[Chart] = (),
    ) -> Report:
        """The report of figures measured here; bounds are applied to the figures of their name.

        Raises KernelBug for a figure that is None without a reason.
        """
        missing = missing or {}
        if silent := [name for name, value in figures.items() if value is None and name not in missing]:
            raise KernelBug(f"benchmark {bench!r} does not say why it has no {', '.join(silent)}; please report this")
        targets = [goal if isinstance(goal, FigureTarget) else goal.check(figures[goal.name]) for goal in goals]
        return cls(bench, machine(), figures, targets, missing, notes, charts)

    @property
    def met(self) -> bool:
        """Whether every target was met."""
        return all(target.met for target in self.targets)

    def to_json(self) -> str:
        """The report as one JSON object; `missing` and `notes` are there if there are any."""
        said = {
            "bench": self.bench,
            "machine": self.machine,
            "figures": self.figures,
            "targets": [{name: getattr(each, name) for name in FigureTarget.__slots__} for each in self.targets],
        }
        more = {"missing": self.missing, "notes": self.notes}
        return json.dumps(said | {name: value for name, value in more.items() if value}, indent=2)

    def plot(self) -> str:
        """The charts as one SVG drawing, after one of how far the figures with bounds are from these."""
        limits = {target: float(target.bound.split()[1]) for target in self.targets}
        shares = {
            f"{target.name} {target.bound}": None if target.value is None else target.value / limit
            for target, limit in limits.items()
            if limit
        }
        first = Chart("figures against their bounds", "1 is the bound", {"measured": {name: name for name in shares}})
        charts = [first, *self.charts] if shares else self.charts
        return draw(f"aios bench {self.bench} on {describe(self.machine)}", charts, {**self.figures, **shares})

    def show(self) -> Group:
        """The report for people: the figures with bounds, then the others, then how it was done."""
        from rich.console import Group
        from rich.text import Text

        charted = {name for chart in self.charts for name in chart.names}
        rest = {name: value for name, value in self.figures.items() if name not in charted}
        parts: list[Table | Text] = [Text(f"{self.bench} on {describe(self.machine)}", "bold"), self.table(rest)]
        for chart in self.charts:
            parts += [Text(f"\n{chart.title}", "bold"), chart.table(self.figures)]
        parts += [Text(f"\nno {name}: {reason}") for name, reason in self.missing.items()]
        return Group(*parts, *(Text(f"\n{note}") for note in self.notes))

    def table(self, figures: Mapping[str, float | None]) -> Table:
        """Figures, each with its bound where it has one."""
        from rich.text import Text

        from aios.terminal.table import grid

        table = grid("FIGURE", ">VALUE", "BOUND", "MET")
        bounds = {target.name: target for target in self.targets}
        for name, value in figures.items():
            target = bounds.get(name)
            shown = "-" if value is None else f"{value:,.4g}"
            if target is None:
                table.add_row(name, shown)
            else:
                met = Text("yes", style="green") if target.met else Text("no", style="bold red")
                table.add_row(name, shown, target.bound, met)
        return table


def run(name: str, quick: bool, **given: Path | bool) -> Report:
    """Run the benchmark `name`, smaller when `quick`, with what else was given, if it takes that.

    Raises NotFound for a name that there is not, BadRequest for what the bench does not take.
    """
    if name not in BENCHES:
        near = get_close_matches(name, BENCHES, 1)
        raise NotFound(f"no benchmark {name!r}; {f'did you mean {near[0]}?' if near else 'aios bench lists them'}")
    main = import_module(f"aios.bench.{name}").main
    for option in given:
        if option not in signature(main).parameters:
            raise BadRequest(f"benchmark {name!r} takes no {option}; leave --{option} out", option)
    return cast(Report, main(quick, **given))


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
