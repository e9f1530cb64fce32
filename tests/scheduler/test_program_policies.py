"""Policies about whole programs: who goes first, by what their runs had."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.scheduler import POLICIES, Atlas, Gittins, Mlfq, Plas, Priority, ProgramFcfs, SchedulingPolicy, SrptOracle
from aios.scheduler.histogram import EDGES, Histogram, Ranks, ServiceDistributions
from tests.scheduler.jobs import SECOND, Task, drain, run


def test_priorities_age_into_each_other() -> None:
    scheduler = Priority(8, age_us=SECOND)
    scheduler.add(Task(1, priority=0), 0)
    scheduler.add(Task(2, priority=3), 2 * SECOND)
    scheduler.add(Task(3, priority=3), 4 * SECOND)
    assert drain(scheduler, 4 * SECOND) == [2, 1, 3]


def test_a_long_prompt_joins_further_down_and_each_level_doubles_the_quantum() -> None:
    scheduler = Mlfq(8)
    long, short = Task(1, prompt=600), Task(2, prompt=10)
    scheduler.add(long)
    scheduler.add(short)
    assert scheduler.next() == short
    assert scheduler.quantum(short) == 8
    scheduler.requeue(short)
    assert scheduler.quantum(short) == 16
    assert scheduler.next() == short
    assert scheduler.quantum(long) == 64


def test_whoever_has_waited_long_is_promoted() -> None:
    scheduler = Mlfq(8, promote_us=5)
    scheduler.add(Task(1, prompt=10_000), 0)
    scheduler.add(Task(2), 4)
    assert scheduler.peek(4).id == 2
    assert scheduler.next(5).id == 1


def test_program_fcfs_serves_the_run_that_arrived_first_whenever_its_calls_come() -> None:
    scheduler = ProgramFcfs()
    scheduler.began(7, "a", "user", 1)
    scheduler.began(8, "b", "user", 2)
    for id, pid in [(1, 8), (2, 7), (3, 8), (4, 7)]:
        scheduler.add(Task(id, pid), 3)
    assert drain(scheduler) == [2, 4, 1, 3]


def test_within_a_run_the_node_with_the_longest_way_to_its_graphs_end_goes_first() -> None:
    scheduler = ProgramFcfs()
    for id, depth in [(11, 1), (12, 3), (13, 2), (14, 3)]:
        scheduler.add(Task(id, graph_id=10, critical_path_depth=depth))
    assert drain(scheduler) == [12, 14, 13, 11]


def test_a_paused_node_goes_before_deeper_ones_and_a_priority_before_both() -> None:
    scheduler = ProgramFcfs()
    paused = Task(11, graph_id=10, critical_path_depth=1)
    scheduler.add(paused)
    assert scheduler.next() == paused
    scheduler.add(Task(12, graph_id=10, critical_path_depth=5))
    scheduler.requeue(paused)
    scheduler.suspend(paused)
    scheduler.add(Task(13, graph_id=10, critical_path_depth=1, priority=1))
    scheduler.resume(paused)
    assert drain(scheduler) == [13, 11, 12]


def test_the_nodes_of_a_graph_stay_together_in_the_order_in_which_graphs_and_calls_came() -> None:
    scheduler = ProgramFcfs()
    for task in [
        Task(21, graph_id=20, critical_path_depth=9),
        Task(15),
        Task(30, graph_id=10, critical_path_depth=1),
        Task(31, graph_id=10, critical_path_depth=2),
    ]:
        scheduler.add(task)
    assert drain(scheduler) == [31, 30, 15, 21]


def test_how_deep_a_node_is_says_nothing_between_runs() -> None:
    scheduler = Gittins(8)
    scheduler.add(Task(1, pid=1, critical_path_depth=0), 0)
    scheduler.add(Task(3, pid=2, graph_id=2, critical_path_depth=9), 1)
    assert drain(scheduler, 1) == [1, 3]


def test_plas_puts_whoever_had_most_last_also_while_it_waits() -> None:
    scheduler = Plas(8)
    run(scheduler, Task(1, pid=1), 100)
    scheduler.add(Task(2, pid=1))
    scheduler.add(Task(3, pid=2))
    assert scheduler.next().id == 3
    first, second = Task(4, pid=3), Task(5, pid=3)
    scheduler.add(first)
    scheduler.add(second)
    assert scheduler.next() == first
    scheduler.served(first, 0, 1_000)
    assert drain(scheduler) == [2, 5]


def test_atlas_counts_the_longest_path_and_not_siblings() -> None:
    scheduler = Atlas(8)
    siblings = [Task(id, pid=1) for id in range(1, 5)]
    for sibling in siblings:
        scheduler.add(sibling)
    for sibling in siblings:
        assert scheduler.next() == sibling
        scheduler.served(sibling, 0, 100)
        scheduler.done(sibling)
    run(scheduler, Task(10, pid=2), 300)
    scheduler.add(Task(11, pid=2))
    scheduler.add(Task(12, pid=1))
    assert drain(scheduler) == [12, 11]


def test_the_oracle_runs_what_is_nearest_to_its_end() -> None:
    totals = {1: 1_000.0, 2: 500.0}
    scheduler = SrptOracle(8, lambda job: totals[job.pid])
    run(scheduler, Task(1, pid=1), 700)
    scheduler.add(Task(2, pid=2))
    scheduler.add(Task(3, pid=1))
    assert drain(scheduler) == [3, 2]


def test_a_rank_falls_towards_the_end_of_a_regular_program_and_rises_along_an_irregular_one() -> None:
    regular = Histogram()
    regular.add(1_000)
    ranks = Ranks(regular.shares())
    assert ranks(0) == pytest.approx(1_000, rel=0.2)
    assert ranks(900) < 0.2 * ranks(0)
    irregular = Histogram()
    for total in [10] * 9 + [10_000]:
        irregular.add(total)
    ranks = Ranks(irregular.shares())
    assert ranks(0) < 15
    assert ranks(20) > 5_000


@given(st.lists(st.integers(1, 1_000_000), min_size=1, max_size=40), st.integers(0, 2_000_000))
def test_a_rank_is_the_least_mean_by_the_chance_to_end(totals: list[int], served: int) -> None:
    histogram = Histogram()
    for total in totals:
        histogram.add(total)
    points = [(edge, share) for edge, share in zip(EDGES, histogram.shares(), strict=True) if share and edge > served]
    rank = Ranks(histogram.shares())(served)
    if not points:
        assert rank == served
        return
    # The hull is of points: between two of them a rank may keep to the best end of the one before.
    best = min(
        sum(share * (min(edge, end) - served) for edge, share in points)
        / sum(share for edge, share in points if edge <= end)
        for end, _ in points
    )
    assert rank >= best * (1 - 1e-6)
    if served == 0:
        assert rank == pytest.approx(best, rel=1e-6)


def test_a_name_never_seen_has_the_pooled_distribution_and_is_trusted_after_thirty_runs() -> None:
    learnt = ServiceDistributions()
    assert learnt.rank("new", 50) == 0
    for _ in range(100):
        learnt.add("long", 10_000)
    assert learnt.rank("new", 0) == learnt.rank("long", 0) == pytest.approx(10_000, rel=0.2)
    for count in range(30):
        learnt.add("new", 10)
        if count == 14:
            assert 10 < learnt.rank("new", 100) == pytest.approx(10_000, rel=0.2)
    assert learnt.rank("new", 0) == pytest.approx(10, rel=0.2)


def test_old_observations_fade() -> None:
    histogram = Histogram()
    for total in [10] * 2_000 + [10_000] * 2_000:
        histogram.add(total)
    assert sum(sorted(histogram.shares())[-3:]) > 0.95
    assert sum(histogram.shares()) == pytest.approx(1)


def test_gittins_lets_the_program_that_is_known_to_be_short_pass_until_the_other_has_aged() -> None:
    scheduler = Gittins(8)
    for pid in range(100, 140):
        name, tokens = ("short", 10) if pid % 2 else ("long", 10_000)
        scheduler.began(pid, name, "user", 0)
        run(scheduler, Task(pid, pid, program=name), tokens, 0, tokens * 10_000)
        scheduler.ended(pid)
    scheduler.add(Task(1, pid=1, program="long"), 400 * SECOND)
    scheduler.add(Task(2, pid=2, program="short"), 401 * SECOND)
    assert drain(scheduler, 401 * SECOND) == [2, 1]
    scheduler.add(Task(3, pid=3, program="long"), 500 * SECOND)
    scheduler.add(Task(4, pid=4, program="short"), 5_000 * SECOND)
    assert drain(scheduler, 500 * SECOND) == [3, 4]


def test_gittins_knows_nothing_at_first_and_goes_by_arrival_of_programs() -> None:
    scheduler = Gittins(8)
    scheduler.began(5, "a", "user", 1)
    scheduler.began(6, "b", "user", 2)
    for id, pid in [(1, 6), (2, 5)]:
        scheduler.add(Task(id, pid), 3)
    assert drain(scheduler, 3) == [2, 1]


def test_a_call_of_the_user_is_a_run_of_its_own_and_leaves_nothing() -> None:
    scheduler = Gittins(8)
    for id in range(1, 50):
        run(scheduler, Task(id, pid=0, program="user"), 10)
    assert scheduler.learnt.pooled.count == 49
    assert not scheduler._programs


@pytest.mark.parametrize("policy", sorted(POLICIES))
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "next", "requeue", "remove", "ended"]), st.integers(0, 7), st.integers(0, 3))
    )
)
def test_every_policy_hands_out_each_job_once(policy: str, steps: list[tuple[str, int, int]]) -> None:
    scheduler: SchedulingPolicy = POLICIES[policy](8, slots=2)
    waiting: dict[int, Task] = {}
    running: dict[int, Task] = {}
    for now, (verb, number, tenant) in enumerate(steps):
        if verb == "add":
            task = Task(now + 1, pid=number, tenant=f"tenant{tenant}", program=f"agent{number % 3}")
            waiting[task.id] = task
            scheduler.add(task, now)
        elif verb == "next" and waiting:
            peeked = scheduler.peek(now)
            job = scheduler.next(now)
            assert peeked is job
            running[job.id] = waiting.pop(job.id)
            assert scheduler.quantum(job) is None or (scheduler.quantum(job) or 0) >= 8
        elif verb == "requeue" and running:
            task = running.pop(next(iter(running)))
            waiting[task.id] = task
            scheduler.served(task, 0, 8, now)
            scheduler.requeue(task, now)
        elif verb == "remove" and waiting:
            task = waiting.pop(next(iter(waiting)))
            assert scheduler.remove(task)
            assert not scheduler.remove(task)
            scheduler.done(task, now)
        elif verb == "ended":
            scheduler.ended(number, now)
        assert len(scheduler) == len(waiting)
    assert sorted(drain(scheduler, len(steps))) == sorted(waiting)
