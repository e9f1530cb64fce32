"""Fairness between tenants, by counters."""

from __future__ import annotations

from collections import Counter

import pytest

from aios.scheduler import FairGittins, Resuming, Vtc
from tests.scheduler.jobs import Task, drain


def fair(weights: dict[str, float] | None = None) -> Vtc:
    return Vtc(None, weights, inner=Resuming)


def serve(scheduler: Vtc, calls: int) -> Counter[str]:
    """Run calls that write as much as they read to their ends, one after the other; how many of each tenant."""
    got: Counter[str] = Counter()
    for _ in range(calls):
        job = scheduler.next()
        scheduler.served(job, 100, 100)
        scheduler.done(job)
        got[job.tenant] += 1
    return got


def flood(scheduler: Vtc, **counts: int) -> None:
    id = 0
    for tenant, count in counts.items():
        for _ in range(count):
            id += 1
            scheduler.add(Task(id, pid=0, tenant=tenant))


def test_a_flood_takes_no_more_than_its_share() -> None:
    scheduler = fair()
    flood(scheduler, greedy=1_000, modest=50)
    assert serve(scheduler, 60) == {"greedy": 30, "modest": 30}


def test_shares_follow_weights() -> None:
    scheduler = fair({"a": 1, "b": 1, "c": 2, "d": 4})
    flood(scheduler, a=100, b=100, c=100, d=100)
    assert serve(scheduler, 80) == {"a": 10, "b": 10, "c": 20, "d": 40}


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan")])
def test_a_weight_that_is_no_share_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="'a' has weight"):
        fair({"a": weight})


def test_what_was_charged_in_advance_is_corrected_when_it_is_known() -> None:
    scheduler = fair()
    scheduler.add(Task(1, prompt=1_000))
    job = scheduler.next()
    assert scheduler.counter("user") == 1_000
    scheduler.served(job, 10, 5)
    assert scheduler.counter("user") == 10 + 2 * 5
    scheduler.requeue(job)
    assert scheduler.next() is job
    assert scheduler.counter("user") == 20


def test_a_smaller_charge_brings_the_tenant_forward_again() -> None:
    scheduler = fair()
    scheduler.add(Task(1, tenant="a", prompt=1_000))
    scheduler.add(Task(2, tenant="b", prompt=100))
    scheduler.add(Task(3, tenant="a"))
    scheduler.add(Task(4, tenant="b"))
    first = scheduler.next()
    assert first.id == 1
    assert scheduler.next().id == 2
    scheduler.served(first, 1, 0)
    assert drain(scheduler) == [3, 4]


def test_a_tenant_whose_calls_are_held_back_is_not_idle() -> None:
    scheduler = fair()
    held, other = Task(1, tenant="held"), Task(2, tenant="other")
    scheduler.add(held)
    scheduler.suspend(held)
    scheduler.add(other)
    assert scheduler.next() == other
    scheduler.served(other, 100, 50)
    scheduler.requeue(other)
    scheduler.add(Task(3, tenant="held"))
    assert scheduler.counter("held") == 0
    scheduler.resume(held)
    assert drain(scheduler) == [1, 3, 2]


def test_fair_gittins_is_fair_between_tenants_and_quick_inside_one() -> None:
    scheduler = FairGittins(8)
    for number in range(60):
        name, tokens = ("short", 10) if number % 2 else ("long", 10_000)
        task = Task(number + 1, pid=number + 1, program=name, tenant="teacher")
        scheduler.began(task.pid, name, "teacher", 0)
        scheduler.add(task)
        scheduler.next()
        scheduler.served(task, 0, tokens)
        scheduler.done(task, 1_000_000)
        scheduler.ended(task.pid)
    for id, tenant, name in [(101, "a", "long"), (102, "a", "short"), (103, "b", "long"), (104, "b", "short")]:
        scheduler.add(Task(id, pid=id, tenant=tenant, program=name))
    assert drain(scheduler) == [102, 104, 101, 103]
