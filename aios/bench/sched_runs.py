"""The table of policies, workloads and loads: simulations, and what is told of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import NamedTuple, cast

from aios.scheduler import POLICIES, AdmissionControl, SchedulingPolicy, SrptOracle
from aios.scheduler.programs import PREFILL
from aios.simulate import A10G, Result, SimulatedProgram, Simulation, Task
from aios.simulate.generate import generate, windowed

SLICE = 32
ORACLE = "srpt_oracle"
DEFAULT = "gittins"
"""The policy that is held against FIFO."""
WINDOW = 8_192
ROOM = 8 * WINDOW
COUNT = 400
"""Programs of a simulation: enough that the first, of which nothing is known yet, count little."""
COLD = 20
"""Programs of a first run."""
COLUMNS = (
    "mean_s", "p50_s", "p95_s", "p99_s", "slowdown", "mean_gain", "p99_gain", "gap_closed", "fairness_gap",
    "preemptions", "recomputed", "makespan_s",
)  # fmt: skip
Make = Callable[[int], list[SimulatedProgram]]


@dataclass(frozen=True, slots=True)
class SchedCase:
    """One line of work at one load: `make` gives the programs of a seed."""

    name: str
    slots: int
    load: float
    make: Make
    memory: int | None = None
    watch_us: int = 0

    @property
    def label(self) -> str:
        """Of its rows, such as mixed_s8_95."""
        return f"{self.name}_s{self.slots}_{round(self.load * 100)}"


class SchedRow(NamedTuple):
    """What one policy did to one seed of a case."""

    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    slowdown: float
    fairness_gap: float
    preemptions: float
    recomputed: float
    makespan_s: float


def cases(quick: bool) -> list[SchedCase]:
    """Every generated workload at the loads that are looked at, and the mixed one where memory is short."""
    count = COUNT
    loads = list(MAIN) if quick else [*MAIN, (8, 0.7), (8, 1.2), (1, 0.5), (1, 1.1)]

    def case(name: str, slots: int, load: float, **more: int) -> SchedCase:
        # A tree search is fifteen times the calls of others.
        some = max(1, count // 4) if name == "tree" else count
        return SchedCase(name, slots, load, lambda seed: generate(name, seed, some, load, A10G, slots), **more)

    found = [case("mixed", slots, load) for slots, load in loads]
    for name in ("chat", "tool", "tree", "map_reduce", "ragged", "equal", "huge", "hung", "storm"):
        found += [case(name, slots, load) for slots, load in loads]
    # What a kernel does that has learnt nothing yet.
    found += [SchedCase("cold", slots, load, partial(_cold, slots, load)) for slots, load in MAIN]
    found += [case("flood", slots, load, watch_us=10_000_000) for slots, load in loads]
    for name, room in (("pressure", ROOM), ("tight", ROOM * 6 // 10)):
        found.append(SchedCase(name, 8, 0.85, lambda seed: _windowed(seed, count), memory=room))
    return found


def policy(name: str, slots: int, slice: int = SLICE) -> SchedulingPolicy:
    """A fresh scheduler by name, the oracle among them."""
    if name == ORACLE:
        return SrptOracle(slice, lambda job: total(cast(Task, job).run.program))
    return POLICIES[name](slice, slots=slots)


def total(program: SimulatedProgram) -> float:
    """Service that a program takes, in tokens written."""
    return sum(call.prompt * PREFILL + call.output for call in program.calls)


def simulate(case: SchedCase, name: str, programs: Sequence[SimulatedProgram]) -> Result:
    """The programs under a policy, or one under admission control."""
    scheduler = policy(name.removeprefix(IN_ROOM), case.slots)
    if name.startswith(IN_ROOM):
        if case.memory is None:
            raise ValueError(f"{case.label} has no bound of memory for {name}")
        scheduler = AdmissionControl(scheduler, case.memory, A10G.prefill_us)
    return Simulation(scheduler, A10G, case.slots, memory=case.memory, watch_us=case.watch_us).run(programs)


MAIN = ((8, 0.95), (1, 0.85))
"""Slots and load that are looked at first."""
IN_ROOM = "room_"
FEW = ("fifo", "program_fcfs", DEFAULT, ORACLE)


def policies(case: SchedCase, quick: bool) -> Sequence[str]:
    """Every policy at the main loads, for the mixed workload alone when quick; elsewhere FEW.

    Where memory is short, the default policy under admission control as well, and FIFO, whose own gain that shows.
    """
    if case.memory is not None:
        return [*(FEW if quick else (*POLICIES, ORACLE)), IN_ROOM + "fifo", IN_ROOM + DEFAULT]
    main = (case.slots, case.load) in MAIN
    return [*POLICIES, ORACLE] if main and (case.name == "mixed" or not quick) else FEW


def table(case: SchedCase, names: Sequence[str], seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """For each policy its columns, means over seeds; gains are means of the ratios of FIFO's figure to the policy's."""
    rows: dict[str, list[SchedRow]] = {name: [] for name in names}
    for seed in seeds:
        programs = case.make(seed)
        for name in names:
            rows[name].append(_row(simulate(case, name, programs)))
    fifo = rows["fifo"]
    best = fmean([row.mean_s for row in rows[ORACLE]]) if ORACLE in rows else None
    worst = fmean([row.mean_s for row in fifo])
    told = {}
    for name, found in rows.items():
        columns = {column: fmean([getattr(row, column) for row in found]) for column in SchedRow._fields}
        columns["mean_gain"] = fmean([first.mean_s / row.mean_s for first, row in zip(fifo, found, strict=True)])
        columns["p99_gain"] = fmean([first.p99_s / row.p99_s for first, row in zip(fifo, found, strict=True)])
        if best is not None and worst > best:
            columns["gap_closed"] = (worst - columns["mean_s"]) / (worst - best)
        told[name] = columns
    return told


def _windowed(seed: int, count: int) -> list[SimulatedProgram]:
    return windowed(generate("mixed", seed, count, 0.85, A10G, 8), WINDOW)


def _cold(slots: int, load: float, seed: int) -> list[SimulatedProgram]:
    return generate("mixed", seed, COLD, load, A10G, slots)


def _row(result: Result) -> SchedRow:
    return SchedRow(
        result.mean_s(),
        result.percentile_s(0.5),
        result.percentile_s(0.95),
        result.percentile_s(0.99),
        result.slowdown(A10G.alone),
        result.gap(),
        result.preemptions,
        result.recomputed,
        result.makespan_us / 1e6,
    )


def flat(label: str, told: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The columns as figures, named label_policy_column."""
    return {f"{label}_{name}_{column}": value for name, columns in told.items() for column, value in columns.items()}
