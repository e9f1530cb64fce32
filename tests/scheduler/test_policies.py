"""Policies are pure: orders are asserted whole."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.scheduler import POLICIES, Fifo, RoundRobin
from tests.scheduler.jobs import Task, drain


def test_fifo_keeps_the_order_of_arrival() -> None:
    scheduler = Fifo()
    for id in (3, 1, 2):
        scheduler.add(Task(id))
    assert scheduler.slice is None
    assert drain(scheduler) == [3, 1, 2]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_larger_priority_goes_first_and_ties_keep_their_order(policy: str) -> None:
    scheduler = POLICIES[policy](8)
    for id, priority in [(1, 0), (2, 5), (3, -5), (4, 5), (5, 0)]:
        scheduler.add(Task(id, priority=priority))
    assert drain(scheduler) == [2, 4, 1, 5, 3]


def test_round_robin_puts_a_paused_job_behind_all_others() -> None:
    scheduler = RoundRobin(8)
    for id in (1, 2, 3):
        scheduler.add(Task(id))
    order = []
    for _ in range(7):
        job = scheduler.next()
        order.append(job.id)
        scheduler.requeue(job)
    assert scheduler.slice == 8
    assert order == [1, 2, 3, 1, 2, 3, 1]


def test_a_removed_job_never_surfaces_and_may_come_again() -> None:
    scheduler = Fifo()
    first, second = Task(1), Task(2)
    scheduler.add(first)
    scheduler.add(second)
    assert scheduler.remove(first)
    assert not scheduler.remove(first)
    scheduler.add(first)
    assert drain(scheduler) == [2, 1]
    with pytest.raises(IndexError):
        scheduler.next()


def test_a_slice_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="never ends"):
        RoundRobin(0)


@given(
    st.lists(st.tuples(st.sampled_from(["add", "next", "requeue", "remove"]), st.integers(0, 5), st.integers(-2, 2)))
)
def test_no_job_is_lost_or_doubled(steps: list[tuple[str, int, int]]) -> None:
    scheduler = RoundRobin(4)
    waiting: dict[int, Task] = {}
    running: dict[int, Task] = {}
    for verb, id, priority in steps:
        if verb == "add" and id not in waiting and id not in running:
            waiting[id] = Task(id, priority=priority)
            scheduler.add(waiting[id])
        elif verb == "next" and waiting:
            job = scheduler.next()
            assert job.priority == max(task.priority for task in waiting.values())
            running[job.id] = waiting.pop(job.id)
        elif verb == "requeue" and id in running:
            waiting[id] = running.pop(id)
            scheduler.requeue(waiting[id])
        elif verb == "remove":
            task = waiting.pop(id, None) or Task(id)
            scheduler.remove(task)
        assert len(scheduler) == len(waiting)
    assert Counter(drain(scheduler)) == Counter(waiting.keys())


@pytest.mark.parametrize("policy", sorted(POLICIES))
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 200)), min_size=1, max_size=12), st.integers(1, 300))
def test_nobody_is_paused_who_would_be_next_again(policy: str, others: list[tuple[int, int]], tokens: int) -> None:
    scheduler = POLICIES[policy](8)
    for number, (pid, decode) in enumerate(others, 1):
        task = Task(number, pid, program=f"agent{pid}", tenant=f"tenant{pid % 2}", prompt=0)
        scheduler.add(task, number)
        if number % 3 == 0:
            scheduler.served(scheduler.next(number), 0, decode, number)
            scheduler.done(task, number)
    now = len(others) + 1
    for number in range(100, 103):
        scheduler.add(Task(number, number % 3 + 1, prompt=0), now)
    job = scheduler.next(now)
    passed = scheduler.would_preempt(job, tokens, now)
    scheduler.served(job, 0, tokens, now)
    scheduler.requeue(job, now)
    if not passed:
        assert scheduler.peek(now) is job
    elif policy in ("gittins", "plas", "program_fcfs"):
        assert scheduler.peek(now) is not job


def test_alone_nobody_is_passed() -> None:
    for make in POLICIES.values():
        scheduler = make(8)
        scheduler.add(Task(1))
        assert not scheduler.would_preempt(scheduler.next(), 1_000)
