"""A virtual token counter for each tenant: who was served least goes first."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aios.scheduler.base import Job, PolicyBase, SchedulingPolicy

PROMPT, OUTPUT = 1.0, 2.0
"""What a token read and a token written cost a tenant."""


@dataclass(slots=True)
class ServiceCounter:
    """What a tenant was served, over its weight, and its calls that wait."""

    tenant: str
    weight: float
    queue: SchedulingPolicy
    counter: float = 0.0
    version: int = 0
    """Of its entry among the backlogged; others are outdated."""
    held: int = 0
    """Its calls that are held back."""


class Vtc(PolicyBase):
    """The tenant with the smallest counter goes first, `inner` orders its calls (VTC, Sheng et al., OSDI 2024).

    A counter grows by PROMPT for each token read and OUTPUT for each written, over the tenant's weight. A tenant that
    waits again after a pause is lifted to the smallest counter of those that wait, so that it gains no credit by
    having been idle. Two tenants that both wait all the time differ by at most 2 * max(PROMPT * longest prompt,
    OUTPUT * M) in weighted service, M the tokens that run at once. Priorities are between the calls of one tenant:
    across tenants they would be a way to take others' share. With a slice, the bound holds between slices too.
    """

    wants_per_step = True
    """It wants service told step by step, where somebody can."""

    def __init__(
        self,
        slice: int | None,
        weights: Mapping[str, float] | None = None,
        *,
        inner: Callable[[], SchedulingPolicy],
    ) -> None:
        self.slice = slice
        self._weights = dict(weights or {})
        for tenant, weight in self._weights.items():
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(f"tenant {tenant!r} has weight {weight:g}; give one above 0, 1 being usual")
        self._inner = inner
        self._accounts: dict[str, ServiceCounter] = {}
        self._tenants: dict[int, str] = {}
        self._living: Counter[str] = Counter()
        """The processes of each tenant."""
        self._backlogged: list[tuple[float, str, int]] = []
        self._waiting = 0
        self._left = 0.0
        """The counter of the tenant whose last call was taken last."""
        self._charged: dict[int, int] = {}
        """Prompt tokens that a running call was charged for when it was taken, and that were not read yet."""

    def __len__(self) -> int:
        return self._waiting

    def counter(self, tenant: str) -> float:
        """What a tenant was charged, over its weight, and lifted by."""
        return self._account(tenant).counter

    def add(self, job: Job, now: int = 0) -> None:
        account = self._account(job.tenant)
        if not len(account.queue):
            if not account.held:
                first = self._first()
                account.counter = max(account.counter, self._left if first is None else first.counter)
            self._enter(account)
        account.queue.add(job, now)
        self._charged[job.id] = -1
        self._waiting += 1

    def requeue(self, job: Job, now: int = 0) -> None:
        account = self._account(job.tenant)
        if not len(account.queue):
            self._enter(account)  # it ran until now, so there is nothing to lift
        account.queue.requeue(job, now)
        self._waiting += 1

    def peek(self, now: int = 0) -> Job:
        account = self._first()
        if account is None:
            raise IndexError("none waits")
        return account.queue.peek(now)

    def next(self, now: int = 0) -> Job:
        account = self._first()
        if account is None:
            raise IndexError("none waits")
        job = account.queue.next(now)
        self._waiting -= 1
        if self._charged.get(job.id, 0) < 0:
            # At once, lest a tenant fill every free slot before the first of its calls is told to have read.
            self._charged[job.id] = job.prompt
            account.counter += PROMPT * job.prompt / account.weight
        self._settle(account)
        return job

    def would_preempt(self, job: Job, tokens: int, now: int = 0) -> bool:
        account = self._account(job.tenant)
        own = account.counter + OUTPUT * tokens / account.weight
        if any(len(each.queue) and each.counter < own for each in self._accounts.values() if each is not account):
            return True
        return account.queue.would_preempt(job, tokens, now)

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        account = self._account(job.tenant)
        # What was charged in advance was a guess; now it is known.
        due = PROMPT * (prefill - self._charged.pop(job.id, 0)) + OUTPUT * decode
        account.counter += due / account.weight
        if due < 0 and len(account.queue):
            self._enter(account)
        account.queue.served(job, prefill, decode, now)

    def remove(self, job: Job) -> bool:
        account = self._account(job.tenant)
        waited = len(account.queue)
        if not account.queue.remove(job):
            return False
        if len(account.queue) == waited:
            account.held -= 1
        else:
            self._waiting -= 1
            self._settle(account)
        return True

    def suspend(self, job: Job) -> None:
        account = self._account(job.tenant)
        account.queue.suspend(job)
        account.held += 1
        self._waiting -= 1

    def resume(self, job: Job, now: int = 0) -> None:
        account = self._account(job.tenant)
        if not len(account.queue):
            self._enter(account)  # it wanted service all the time, so there is nothing to lift
        account.queue.resume(job, now)
        account.held -= 1
        self._waiting += 1

    def deadline_of(self, job: Job) -> int | None:
        return self._account(job.tenant).queue.deadline_of(job)

    def done(self, job: Job, now: int = 0) -> None:
        self._charged.pop(job.id, None)
        self._account(job.tenant).queue.done(job, now)

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        self._tenants[pid] = tenant
        self._living[tenant] += 1
        self._account(tenant).queue.began(pid, program, tenant, now)

    def ended(self, pid: int, now: int = 0) -> None:
        tenant = self._tenants.pop(pid, None)
        if tenant is not None:
            account = self._account(tenant)
            account.queue.ended(pid, now)
            self._living[tenant] -= 1
            if not self._living[tenant]:
                self._forget(account)

    def _account(self, tenant: str) -> ServiceCounter:
        account = self._accounts.get(tenant)
        if account is None:
            account = self._accounts[tenant] = ServiceCounter(tenant, self._weights.get(tenant, 1.0), self._inner())
        return account

    def _forget(self, account: ServiceCounter) -> None:
        """Close the account of a tenant that has no process any more; who comes again is lifted as any other is."""
        del self._living[account.tenant]
        if not (len(account.queue) or account.held):
            del self._accounts[account.tenant]

    def _enter(self, account: ServiceCounter) -> None:
        account.version += 1
        heapq.heappush(self._backlogged, (account.counter, account.tenant, account.version))

    def _settle(self, account: ServiceCounter) -> None:
        if not len(account.queue):
            account.version += 1
            self._left = account.counter

    def _first(self) -> ServiceCounter | None:
        """The backlogged tenant with the smallest counter; an entry whose counter has grown sinks when it surfaces."""
        heap = self._backlogged
        while heap:
            counter, tenant, version = heap[0]
            account = self._accounts.get(tenant)
            if account is None or version != account.version or not len(account.queue):
                heapq.heappop(heap)
            elif counter < account.counter:
                heapq.heapreplace(heap, (account.counter, tenant, version))
            else:
                return account
        return None
