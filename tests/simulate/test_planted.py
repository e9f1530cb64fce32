"""Bugs that schedulers have had, planted: each check passes with the real thing and fails with the bug."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import pytest

from aios.scheduler import POLICIES, Fifo, Gittins, Job, Priority, Resuming, RoundRobin, SchedulingPolicy, Vtc
from aios.scheduler.programs import Program as Row
from aios.simulate import A10G, Call, SimulatedProgram, Simulation, Task, engine
from aios.simulate.batch import SlotBatch
from aios.simulate.generate import generate
from tests.scheduler import jobs

SECOND = 1_000_000


class Credit(Vtc):
    """An idle tenant keeps what it did not use."""

    def add(self, job: Job, now: int = 0) -> None:
        account = self._account(job.tenant)
        kept = account.counter
        super().add(job, now)
        if len(account.queue) == 1:
            account.counter = kept
            self._enter(account)


def share_after_idling(make: Callable[[], SchedulingPolicy]) -> float:
    """Of the service that goes to a tenant in the 100 s after it was idle for 300, beside one that always waits."""
    busy = [SimulatedProgram(0, (Call(100, 100),), tenant="busy") for _ in range(400)]
    idler = [SimulatedProgram(300 * SECOND, (Call(100, 100),), tenant="idler") for _ in range(100)]
    simulation = Simulation(make(), A10G, 2, watch_us=SECOND)
    samples = simulation.run([*busy, *idler], until_us=401 * SECOND).samples
    before, after = samples[300].served, samples[-1].served
    got = {name: after[name] - before.get(name, 0) for name in after}
    return got["idler"] / sum(got.values())


def test_an_idle_tenant_gains_no_credit() -> None:
    assert share_after_idling(lambda: Vtc(None, inner=Resuming)) == pytest.approx(0.5, abs=0.05)
    assert share_after_idling(lambda: Credit(None, inner=Resuming)) > 0.9


class Charging(SlotBatch):
    """The restored context is taken out of the quantum."""

    def plan(self, task: Task, restored: int, now: int) -> None:
        super().plan(task, restored, now)
        if restored:
            task.planned = max(1, task.planned - restored)
            task.end = self.steps + task.planned


def least_per_preemption(quantum: int) -> float:
    """Tokens that calls wrote for each time that they were preempted, the least of all calls, under memory pressure."""
    written: dict[int, int] = {}
    paused: dict[int, int] = {}

    class Watched(RoundRobin):
        def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
            written[job.id] = written.get(job.id, 0) + decode

        def requeue(self, job: Job, now: int = 0) -> None:
            paused[job.id] = paused.get(job.id, 0) + 1
            super().requeue(job, now)

    programs = [SimulatedProgram(number, (Call(40, 200),)) for number in range(6)]
    result = Simulation(Watched(quantum), A10G, 2, memory=600).run(programs)
    assert result.recomputed > 0
    assert result.calls == 6
    return min(written[id] / count for id, count in paused.items())


def test_a_call_preempted_k_times_has_written_k_quanta(monkeypatch: pytest.MonkeyPatch) -> None:
    assert least_per_preemption(20) >= 20
    monkeypatch.setattr(engine, "SlotBatch", Charging)
    assert least_per_preemption(20) < 20


class Hasty(Gittins):
    """The younger a run, the earlier it goes."""

    def key(self, program: Row) -> float:
        return super().key(program) - 2 * program.arrival


class Childish(Priority):
    """Waiting makes a job less important."""

    def add(self, job: Job, now: int = 0) -> None:
        self.push(job, level=-now - job.priority * self._age_us)


def place_of_the_first(scheduler: SchedulingPolicy, now: int) -> int:
    """Which of 50 runs alike that arrived a second apart is served when all wait, counted from the first."""
    for number in range(50):
        scheduler.add(jobs.Task(number + 1, pid=number + 1), number * SECOND)
    return scheduler.next(now).id - 1


@pytest.mark.parametrize(("good", "bad"), [(Gittins(32), Hasty(32)), (Priority(32), Childish(32))])
def test_who_waits_longer_goes_earlier(good: SchedulingPolicy, bad: SchedulingPolicy) -> None:
    assert place_of_the_first(good, 50 * SECOND) == 0
    assert place_of_the_first(bad, 50 * SECOND) != 0


class Watching(Fifo):
    """Looks at the clock."""

    def add(self, job: Job, now: int = 0) -> None:
        self.push(job, -time.monotonic())


def digest(make: Callable[[], SchedulingPolicy], monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a small workload's log, on a machine without clocks and random numbers."""

    def refuse(*_given: object) -> float:
        raise AssertionError("a policy read a clock")

    programs = generate("mixed", 3, 20, 0.9, A10G, 4)
    with monkeypatch.context() as patch:
        for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns"):
            patch.setattr(time, name, refuse)
        patch.setattr(Random, "random", refuse)
        return Simulation(make(), A10G, 4, log=True).run(programs).digest


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_no_policy_reads_a_clock(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(lambda: POLICIES[policy](32, slots=4), monkeypatch)
    assert first == digest(lambda: POLICIES[policy](32, slots=4), monkeypatch)


def test_one_that_reads_a_clock_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="read a clock"):
        digest(Watching, monkeypatch)
