"""The simulator: small workloads reckoned by hand, and its log to the last bit."""

from __future__ import annotations

from random import Random

import pytest

from aios.scheduler import POLICIES, Fifo, Gittins, ProgramFcfs, RoundRobin, SchedulingPolicy
from aios.simulate import A10G, Call, SimulatedCore, SimulatedProgram, Simulation, chain
from aios.simulate.generate import KINDS, WORKLOADS, generate
from aios.simulate.program import depths
from aios.simulate.result import percentile
from aios_syscalls import BadRequest

CORE = SimulatedCore(step_us=100, prefill_us=10, decode_us=1)


def test_a_step_reads_the_prompts_of_those_that_start_and_writes_a_token_for_all() -> None:
    result = Simulation(Fifo(), CORE, 2).run([SimulatedProgram(0, (Call(5, 3),)), SimulatedProgram(0, (Call(7, 1),))])
    # The first step reads 12 tokens and writes 2; two more write one each.
    assert [each.net_us for each in result.ended] == [222, 222 + 2 * 101]
    assert result.first_us == [222, 222]
    assert result.makespan_us == 424


def test_a_call_comes_after_its_tool_and_the_latency_is_net_of_that() -> None:
    result = Simulation(Fifo(), CORE, 1).run([SimulatedProgram(50, chain([Call(0, 1), Call(0, 1, wait_us=1_000)]))])
    (ended,) = result.ended
    assert ended.end_us == 50 + 101 + 1_000 + 101
    assert ended.net_us == 202


def test_a_program_ends_with_its_longest_path() -> None:
    calls = (Call(0, 1), Call(0, 2, after=(0,)), Call(0, 5, after=(0,)), Call(0, 1, after=(1, 2)))
    (ended,) = Simulation(Fifo(), CORE, 4).run([SimulatedProgram(0, calls)]).ended
    assert ended.net_us == 101 + 2 * 102 + 3 * 101 + 101
    assert CORE.alone(ended.program) == 7 * 101


def test_a_graphs_critical_path_goes_first_and_what_is_no_graph_by_the_order_of_its_calls() -> None:
    singles, path = [Call(0, 9, after=(0,))] * 3, [Call(0, 9, after=(each,)) for each in (0, 4, 5)]
    program = SimulatedProgram(0, (Call(0, 9), *singles, *path))
    assert depths(program) == [4, 1, 1, 1, 3, 2, 1]

    def makespan(graph: bool) -> int:
        return Simulation(ProgramFcfs(), CORE, 2).run([program._replace(graph=graph)]).makespan_us

    assert makespan(graph=True) == 9 * 101 + 3 * 9 * 102
    assert makespan(graph=False) == 9 * 101 + 2 * 9 * 102 + 2 * 9 * 101


def test_graphs_of_pieces_that_differ_in_length_end_near_the_bound() -> None:
    def over_the_bound(graph: bool) -> float:
        programs = [each._replace(arrival_us=0, graph=graph) for each in generate("ragged", 3, 20, 1, A10G, 4)]
        return sum(
            Simulation(POLICIES["gittins"](32, slots=4), A10G, 4).run([each]).makespan_us / A10G.least(each, 4)
            for each in programs
        ) / len(programs)

    assert 1 < over_the_bound(graph=True) < 1.04
    assert over_the_bound(graph=False) > 1.06


def test_the_depths_of_a_long_chain_are_counted_in_one_pass() -> None:
    assert depths(SimulatedProgram(0, KINDS["huge"](Random()))) == [*range(10_000, 0, -1)]


def test_calls_that_align_are_made_together() -> None:
    programs = [SimulatedProgram(at, chain([Call(0, 1), Call(0, 1, align_us=10_000)])) for at in (0, 3_000)]
    ended = Simulation(Fifo(), CORE, 2).run(programs).ended
    assert [each.end_us for each in ended] == [10_102, 10_102]
    assert [each.net_us for each in ended] == [203, 203]


def test_a_paused_call_that_nobody_follows_keeps_its_slot() -> None:
    result = Simulation(RoundRobin(2), CORE, 1).run([SimulatedProgram(0, (Call(0, 10),))])
    assert (result.preemptions, result.makespan_us) == (0, 1_010)
    result = Simulation(RoundRobin(2), CORE, 1).run(
        [SimulatedProgram(0, (Call(0, 4),)), SimulatedProgram(0, (Call(0, 4),))]
    )
    assert (result.preemptions, result.makespan_us) == (2, 808)


