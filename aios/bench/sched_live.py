"""The simulator held against the local model: the same programs under the same policies, live and in virtual time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random
from typing import NamedTuple

import anyio

from aios.artifacts import model_path
from aios.bench.llm.ours import kernel_over
from aios.bench.paired import Pairs, interval, ratio
from aios.bench.progress import progress
from aios.bench.sched_fit import chat, measured
from aios.bench.sched_runs import policy
from aios.boot import make_models
from aios.config import Config, LocalModelConfig
from aios.hosts import Main
from aios.kernel import Run
from aios.models.local.supervisor.client import LocalModel
from aios.scheduler import SchedulingPolicy
from aios.sdk import Agent
from aios.simulate import SimulatedCore, SimulatedProgram, Simulation
from aios.simulate.generate import at_load, generate, scaled
from aios_syscalls import KernelBug, Spawn, Wait

SLOTS = 2
SLICE = 8
"""Tokens; answers are shorter than elsewhere, too."""
LOAD = 8.0
"""All come within an eighth of the time, lest a machine that slows down make a queue where there was to be none."""
COUNT = 16
READ, WRITTEN, SOONER, CALLS = 16, 8, 32, 2
"""By how much what is read, written and waited is less than the workload's, and the most calls of a program."""
ROUNDS = {True: 1, False: 8}
"""Each with programs of its own, by whether it is to be quick."""
SEED = 7_000
ENOUGH_S = 200.0
"""For all rounds; none begins that would end later if it took what those before it did."""
NOTE = (
    f"live_: {COUNT} mixed programs a round on SmolLM2 with {SLOTS} slots, slices of {SLICE} tokens; answers are as "
    "long as planned, by a grammar without an end; the core is fitted to the model before the first round; gains are "
    "FIFO's mean latency of programs over the policy's, with what 95 % of bootstrap draws lie within; live_log_error "
    "is the worse of the two |log(live gain / simulated gain)|; paced_ gains are of latencies in shares of their runs"
)
FIFO, OTHERS = "fifo", ("round_robin", "gittins")

Over = Callable[[SchedulingPolicy, Mapping[str, Main]], AbstractAsyncContextManager[Run]]


class LiveTook(NamedTuple):
    """Seconds of one run."""

    net: list[float]
    """Of each program, in their order, without what it waited for tools."""
    all: float

    def paced(self) -> LiveTook:
        """The same in shares of the whole run, which is as long by every policy on a machine that keeps its pace."""
        return LiveTook([each / self.all for each in self.net], 1.0)


def live(quick: bool) -> dict[str, float]:
    """FIFO's mean latency over other policies', measured and simulated, and how far apart these are."""
    return anyio.run(_live, ROUNDS[quick])


def figures(
    took: Mapping[str, Sequence[LiveTook]], simulated: Mapping[str, Sequence[LiveTook]], random: Random
) -> dict[str, float]:
    """Of each policy's runs, round by round: ratios with their intervals, and the worst |log| of an error of theirs.

    Those that are `paced` are of latencies in shares of their runs: what a machine's moods do to whole runs is not in
    them.
    """
    found: dict[str, float] = {}
    for kind, one, other in (("", took, simulated), ("paced_", _paced(took), _paced(simulated))):
        errors = []
        for name in OTHERS:
            pairs, guessed = _pairs(one, name), ratio(_pairs(other, name))
            gain = ratio(pairs)
            low, high = interval(pairs, random)
            errors.append(abs(math.log(gain / guessed)))
            label = f"live_{kind}{name}_gain"
            found |= {label: gain, f"{label}_low": low, f"{label}_high": high, f"{label}_simulated": guessed}
        found[f"live_{kind}log_error"] = max(errors)
    for name in (FIFO, *OTHERS):
        found[f"live_{name}_makespan_s"] = sum(each.all for each in took[name]) / len(took[name])
        found[f"live_{name}_mean_s"] = _mean(took[name])
        found[f"live_{name}_mean_simulated_s"] = _mean(simulated[name])
    return found


def workload(seed: int, core: SimulatedCore, beside: int) -> list[SimulatedProgram]:
    """Mixed programs, small enough for a small model; no prompt has fewer tokens than `beside` its words and a word."""
    drawn = scaled(generate("mixed", seed, COUNT, LOAD, core, SLOTS), READ, WRITTEN, SOONER, CALLS)
    programs = [
        # Contexts that grow are left out: here a call reads all of its prompt, there nothing of its prefix.
        each._replace(calls=tuple(call._replace(prompt=max(call.prompt, beside + 1), prefix=0) for call in each.calls))
        for each in drawn
    ]
    return at_load(programs, Random(f"live {seed}"), LOAD, core, SLOTS)


