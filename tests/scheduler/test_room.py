"""Memory as a resource: who comes in, who is paused for whom, and that everybody ends, whatever the policy."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios.scheduler import POLICIES, AdmissionControl, Fifo, Gittins, Job, RoundRobin, SchedulingPolicy
from aios.scheduler.think_times import KNOWN, ThinkTimes
from aios.simulate import A10G, Call, SimulatedProgram, Simulation, chain
from aios.simulate.generate import generate, windowed
from tests.scheduler.jobs import Task, drain

WORTH = 100
"""Microseconds that a context of a Room of 100 tokens is kept at read_us = 1, of a program not known."""


def room(capacity: int = 100, inner: SchedulingPolicy | None = None) -> AdmissionControl:
    return AdmissionControl(Fifo() if inner is None else inner, capacity, read_us=1)


def call(id: int, pid: int, context: int = 40, priority: int = 0) -> Task:
    return Task(id, pid, priority, context=context)


def finish(scheduler: SchedulingPolicy, task: Task, now: int = 0, *, ends: bool = False) -> None:
    """A running call has written nothing and is done, and maybe so is its run."""
    scheduler.served(task, task.context, 0, now)
    scheduler.done(task, now)
    if ends:
        scheduler.ended(task.pid, now)


def taken(scheduler: SchedulingPolicy, now: int = 0) -> list[int]:
    """The calls that may go now, all of them taken."""
    found = []
    while scheduler.ready(now):
        found.append(scheduler.next(now).id)
    return found


def test_who_does_not_fit_waits_outside_until_a_run_has_ended() -> None:
    scheduler = room()
    first, *others = [call(id, id) for id in (1, 2, 3, 4)]
    for each in (first, *others):
        scheduler.add(each)
    assert taken(scheduler) == [1, 2]
    assert (scheduler.places.used, len(scheduler)) == (80, 2)
    with pytest.raises(IndexError, match="fits"):
        scheduler.next()
    finish(scheduler, first)
    # What it left is worth its place.
    assert taken(scheduler) == []
    scheduler.ended(1)
    assert taken(scheduler) == [3]
    assert not scheduler.resident(1)


def test_none_passes_the_first_outside_for_being_smaller_but_for_more_priority() -> None:
    scheduler = room()
    for each in (call(1, 1, 60), call(2, 2, 50), call(3, 3, 10), call(4, 4, 10, priority=1)):
        scheduler.add(each)
    assert taken(scheduler) == [4, 1]
    finish(scheduler, call(1, 1, 60), ends=True)
    assert taken(scheduler) == [2, 3]


def test_calls_of_those_inside_pass_those_outside() -> None:
    scheduler = room()
    for each in (call(1, 1), call(2, 2), call(3, 3)):
        scheduler.add(each)
    assert taken(scheduler) == [1, 2]
    finish(scheduler, call(1, 1), 10)
    scheduler.add(call(5, 1, 50), 20)
    assert taken(scheduler, 20) == [5]
    assert scheduler.places.used == 90


def test_a_context_is_kept_while_it_pays_and_then_goes_when_another_needs_the_place() -> None:
    scheduler = room()
    for each in (call(1, 1), call(2, 2)):
        scheduler.add(each)
    assert taken(scheduler) == [1, 2]
    finish(scheduler, call(1, 1), 1_000)
    assert scheduler.resident(1)
    scheduler.add(call(3, 3), 1_001)
    assert taken(scheduler, 1_000 + WORTH - 1) == []
    assert taken(scheduler, 1_000 + WORTH) == [3]
    assert [scheduler.resident(pid) for pid in (1, 2, 3)] == [False, True, True]


def test_it_says_when_to_look_again_for_whoever_waits_outside() -> None:
    scheduler = room()
    tasks = [call(1, 1, 50), call(2, 2, 50), call(3, 3, 50)]
    for each in tasks:
        scheduler.add(each)
    assert taken(scheduler) == [1, 2]
    assert scheduler.next_wakeup() is None
    finish(scheduler, tasks[0], 10)
    assert taken(scheduler, 10) == []
    assert scheduler.next_wakeup(10) == 10 + WORTH
    assert taken(scheduler, 10 + WORTH) == [3]
    assert scheduler.next_wakeup(10 + WORTH) is None


def test_it_says_when_the_next_call_outside_is_due() -> None:
    scheduler = room(inner=Gittins(8, t_max_us=1_000))
    for id in (1, 2):
        scheduler.add(call(id, id, 60), id)
    assert taken(scheduler, 5) == [1]
    assert scheduler.next_wakeup(5) == 1_002


def test_nobody_loses_a_place_that_none_needs() -> None:
    scheduler = room()
    scheduler.add(call(1, 1))
    assert taken(scheduler) == [1]
    finish(scheduler, call(1, 1))
    scheduler.add(call(2, 2), 100 * WORTH)
    assert taken(scheduler, 100 * WORTH) == [2]
    assert scheduler.resident(1)


def test_those_inside_pause_first_who_is_between_calls_then_who_waits_the_smallest_first() -> None:
    scheduler = room(100, RoundRobin(8))
    tasks = {pid: call(pid, pid, tokens) for pid, tokens in [(1, 30), (2, 15), (3, 25), (4, 20)]}
    for each in tasks.values():
        scheduler.add(each)
    assert taken(scheduler) == [1, 2, 3, 4]
    finish(scheduler, tasks[1])
    finish(scheduler, tasks[3])
    scheduler.requeue(tasks[2])
    # 4 stays; it has room for 10 more, and 30 more are 3's place, of those between calls the smaller one.
    scheduler.served(tasks[4], 0, 20)
    assert [scheduler.resident(pid) for pid in (1, 2, 3, 4)] == [True, True, False, True]
    scheduler.served(tasks[4], 0, 35)
    assert [scheduler.resident(pid) for pid in (1, 2, 3, 4)] == [False, True, False, True]
    scheduler.served(tasks[4], 0, 20)
    assert [scheduler.resident(pid) for pid in (1, 2, 3, 4)] == [False, False, False, True]
    assert scheduler.places.used == 95


def test_what_grew_beyond_the_memory_waits_until_another_stops() -> None:
    scheduler = room(100, RoundRobin(8))
    one, two = call(1, 1), call(2, 2)
    scheduler.add(one)
    scheduler.add(two)
    assert taken(scheduler) == [1, 2]
    scheduler.served(one, 40, 25)
    scheduler.requeue(one)
    assert not scheduler.resident(1)
    assert taken(scheduler) == []
    finish(scheduler, two, ends=True)
    assert taken(scheduler) == [1]
    assert scheduler.places.used == 65


def test_a_program_larger_than_the_memory_runs_alone() -> None:
    scheduler = room()
    small, large = call(1, 1, 10), call(2, 2, 500)
    for each in (small, large, call(3, 3, 10)):
        scheduler.add(each)
    assert taken(scheduler) == [1]
    finish(scheduler, small)
    assert taken(scheduler, 10) == [2]
    assert not scheduler.resident(1)
    finish(scheduler, large, ends=True)
    assert taken(scheduler) == [3]


def test_an_idle_core_waits_no_longer_than_it_takes_to_read_again() -> None:
    for comes_back in (False, True):
        scheduler = room()
        scheduler.add(call(1, 1, 60))
        assert taken(scheduler) == [1]
        finish(scheduler, call(1, 1, 60), 10)
        scheduler.add(call(2, 2, 90), 11)
        assert taken(scheduler, 11) == []
        # Another 40 it would be kept through where others run.
        assert scheduler.next_wakeup(11) == 10 + 60
        if comes_back:
            scheduler.add(call(3, 1, 70), 69)
            assert taken(scheduler, 69) == [3]
        else:
            assert taken(scheduler, 70) == [2]


def test_an_idle_core_lets_in_whoever_there_is_where_none_is_about_to_come() -> None:
    scheduler = room()
    for each in (call(1, 1, 60), call(2, 2, 90, priority=-1)):
        scheduler.add(each)
    assert taken(scheduler) == [1]
    finish(scheduler, call(1, 1, 60), 10)
    assert taken(scheduler, 10) == []
    assert taken(scheduler, 70) == [2]
    assert not scheduler.resident(1)


def test_whoever_has_more_priority_takes_the_place_of_who_does_not_run() -> None:
    scheduler = room()
    for each in (call(1, 1), call(2, 2)):
        scheduler.add(each)
    assert taken(scheduler) == [1, 2]
    finish(scheduler, call(1, 1))
    scheduler.add(call(3, 3), 1)
    assert taken(scheduler, 1) == []
    scheduler.add(call(4, 4, priority=1), 1)
    assert taken(scheduler, 1) == [4]
    assert [scheduler.resident(pid) for pid in (1, 2, 3, 4)] == [False, True, False, True]


def test_the_policys_cap_holds_for_who_waits_outside() -> None:
    scheduler = room(100, Gittins(8, t_max_us=1_000))
    ones = [call(id, 1, 60) for id in range(1, 9)]
    scheduler.add(ones[0])
    assert taken(scheduler) == [1]
    scheduler.add(call(20, 2, 60), 1)
    for now, (before, after) in enumerate(pairwise(ones), 1):
        finish(scheduler, before, now * 100)
        scheduler.add(after, now * 100)
        assert taken(scheduler, now * 100) == [after.id]
    scheduler.add(call(9, 1, 60), 1_001)
    assert taken(scheduler, 1_001) == []
    finish(scheduler, ones[-1], 1_100)
    assert taken(scheduler, 1_100) == [20]


def test_a_cancelled_call_makes_room_held_back_or_running() -> None:
    scheduler = room()
    tasks = [call(1, 1, 60), call(2, 2, 50), call(3, 3, 40)]
    for each in tasks:
        scheduler.add(each)
    assert taken(scheduler) == [1]
    assert scheduler.remove(tasks[1])
    scheduler.done(tasks[1])
    assert not scheduler.remove(tasks[1])
    assert taken(scheduler) == [3]
    scheduler.done(tasks[0])
    scheduler.ended(1)
    assert (scheduler.places.used, len(scheduler)) == (40, 0)


def test_the_users_calls_are_runs_of_their_own() -> None:
    scheduler = room()
    tasks = [call(id, 0, 60) for id in (1, 2)]
    for each in tasks:
        scheduler.add(each)
    assert taken(scheduler) == [1]
    finish(scheduler, tasks[0])
    assert scheduler.places.used == 0
    assert taken(scheduler) == [2]


def test_a_call_takes_what_calls_of_its_program_usually_write() -> None:
    scheduler = room()
    first = call(1, 1, 10)
    scheduler.add(first)
    assert taken(scheduler) == [1]
    scheduler.served(first, 10, 50)
    scheduler.done(first)
    scheduler.ended(1)
    for id in (2, 3):
        scheduler.add(call(id, id, 10))
    assert taken(scheduler) == [2]
    assert scheduler.places.used == 60


def test_of_those_outside_a_number_is_looked_at_and_all_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios.scheduler.admission.LOOK", 2)
    scheduler = room(100)
    tasks = [call(1, 1, 100), *(call(id, id, 20) for id in range(2, 9))]
    for each in tasks:
        scheduler.add(each)
    assert taken(scheduler) == [1]
    assert len(scheduler) == 7
    finish(scheduler, tasks[0], ends=True)
    assert taken(scheduler) == [2, 3, 4, 5, 6]
    scheduler.remove(tasks[6])
    scheduler.done(tasks[6])
    assert taken(scheduler) == []
    finish(scheduler, tasks[1], ends=True)
    assert taken(scheduler) == [8]


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no context"):
        AdmissionControl(Fifo(), 0)


def test_pauses_are_kept_through_while_most_end_before_it_is_not_worth_it() -> None:
    pauses = ThinkTimes()
    assert pauses.keep_us("never seen", 10_000) == 10_000
    for _ in range(50):
        pauses.add("tool", 1_000)
        pauses.add("person", 1_000_000)
    assert 1_000 <= pauses.keep_us("tool", 10_000) <= 2_000
    assert pauses.keep_us("person", 10_000) == 0
    # Nine tools of ten answer soon, one hangs: it is given up soon after.
    for number in range(500):
        pauses.add("mixed", 100_000 if number % 10 == 0 else 1_000)
    assert 1_000 <= pauses.keep_us("mixed", 10_000) <= 2_000


def test_a_bet_on_a_pause_needs_a_few_of_them() -> None:
    pauses = ThinkTimes()
    for number in range(KNOWN):
        assert pauses.keep_us("person", 10_000) == 10_000, number
        pauses.add("person", 1_000_000)
    assert pauses.keep_us("person", 10_000) == 0


def test_a_context_that_is_dearer_to_read_again_is_kept_for_longer() -> None:
    pauses = ThinkTimes()
    for _ in range(50):
        pauses.add("tool", 1_000)
    assert pauses.keep_us("tool", 100) == 0
    assert 1_000 <= pauses.keep_us("tool", 10_000) <= 2_000
    assert pauses.keep_us("tool", 100) == 0


@pytest.mark.parametrize("policy", sorted(POLICIES))
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(-1, 1)), min_size=1, max_size=12), st.integers(0, 12))
def test_whoever_was_held_back_keeps_its_place(policy: str, given: list[tuple[int, int]], count: int) -> None:
    def filled() -> SchedulingPolicy:
        scheduler = POLICIES[policy](8)
        for id, (pid, priority) in enumerate(given, 1):
            scheduler.add(Task(id, pid, priority), id)
        return scheduler

    scheduler, held = filled(), []
    for _ in range(min(count, len(given))):
        held.append(scheduler.peek(20))
        scheduler.suspend(held[-1])
    assert len(scheduler) == len(given) - len(held)
    for each in reversed(held):
        scheduler.resume(each, 20)
    if policy in ("vtc", "fair_gittins"):  # one tenant, whose calls it charges for as they go
        assert Counter(drain(scheduler, 20)) == Counter(drain(filled(), 20))
    else:
        assert drain(scheduler, 20) == drain(filled(), 20)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_call_that_is_held_back_can_be_removed(policy: str) -> None:
    scheduler = POLICIES[policy](8)
    for id in (1, 2):
        scheduler.add(Task(id, id))
    held = scheduler.peek()
    scheduler.suspend(held)
    assert scheduler.remove(held)
    assert not scheduler.remove(held)
    scheduler.done(held)
    assert len(drain(scheduler)) == 1


CALLS = st.lists(
    st.builds(
        Call, st.integers(0, 60), st.integers(1, 40), st.just(0), st.sampled_from([0, 10, 5_000]), after=st.just(())
    ),
    min_size=1,
    max_size=5,
)
PROGRAMS = st.lists(
    st.tuples(st.integers(0, 50_000), CALLS, st.booleans(), st.integers(-1, 1), st.sampled_from("ab")),
    min_size=1,
    max_size=8,
)


class Checked(AdmissionControl):
    """Says when those that were let in need more than there is, unless it is one alone or what one writes beyond."""

    def next(self, now: int = 0) -> Job:
        first = self.peek(now)
        assert self.ready(now)
        job = super().next(now)
        assert job is first
        places = self.places
        assert places.used <= places.capacity or len(places._resident) == 1
        assert places.used == sum(place.size for place in places._resident.values())
        assert all(place.size == 0 for place in places._all.values() if place.id not in places._resident)
        return job


@pytest.mark.parametrize("policy", ["fifo", "round_robin", "mlfq", "gittins", "fair_gittins"])
@settings(max_examples=60, deadline=None)
@given(PROGRAMS, st.integers(1, 4), st.integers(20, 200), st.sampled_from([1, 2, 64]))
def test_all_run_to_their_end_and_those_inside_fit(
    policy: str, given: list[tuple[int, list[Call], bool, int, str]], slots: int, capacity: int, look: int
) -> None:
    programs = [
        SimulatedProgram(at, chain(calls) if chained else tuple(calls), name, name, priority)
        for at, calls, chained, priority, name in sorted(given, key=lambda row: row[0])
    ]
    scheduler = Checked(POLICIES[policy](8, slots=slots), capacity, read_us=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aios.scheduler.admission.LOOK", look)
        result = Simulation(scheduler, A10G, slots).run(programs)
    assert result.calls == sum(len(program.calls) for program in programs)
    assert len(result.ended) == len(programs)
    assert (len(scheduler), scheduler.places.used) == (0, 0)
    assert not scheduler.places
    assert not scheduler.places._written


@pytest.mark.parametrize("policy", ["fifo", "gittins", "vtc"])
def test_where_there_is_room_for_all_nothing_changes(policy: str) -> None:
    programs = generate("mixed", 4, 30, 0.95, A10G, 4)
    run = partial(Simulation, core=A10G, slots=4, log=True)
    alone = run(POLICIES[policy](32, slots=4)).run(programs)
    assert run(room(10**9, POLICIES[policy](32, slots=4))).run(programs).digest == alone.digest


def test_less_is_read_again_and_programs_are_through_sooner() -> None:
    programs = windowed(generate("tool", 9, 60, 1.0, A10G, 8), 4_096)
    size = 24_000

    def simulated(scheduler: SchedulingPolicy) -> Simulation:
        simulation = Simulation(scheduler, A10G, 8, memory=size)
        simulation.run(programs)
        return simulation

    plain, inside = simulated(Fifo()).result, simulated(AdmissionControl(Fifo(), size, A10G.prefill_us)).result
    assert inside.recomputed < 0.9 * plain.recomputed
    assert inside.mean_s() < 0.9 * plain.mean_s()
    assert len(inside.ended) == len(plain.ended) == len(programs)
