"""Fairness suites: the VTC artifact's trace and its overload, and weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aios.scheduler import Fifo, Resuming, SchedulingPolicy, Vtc
from aios.simulate import A10G, Call, Result, SimulatedProgram, Simulation
from aios.simulate.result import Sample
from aios.simulate.traces import read

TRACE = "vtc_lmsys_real/lmsys27_real_10min.csv"
MEMORY = 10_000
ADMIT_EVERY = 10
"""Steps between two looks at the queue, in the artifact."""
SECOND = 1_000_000
SECONDS = 600
AT_S = 330
WEIGHTS = {"0": 1.0, "1": 1.0, "2": 2.0, "3": 4.0}


def artifact(data: Path) -> dict[str, float]:
    """Means of the first token and of the whole latency on the 27-client trace, by FCFS and by VTC."""
    programs = read(data / TRACE)
    figures = {}
    for name, policy in (("fcfs", Fifo()), ("vtc", Vtc(None, inner=Fifo))):
        result = _artifact(policy).run(programs)
        figures[f"vtc_first_token_{name}_s"] = sum(result.first_us) / len(result.first_us) / 1e6
        figures[f"vtc_latency_{name}_s"] = result.mean_s()
    return figures


def overload() -> dict[str, float]:
    """Two clients of 1.5 and 3 calls a second for ten minutes: their difference in service."""
    figures = {}
    policies: dict[str, SchedulingPolicy] = {
        "fifo_": Fifo(),
        "": Vtc(None, inner=Resuming),
        "preempting_": Vtc(16, inner=Resuming),
    }
    for name, policy in policies.items():
        samples = _overloaded(policy, [1.5, 3.0], admit_every=1 if name == "preempting_" else ADMIT_EVERY).samples
        gaps = [abs(sample.served["0"] - sample.served["1"]) for sample in samples]
        figures[f"vtc_{name}overload_gap"] = gaps[AT_S // 10 - 1]
        half = len(gaps) // 2
        figures[f"vtc_{name}overload_worst_gap"] = max(gaps)
        figures[f"vtc_{name}overload_growth"] = max(gaps[half:]) / max(gaps[:half])
    return figures


def weighted() -> float:
    """The furthest that a client's share in any 60 s is from its weight's, as a share of that; all are backlogged."""
    samples = _overloaded(Vtc(16, WEIGHTS, inner=Resuming), [3.0] * 4, admit_every=1).samples
    return max(_off(before, after) for before, after in zip(samples[6:], samples[12:], strict=False))


def _off(before: Sample, after: Sample) -> float:
    got = [(after.served[name] - before.served[name]) / weight for name, weight in WEIGHTS.items()]
    fair = sum(got) / len(got)
    return max(abs(each / fair - 1) for each in got)


def _artifact(policy: SchedulingPolicy) -> Simulation:
    return Simulation(policy, A10G, 1_000, memory=MEMORY, admit_every=ADMIT_EVERY)


def _overloaded(policy: SchedulingPolicy, rates: Sequence[float], admit_every: int) -> Result:
    programs = [
        SimulatedProgram(round(number / rate * SECOND), (Call(256, 256),), "client", str(client))
        for client, rate in enumerate(rates)
        for number in range(round(rate * SECONDS))
    ]
    # Paused contexts go to the host's memory, as the kernel's do.
    simulation = Simulation(
        policy, A10G, 1_000, memory=MEMORY, spill=True, admit_every=admit_every, watch_us=10 * SECOND
    )
    return simulation.run(sorted(programs, key=lambda program: program.arrival_us), until_us=SECONDS * SECOND)
