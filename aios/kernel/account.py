"""What processes may use and have used: budgets, charged up the tree of processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from aios_syscalls import Budget, BudgetExceeded

HINTS = {
    "tokens": "ask for fewer with max_tokens, shorten the messages",
    "usd": "name a cheaper model, ask for fewer tokens",
    "seconds": "do with what there is",
    "calls": "do with what there is",
}
TINY = 1e-9
"""By which sums of prices may be off: in floating point, three calls of 0.1 dollars make more than 0.3."""
UNITS = {"tokens": "tokens", "usd": "US dollars", "seconds": "seconds of running", "calls": "syscalls"}


class Account:
    """One process's budget; whatever it uses, its ancestors use too.

    What a call may take at most is held while it runs, and what it took is charged after: so calls that run at the same
    time never exceed a limit together.
    """

    def __init__(self, pid: int, budget: Budget, parent: Account | None = None) -> None:
        self.budget = budget
        self._pid, self._parent = pid, parent
        self._spent: dict[str, float] = dict.fromkeys(UNITS, 0)
        self._held: dict[str, float] = dict.fromkeys(UNITS, 0)
        limited = any(limit is not None for limit in budget.model_dump().values())
        above = () if parent is None else parent._limits
        self._limits: tuple[Account, ...] = (self, *above) if limited else above
        """The accounts with limits, of this one and those above: most calls meet none."""
        self._running: dict[anyio.CancelScope, Account] = {}
        """Who runs, by the account that it runs on: this one or one below."""
        self._settled = 0.0
        self._timed = any(each.budget.seconds is not None for each in self._limits)

    def admit(self) -> None:
        """Count a call. Raises BudgetExceeded when no more may be made, or no second is left."""
        for resource in ("calls", "seconds"):
            self._check(resource, 1 if resource == "calls" else 0)
        for each in self._chain():
            each._spent["calls"] += 1

    def check(self) -> None:
        """Raises BudgetExceeded when nothing at all is left."""
        for resource in UNITS:
            self._check(resource, 1 if resource in ("calls", "tokens") else 0)

    @contextmanager
    def holding(self, tokens: int, usd: float | None) -> Iterator[None]:
        """While a call runs that may take so much. Raises BudgetExceeded when that is more than is left.

        None is a price that nobody knows: too much where money is limited.
        """
        wanted = {"tokens": tokens, "usd": math.inf if usd is None else usd}
        for resource, amount in wanted.items():
            self._check(resource, amount)
        for each in self._limits:
            each._hold(wanted, 1)
        try:
            yield
        finally:
            for each in self._limits:
                each._hold(wanted, -1)

    def charge(self, tokens: int, usd: float | None) -> None:
        """Count what a call took."""
        for each in self._chain():
            each._spent["tokens"] += tokens
            each._spent["usd"] += usd or 0.0

    def restore(self, tokens: int, usd: float, calls: int, seconds: float) -> None:
        """Count what was used in an earlier life of the run."""
        for each in self._chain():
            for resource, amount in (("tokens", tokens), ("usd", usd), ("calls", calls), ("seconds", seconds)):
                each._spent[resource] += amount

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the seconds within. Raises BudgetExceeded in their midst when the last one is over."""
        if not self._timed:
            yield
            return
        with anyio.CancelScope() as scope:
            self._run(scope, starts=True)
            try:
                yield
            finally:
                self._run(scope, starts=False)
        if scope.cancelled_caught:
            timed = [each for each in self._limits if each.budget.seconds is not None]
            raise min(timed, key=lambda each: each._left("seconds"))._exceeded("seconds", 0.0, 0)

    def left(self) -> Budget:
        """What there is for this process, by its own budget and those above it."""
        if not self._limits:
            return UNLIMITED
        found = {}
        for resource in UNITS:
            least = min(each._left(resource) for each in self._limits)
            if least < math.inf:
                found[resource] = max(0, least)
        return Budget(**found)

    def _chain(self) -> Iterator[Account]:
        each: Account | None = self
        while each is not None:
            yield each
            each = each._parent

    def _left(self, resource: str) -> float:
        limit = getattr(self.budget, resource)
        if limit is None:
            return math.inf
        if resource == "seconds":
            self._settle()
        return float(limit - self._spent[resource] - self._held[resource])

    def _check(self, resource: str, needed: float) -> None:
        for each in self._limits:
            left = each._left(resource)
            if needed > left + TINY or (resource == "seconds" and left <= 0):
                raise each._exceeded(resource, max(0.0, left), needed)

    def _exceeded(self, resource: str, left: float, needed: float) -> BudgetExceeded:
        unit, limit = UNITS[resource], getattr(self.budget, resource)
        whose = f"process {self._pid} and its children" if self._pid else "all processes together"
        if needed == math.inf:
            why = "the model has no price, so nobody knows whether that is enough; give it one, or name another model"
            return BudgetExceeded(f"{whose} may spend {limit:g} {unit}, and {why}", resource, left, -1)
        wants = f"; this call may take {needed:g} more, and" if resource in ("tokens", "usd") else ", of which"
        return BudgetExceeded(
            f"{whose} may use {limit:g} {unit}{wants} {left:g} are left; "
            f"{HINTS[resource]}, or let whoever started it raise the budget",
            resource,
            left,
            needed,
        )

    def _hold(self, wanted: dict[str, float], sign: int) -> None:
        for resource, amount in wanted.items():
            if getattr(self.budget, resource) is not None:
                self._held[resource] += sign * amount

    def _settle(self) -> None:
        now = anyio.current_time()
        self._spent["seconds"] += len(self._running) * (now - self._settled)
        self._settled = now

    def _run(self, scope: anyio.CancelScope, *, starts: bool) -> None:
        for each in self._limits:
            if each.budget.seconds is not None:
                each._settle()
                if starts:
                    each._running[scope] = self
                else:
                    del each._running[scope]
        for each in self._limits:
            for other, account in each._running.items():
                other.deadline = account._ends()

    def _ends(self) -> float:
        """When the seconds are used up, if those who run go on."""
        return min(
            each._settled + (each.budget.seconds - each._spent["seconds"]) / max(1, len(each._running))
            for each in self._limits
            if each.budget.seconds is not None
        )


def tighter(a: Budget, b: Budget) -> Budget:
    """The smaller limit of each resource."""
    pairs = ((resource, getattr(a, resource), getattr(b, resource)) for resource in UNITS)
    return Budget(**{name: min(x, y) if None not in (x, y) else x if y is None else y for name, x, y in pairs})


UNLIMITED = Budget()
FREE = Account(0, UNLIMITED)
"""Without limits."""