def test_a_context_that_left_memory_is_read_again() -> None:
    programs = [SimulatedProgram(0, chain([Call(50, 10), Call(0, 10, 60, wait_us=100_000)])) for _ in range(2)]
    roomy = Simulation(Fifo(), CORE, 2, memory=1_000).run(programs)
    tight = Simulation(Fifo(), CORE, 2, memory=100).run(programs)
    assert roomy.recomputed == 0
    assert tight.recomputed == 120
    spilled = Simulation(Fifo(), CORE._replace(restore_us=1), 2, memory=100, spill=True).run(programs)
    assert spilled.recomputed == 0
    assert roomy.makespan_us < spilled.makespan_us < tight.makespan_us


def test_a_call_larger_than_memory_is_refused() -> None:
    with pytest.raises(BadRequest, match="more than the memory of 10"):
        Simulation(Fifo(), CORE, 1, memory=10).run([SimulatedProgram(0, (Call(5, 6),))])


def test_no_call_waits_beyond_the_cap_though_shorter_ones_keep_coming() -> None:
    def wait_of_the_long(scheduler: Gittins) -> int:
        for number in range(40):
            scheduler.learnt.add("long" if number % 2 else "short", 10_000 if number % 2 else 10)
        shorts = [SimulatedProgram(20_000 + number * 1_000, (Call(0, 10),), "short") for number in range(20_000)]
        programs = [SimulatedProgram(0, chain([Call(0, 100), Call(0, 100, wait_us=15_000)]), "long"), *shorts]
        ended = Simulation(scheduler, CORE, 1).run(programs, until_us=18_000_000).ended
        return next((each.net_us for each in ended if each.program.name == "long"), 18_000_000)

    capped = Gittins(1_000, t_max_us=1_000_000)
    free = Gittins(1_000, t_max_us=1_000_000_000)
    # A run of it is known to take 10,000 tokens of 101 us, and the call before it may still run.
    assert 1_000_000 < wait_of_the_long(capped) <= 8 * 10_000 * 102 + 1_000_000 + 10_100
    assert wait_of_the_long(free) > 12_000_000


LOGS = {
    "fifo": "ef1bed9126e35127756ad0e12e4f0c6dd70904b8681cb0681a437cae87b14e3b",
    "gittins": "c01491daa92d6701b25265e98533bba4499ac10bf457edf6d84da77ed2aee898",
    "vtc": "6f5f59a1267afbdd77027228d91ef4893afa2c21b2a306a42d43765bf463f1cf",
}
"""SHA-256 of what happened to a mixed workload: an intended change of policy or simulator changes a line here."""


@pytest.mark.parametrize("policy", LOGS)
def test_the_log_is_the_same_on_every_machine(policy: str) -> None:
    programs = generate("mixed", 1, 40, 0.9, CORE, 4)
    assert Simulation(POLICIES[policy](32, slots=4), CORE, 4, log=True).run(programs).digest == LOGS[policy]


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("memory", [None, 60_000])
def test_everything_ends_under_every_policy(policy: str, memory: int | None) -> None:
    programs = generate("flood", 2, 30, 1.2, CORE, 4)
    scheduler: SchedulingPolicy = POLICIES[policy](32, slots=4)
    result = Simulation(scheduler, CORE, 4, memory=memory, watch_us=1_000_000).run(programs)
    assert result.calls == sum(len(program.calls) for program in programs)
    assert len(result.ended) == len(programs)
    assert len(scheduler) == 0
    for tenant, got in result.samples[-1].served.items():
        calls = [call for program in programs if program.tenant == tenant for call in program.calls]
        assert got <= sum(call.prompt + 2 * call.output for call in calls)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_seed_gives_the_same_programs_and_the_load_only_their_times(workload: str) -> None:
    some, same = (generate(workload, 7, 12, load, CORE, 8) for load in (0.5, 0.9))
    assert [program._replace(arrival_us=0) for program in some] == [program._replace(arrival_us=0) for program in same]
    assert generate(workload, 8, 12, 0.5, CORE, 8) != some
    assert all(program.name in KINDS for program in some)


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([3, 1, 2], 0.99) == 3
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([], 0.5) == 0
