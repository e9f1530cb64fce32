"""Made-up workloads; each program draws from a random stream of its own, so that a policy never changes the workload.

Lengths and numbers of calls are those that Autellix (Luo et al., 2025) reports of chat, tool use and tree search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random

from aios.simulate.core import SimulatedCore
from aios.simulate.program import Call, SimulatedProgram, chain

SECOND = 1_000_000
HANG_US = 120 * SECOND


def chat(random: Random) -> tuple[Call, ...]:
    """6.66 turns in the mean, 80 at most, 256 tokens read and 277 written; a person reads and types between."""
    return _conversation(random, 6.66, 80, 256, 277, 12 * SECOND, 1.0)


def tool(random: Random) -> tuple[Call, ...]:
    """10.75 calls in the mean, 70 at most, 735 tokens read and 34 written; a tool runs between, 1 % hang."""
    return _conversation(random, 10.75, 70, 735, 34, SECOND, 1.3, hangs=0.01)


def tree(random: Random) -> tuple[Call, ...]:
    """Tree search: rounds of 8 parallel calls, 160 calls in the mean, 467 tokens read and 73 written."""
    calls: list[Call] = []
    depth = 0
    for _ in range(_count(random, 20, 60)):
        before = tuple(range(len(calls) - 8, len(calls))) if calls else ()
        for _ in range(8):
            calls.append(Call(_length(random, 467, 0.4), _length(random, 73, 0.6), depth, after=before))
        depth += 540
    return tuple(calls)


def map_reduce(random: Random) -> tuple[Call, ...]:
    """A plan, 8 to 24 pieces of work side by side, and one call that puts them together."""
    count = random.randint(8, 24)
    pieces = [Call(_length(random, 500, 0.3), _length(random, 150, 0.5), after=(0,)) for _ in range(count)]
    return (Call(300, 60), *pieces, Call(count * 150, 200, after=tuple(range(1, count + 1))))


def ragged(random: Random) -> tuple[Call, ...]:
    """A plan, 4 to 12 pieces of work side by side that take one to twelve calls each, and one that joins them."""
    calls, ends = [Call(300, 60)], []
    for _ in range(random.randint(4, 12)):
        before, depth = 0, 0
        for _ in range(_count(random, 4, 12)):
            calls.append(Call(_length(random, 500, 0.3), _length(random, 150, 0.5), depth, after=(before,)))
            before, depth = len(calls) - 1, depth + 650
        ends.append(before)
    return (*calls, Call(len(ends) * 150, 200, after=tuple(ends)))


def equal(random: Random) -> tuple[Call, ...]:  # noqa: ARG001
    """Five calls of one length, like those of every other program: nothing to be learnt, and to be lost by trying."""
    return chain([Call(256, 128, 384 * number) for number in range(5)])


def short(random: Random) -> tuple[Call, ...]:
    """One to nine small calls."""
    return chain([Call(64, 32) for _ in range(random.randint(1, 9))])


def huge(random: Random) -> tuple[Call, ...]:  # noqa: ARG001
    """10,000 calls, which come each after the one before."""
    return chain([Call(64, 32) for _ in range(10_000)])


def hung(random: Random) -> tuple[Call, ...]:
    """Tool use in which a tool hangs for two minutes in one of five calls."""
    return _conversation(random, 10.75, 70, 735, 34, SECOND, 1.3, hangs=0.2)


def storm(random: Random) -> tuple[Call, ...]:
    """Tool use whose tools answer 429 until the minute is over, so that everybody comes back at once."""
    return tuple(call._replace(align_us=60 * SECOND) if number else call for number, call in enumerate(tool(random)))


KINDS: Mapping[str, Callable[[Random], tuple[Call, ...]]] = {
    "chat": chat, "tool": tool, "tree": tree, "map_reduce": map_reduce, "ragged": ragged,
    "equal": equal, "short": short, "huge": huge, "hung": hung, "storm": storm,
}  # fmt: skip
"""Name of an agent -> what a run of it does."""

GRAPHS = frozenset({"map_reduce", "ragged"})
"""Those that know all their calls when they begin. A tree search does not: what it found says how it goes on."""

WORKLOADS: Mapping[str, Mapping[str, float]] = {
    "mixed": {"chat": 0.5, "tool": 0.4, "tree": 0.1},
    "chat": {"chat": 1}, "tool": {"tool": 1}, "tree": {"tree": 1}, "map_reduce": {"map_reduce": 1},
    "ragged": {"ragged": 1}, "equal": {"equal": 1}, "huge": {"short": 1}, "hung": {"hung": 1}, "storm": {"storm": 1},
    "flood": {"chat": 0.5, "tool": 0.5},
}  # fmt: skip
"""Name -> shares of agents among its programs; in `flood` one of ten tenants makes most of the programs,
in `huge` one of all programs is of 10,000 calls, and no part of the load."""


def generate(
    workload: str, seed: int, count: int, load: float, core: SimulatedCore, slots: int
) -> list[SimulatedProgram]:
    """So many programs, arriving as a Poisson process that takes this share of what a core with all its slots can do.

    Raises KeyError for an unknown workload.
    """
    shares = WORKLOADS[workload]
    programs = []
    for number in range(count):
        random = Random(f"{workload} {seed} {number}")
        name = random.choices(list(shares), list(shares.values()))[0]
        tenant = f"tenant{0 if workload == 'flood' and random.random() < 0.7 else random.randrange(10)}"
        programs.append(SimulatedProgram(0, KINDS[name](random), name, tenant, graph=name in GRAPHS))
    programs = at_load(programs, Random(f"{workload} {seed} arrivals"), load, core, slots)
    if workload == "huge":
        middle = programs[count // 4]
        programs[count // 4] = middle._replace(calls=huge(Random()), name="huge")
    return programs


def at_load(
    programs: Sequence[SimulatedProgram], random: Random, load: float, core: SimulatedCore, slots: int
) -> list[SimulatedProgram]:
    """The programs in their order, arriving as a Poisson process of this load."""
    mean = sum(core.work(program, slots) for program in programs) / len(programs)
    now, arriving = 0.0, []
    for program in programs:
        now += random.expovariate(load / mean)
        arriving.append(program._replace(arrival_us=int(now)))
    return arriving


def scaled(
    programs: Sequence[SimulatedProgram], read: float, written: float, waits: float, calls: int
) -> list[SimulatedProgram]:
    """The first calls of each program, with all lengths so many times shorter: for models that are small and live."""

    def less(call: Call) -> Call:
        return call._replace(
            prompt=max(1, round(call.prompt / read)),
            output=max(1, round(call.output / written)),
            prefix=round(call.prefix / read),
            wait_us=round(call.wait_us / waits),
        )

    # A call comes after earlier ones only, so the first of them are a whole program.
    return [program._replace(calls=tuple(map(less, program.calls[:calls]))) for program in programs]


def _conversation(
    random: Random, calls: float, most: int, read: int, written: int, gap_us: int, sigma: float, hangs: float = 0.0
) -> tuple[Call, ...]:
    made: list[Call] = []
    prefix = 0
    for number in range(_count(random, calls, most)):
        wait = int(gap_us * random.lognormvariate(0, sigma)) if number else 0
        if wait and random.random() < hangs:
            wait = HANG_US
        call = Call(_length(random, read, 0.6), _length(random, written, 0.6), prefix, min(wait, HANG_US))
        prefix += call.prompt + call.output
        made.append(call)
    return chain(made)


def _count(random: Random, mean: float, most: int) -> int:
    """Geometric, at least 1."""
    return min(most, 1 + int(math.log(1 - random.random()) / math.log(1 - 1 / mean)))


def _length(random: Random, mean: int, sigma: float) -> int:
    """Log-normal, at least 1."""
    return max(1, round(mean * random.lognormvariate(-sigma * sigma / 2, sigma)))


def windowed(programs: Sequence[SimulatedProgram], tokens: int) -> list[SimulatedProgram]:
    """The programs with contexts of at most so many tokens, the oldest of each being dropped."""

    def cut(call: Call) -> Call:
        return call._replace(prefix=max(0, min(call.prefix, tokens - call.prompt - call.output)))

    return [program._replace(calls=tuple(cut(call) for call in program.calls)) for program in programs]
