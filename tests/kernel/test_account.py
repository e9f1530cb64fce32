"""Accounts by themselves: what is held, what is charged, and to whom."""

from __future__ import annotations

import random
from contextlib import ExitStack

import anyio
import pytest
from trio.testing import MockClock

from aios.kernel.account import FREE, Account, tighter
from aios_syscalls import Budget, BudgetExceeded

VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])


def family(*budgets: Budget) -> list[Account]:
    """Accounts each of which is the parent of the next."""
    found: list[Account] = []
    for pid, budget in enumerate(budgets, 1):
        found.append(Account(pid, budget, found[-1] if found else None))
    return found


def test_the_tighter_of_two_budgets_has_the_smaller_limit_of_each() -> None:
    a, b = Budget(tokens=5, usd=0.0, calls=3), Budget(tokens=7, usd=1.5, seconds=2)
    assert tighter(a, b) == tighter(b, a) == Budget(tokens=5, usd=0.0, seconds=2, calls=3)
    assert tighter(a, Budget()) == a


def test_what_a_grandchild_takes_all_above_have_taken() -> None:
    top, middle, bottom = family(Budget(tokens=100), Budget(usd=2), Budget(calls=9))
    bottom.charge(30, 0.5)
    assert bottom.left() == Budget(tokens=70, usd=1.5, calls=9)
    assert middle.left() == Budget(tokens=70, usd=1.5)
    assert top.left() == Budget(tokens=70)


def test_a_child_has_no_more_than_its_parent() -> None:
    parent, child = family(Budget(tokens=10), Budget(tokens=1_000))
    assert child.left() == Budget(tokens=10)
    with pytest.raises(BudgetExceeded, match=r"process 1 and its children may use 10 tokens; .* 11 more, and 10 are"):
        child.holding(11, 0).__enter__()
    with child.holding(10, 0):
        assert parent.left() == Budget(tokens=0)
    assert parent.left() == Budget(tokens=10)


def test_what_is_held_is_not_to_be_had_and_comes_back() -> None:
    account = Account(1, Budget(tokens=100, usd=1.0))
    with account.holding(60, 0.6), pytest.raises(BudgetExceeded) as refused, account.holding(50, 0.1):
        pass
    assert (refused.value.data["resource"], refused.value.data["left"], refused.value.data["needed"]) == (
        "tokens",
        40,
        50,
    )
    assert account.left() == Budget(tokens=100, usd=1.0)


def test_a_refusal_holds_nothing_anywhere() -> None:
    bottom = family(Budget(usd=0.1), Budget(tokens=100))[-1]
    with pytest.raises(BudgetExceeded, match="US dollars"):
        bottom.holding(50, 0.2).__enter__()
    assert bottom.left() == Budget(tokens=100, usd=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_held_and_charged_no_limit_is_passed(seed: int) -> None:
    dice = random.Random(seed)
    accounts = family(*(Budget(tokens=dice.randrange(200), usd=dice.random()) for _ in range(4)))
    used = [[0.0, 0.0] for _ in accounts]
    for _ in range(200):
        with ExitStack() as stack:
            running = []
            for _ in range(dice.randrange(1, 6)):
                index, tokens, usd = dice.randrange(4), dice.randrange(20), dice.random() / 20
                try:
                    stack.enter_context(accounts[index].holding(tokens, usd))
                except BudgetExceeded:
                    continue
                running.append((index, tokens, usd))
            for index, tokens, usd in running:
                share = dice.random()
                accounts[index].charge(int(tokens * share), usd * share)
                for each in used[: index + 1]:
                    each[0] += int(tokens * share)
                    each[1] += usd * share
    for account, (all_tokens, all_usd) in zip(accounts, used, strict=True):
        assert account.budget.tokens is not None
        assert account.budget.usd is not None
        assert all_tokens <= account.budget.tokens
        assert all_usd <= account.budget.usd + 1e-6


def test_dollars_that_add_up_to_the_limit_are_within_it() -> None:
    account = Account(1, Budget(usd=0.3))
    for _ in range(3):
        with account.holding(0, 0.1):
            account.charge(0, 0.1)
    with pytest.raises(BudgetExceeded), account.holding(0, 0.001):
        pass


def test_a_price_that_nobody_knows_is_too_much_where_money_is_limited() -> None:
    with pytest.raises(BudgetExceeded, match="has no price") as refused, Account(1, Budget(usd=1e9)).holding(1, None):
        pass
    assert refused.value.data["needed"] == -1
    with Account(1, Budget(tokens=1)).holding(1, None):
        pass


def test_calls_count_when_they_are_admitted() -> None:
    top, bottom = family(Budget(calls=2), Budget())
    bottom.admit()
    top.admit()
    with pytest.raises(BudgetExceeded, match="may use 2 syscalls, of which 0 are left"):
        bottom.admit()
    assert bottom.left() == Budget(calls=0)


def test_without_limits_nothing_is_refused() -> None:
    FREE.admit()
    with FREE.holding(10**12, None):
        FREE.charge(10**12, None)
    assert FREE.left() == Budget()


@VIRTUAL
@pytest.mark.anyio
async def test_seconds_are_of_all_who_run_and_end_them_together() -> None:
    top, bottom = family(Budget(seconds=10), Budget())
    ended: list[tuple[str, float]] = []

    async def run(account: Account, name: str) -> None:
        with pytest.raises(BudgetExceeded, match=r"process 1 .* 10 seconds of running, of which 0 are left"):
            with account.running():
                await anyio.sleep_forever()
        ended.append((name, anyio.current_time() - began))

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, top, "a")
        await anyio.sleep(4)  # 4 of 10 are over
        tasks.start_soon(run, bottom, "b")
        tasks.start_soon(run, bottom, "c")  # the other 6 last for 2
    assert sorted(ended) == [("a", 6), ("b", 6), ("c", 6)]
    with pytest.raises(BudgetExceeded):
        bottom.admit()


@VIRTUAL
@pytest.mark.anyio
async def test_who_stops_leaves_the_others_the_more() -> None:
    account = Account(1, Budget(seconds=10))

    async def long() -> None:
        with pytest.raises(BudgetExceeded), account.running():
            await anyio.sleep_forever()
        assert anyio.current_time() - began == 8

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(long)
        with account.running():
            await anyio.sleep(2)
        assert account.left() == Budget(seconds=6)


@VIRTUAL
@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(20))
async def test_no_limit_of_seconds_is_passed_by_more_than_one(seed: int) -> None:
    dice = random.Random(seed)
    accounts = [Account(1, Budget(seconds=dice.randrange(5, 40)))]
    for pid in range(2, 8):
        budget = Budget(seconds=dice.randrange(1, 30)) if dice.random() < 0.7 else Budget()
        accounts.append(Account(pid, budget, dice.choice(accounts)))
    used = dict.fromkeys(accounts, 0.0)
    over = set()

    async def run(account: Account, after: float, lasts: float) -> None:
        await anyio.sleep(after)
        began = anyio.current_time()
        try:
            account.admit()
            with account.running():
                await anyio.sleep(lasts)
        except BudgetExceeded:
            over.add(account)
        for each in account._chain():
            used[each] += anyio.current_time() - began

    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            tasks.start_soon(run, dice.choice(accounts), dice.random() * 10, dice.random() * 5)
    for account, seconds in used.items():
        assert seconds <= (account.budget.seconds or float("inf")) + 1e-6
    for account in over:
        assert any(used[each] >= (each.budget.seconds or float("inf")) - 1e-6 for each in account._chain())