def simulate(name: str, programs: Sequence[SimulatedProgram], core: SimulatedCore) -> LiveTook:
    """What programs take under a policy in virtual time."""
    result = Simulation(policy(name, SLOTS, SLICE), core, SLOTS).run(programs)
    net = {id(each.program): each.net_us / 1e6 for each in result.ended}
    return LiveTook([net[id(program)] for program in programs], result.makespan_us / 1e6)


async def run(over: Over, name: str, programs: Sequence[SimulatedProgram], beside: int) -> LiveTook:
    """What they take under a policy, each a process of the kernel that `over` makes for its scheduler."""
    net, ends = [0.0] * len(programs), [0.0]
    salt = f"{name} {time.monotonic_ns()}"
    began = 0.0

    async def main(agent: Agent, task: str) -> str:
        program = programs[int(task)]
        waited = await _run(agent, program, beside, f"{salt} {task}")
        ends.append(anyio.current_time() - began)
        net[int(task)] = ends[-1] - program.arrival_us / 1e6 - waited
        return ""

    mains = {program.name: main for program in programs}
    async with over(policy(name, SLOTS, SLICE), mains) as kernel, anyio.create_task_group() as tasks:
        began = anyio.current_time()
        for number, program in enumerate(programs):
            await anyio.sleep_until(began + program.arrival_us / 1e6)
            process = await kernel.submit(Spawn(program=program.name, task=str(number)))
            tasks.start_soon(kernel.submit, Wait(pid=process.pid))
    return LiveTook(net, max(ends))


async def _run(agent: Agent, program: SimulatedProgram, beside: int, salt: str) -> float:
    """Make a program's calls in their order; seconds that its last call and those before it waited for tools."""
    done = [anyio.Event() for _ in program.calls]
    waits = [0.0] * len(program.calls)
    last = 0.0

    async def make(index: int) -> None:
        nonlocal last
        call = program.calls[index]
        for each in call.after:
            await done[each].wait()
        waits[index] = max((waits[each] for each in call.after), default=0.0) + call.wait_us / 1e6
        await anyio.sleep(call.wait_us / 1e6)
        reply = await agent.port.submit(chat(call.prompt - beside, call.output, f"{salt} {index}"))
        if (reply.usage.prompt_tokens, reply.usage.completion_tokens) != (call.prompt, call.output):
            raise KernelBug(f"a call of {call.prompt} and {call.output} tokens had {reply.usage}; please report this")
        last = waits[index]
        done[index].set()

    async with anyio.create_task_group() as tasks:
        for index in range(len(program.calls)):
            tasks.start_soon(make, index)
    return last


async def _live(rounds: int) -> dict[str, float]:
    took: dict[str, list[LiveTook]] = {name: [] for name in (FIFO, *OTHERS)}
    simulated: dict[str, list[LiveTook]] = {name: [] for name in (FIFO, *OTHERS)}
    (model,) = make_models(Config(models={"bench": LocalModelConfig(path=model_path(), slots=SLOTS)}))
    assert isinstance(model, LocalModel)
    with progress() as say:
        say("the local model is measured")
        async with model:
            core, beside = await measured(model)
            began = time.perf_counter()
            for number in range(rounds):
                if number and (time.perf_counter() - began) * (number + 1) / number > ENOUGH_S:
                    break
                programs = workload(SEED + number, core, beside)
                # Each second round the other way round, so that what drifts does not always meet the same policy.
                for name in (FIFO, *OTHERS) if number % 2 == 0 else (*reversed(OTHERS), FIFO):
                    say(f"programs on the local model: round {number + 1} of {rounds}, {name}")
                    took[name].append(await run(partial(kernel_over, model), name, programs, beside))
                    simulated[name].append(simulate(name, programs, core))
            seconds = time.perf_counter() - began
    return {
        **figures(took, simulated, Random(SEED)),
        "live_step_ms": core.step_us / 1e3,
        "live_prefill_ms": core.prefill_us / 1e3,
        "live_decode_ms": core.decode_us / 1e3,
        "live_rounds": float(len(took[FIFO])),
        "live_seconds": seconds,
    }


def _paced(of: Mapping[str, Sequence[LiveTook]]) -> dict[str, list[LiveTook]]:
    return {name: [each.paced() for each in rounds] for name, rounds in of.items()}


def _pairs(of: Mapping[str, Sequence[LiveTook]], name: str) -> list[Pairs]:
    return [list(zip(one.net, other.net, strict=True)) for one, other in zip(of[FIFO], of[name], strict=True)]


def _mean(rounds: Sequence[LiveTook]) -> float:
    return sum(sum(each.net) for each in rounds) / sum(len(each.net) for each in rounds)
