"""Rates under a virtual clock, whatever the arrivals; the breaker, and that it lets one call at a time find out."""

from __future__ import annotations

import math

import anyio
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from aios.models.remote.limits import COOL_DOWN_S, MAX_FAILURES, MINUTE_S, Breaker, Rates
from aios.models.remote.model import RemoteModel
from aios_syscalls import Chat, Message, ModelFailed
from tests.models.remote.fault_server import FaultServer, Peer, answer

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])

CHAT = Chat(messages=(Message(role="user", content="hi"),))
WHOLE = {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}
EPSILON = 1e-6


def at(seconds: float) -> float:
    """Seconds since the virtual clock began."""
    return round(seconds, 2)


ARRIVALS = st.lists(
    st.tuples(
        st.floats(0, 90, allow_nan=False),  # since the last one
        st.integers(0, 150),  # tokens it may take
        st.floats(0, 1),  # the share that it took
        st.floats(0, 30),  # when that was known
    ),
    max_size=25,
)


@given(ARRIVALS, st.integers(1, 5), st.integers(40, 120), st.floats(0, 1e9))
@settings(max_examples=150, deadline=None)
def test_no_minute_has_more_than_its_limits_and_all_go_in_their_order(
    arrivals: list[tuple[float, int, float, float]], rpm: int, tpm: int, start: float
) -> None:
    sent: list[tuple[float, int, float]] = []
    order: list[int] = []

    async def main() -> None:
        await trio.sleep(start)
        rates = Rates(rpm, tpm)

        async def one(number: int, tokens: int, share: float, later: float) -> None:
            entry = await rates.admit(tokens)
            order.append(number)
            taken = int(tokens * share)
            sent.append((trio.current_time(), taken, tokens))
            await trio.sleep(later)
            rates.settle(entry, taken)

        async with trio.open_nursery() as nursery:
            for number, (gap, tokens, share, later) in enumerate(arrivals):
                await trio.sleep(gap)
                nursery.start_soon(one, number, tokens, share, later)
                await trio.testing.wait_all_tasks_blocked()
        assert rates.waiting == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert order == sorted(order)
    assert len(order) == len(arrivals)
    for first, (begin, _, _) in enumerate(sent):
        window = [each for each in sent[first:] if each[0] < begin + MINUTE_S - EPSILON]
        assert len(window) <= rpm
        # What a request took, not what it might have: that may have been given back before the next was let in.
        assert sum(taken for _, taken, _ in window) <= tpm or len(window) == 1


@VIRTUAL
async def test_a_request_larger_than_a_minute_goes_alone() -> None:
    rates, sent = Rates(tokens=100), list[tuple[str, float]]()

    async def one(name: str, tokens: int) -> None:
        await rates.admit(tokens)
        sent.append((name, at(anyio.current_time() - began)))

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for name, tokens in (("small", 10), ("huge", 500), ("next", 10)):
            tasks.start_soon(one, name, tokens)
            await anyio.wait_all_tasks_blocked()
    assert sent == [("small", 0), ("huge", 60), ("next", 120)]


@VIRTUAL
async def test_nobody_overtakes_even_where_it_would_fit() -> None:
    rates, sent = Rates(tokens=100), list[str]()

    async def one(name: str, tokens: int) -> None:
        await rates.admit(tokens)
        sent.append(name)

    async with anyio.create_task_group() as tasks:
        for name, tokens in (("a", 60), ("b", 60), ("c", 1)):
            tasks.start_soon(one, name, tokens)
            await anyio.wait_all_tasks_blocked()
        assert sent == ["a"]
    assert sent == ["a", "b", "c"]


@VIRTUAL
async def test_tokens_given_back_let_who_waits_in_at_once() -> None:
    rates = Rates(tokens=100)
    entry = await rates.admit(90)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rates.admit, 50)
        await anyio.sleep(1)
        assert rates.waiting == 1
        rates.settle(entry, 20)
        await anyio.wait_all_tasks_blocked()
        assert rates.waiting == 0
    assert at(anyio.current_time() - began) == 1
    assert at(rates.wait_s(30)) == 0
    assert at(rates.wait_s(31)) == 59  # 20 + 50 + 31


@VIRTUAL
async def test_more_than_was_held_counts_too_and_what_is_long_gone_does_not() -> None:
    rates = Rates(tokens=100)
    entry = await rates.admit(10)
    rates.settle(entry, 100)
    assert at(rates.wait_s(1)) == MINUTE_S
    await anyio.sleep(MINUTE_S)
    assert rates.wait_s(100) == 0
    rates.settle(entry, 500)
    assert rates.wait_s(100) == 0


@VIRTUAL
async def test_who_gives_up_waiting_takes_nothing() -> None:
    rates = Rates(requests=1)
    await rates.admit(1)
    with anyio.move_on_after(1) as scope:
        await rates.admit(1)
    assert scope.cancelled_caught
    assert rates.waiting == 0
    began = anyio.current_time()
    await rates.admit(1)
    assert at(anyio.current_time() - began) == 59


@VIRTUAL
async def test_a_rest_holds_even_those_who_wait_already() -> None:
    rates = Rates(requests=1)
    await rates.admit(1)
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rates.admit, 1)
        await anyio.sleep(50)
        rates.rest(30)
        rates.rest(1)  # does not shorten it
        assert at(rates.wait_s()) == 30
    assert at(anyio.current_time() - began) == 80


@VIRTUAL
async def test_no_limits_no_wait() -> None:
    rates = Rates()
    for _ in range(1000):
        await rates.admit(10**9)
    assert rates.wait_s(10**9) == 0
    assert not math.isnan(rates.wait_s())


# -- the breaker


def end(breaker: Breaker, *failed: bool | None) -> None:
    for each in failed:
        breaker.end(breaker.begin(), failed=each)


@VIRTUAL
async def test_it_opens_after_three_failures_in_a_row() -> None:
    breaker = Breaker()
    end(breaker, True, True, False, True, True)
    assert breaker.healthy
    end(breaker, True)
    assert not breaker.healthy
    await anyio.sleep(COOL_DOWN_S - 0.01)
    assert not breaker.healthy
    await anyio.sleep(0.01)
    assert breaker.healthy


@VIRTUAL
async def test_half_open_lets_one_find_out() -> None:
    breaker = Breaker()
    end(breaker, *MAX_FAILURES * [True])
    await anyio.sleep(COOL_DOWN_S)
    probe = breaker.begin()
    assert not breaker.healthy
    breaker.end(probe, failed=True)
    assert not breaker.healthy
    await anyio.sleep(COOL_DOWN_S)
    probe = breaker.begin()
    breaker.end(probe, failed=None)  # given up: the next may find out
    assert breaker.healthy
    end(breaker, False)
    assert breaker.healthy
    end(breaker, True, True)
    assert breaker.healthy


@VIRTUAL
async def test_the_end_of_an_older_call_is_not_that_of_the_probe() -> None:
    breaker = Breaker()
    old = breaker.begin()
    end(breaker, *MAX_FAILURES * [True])
    await anyio.sleep(COOL_DOWN_S)
    breaker.begin()
    assert not breaker.healthy
    breaker.end(old, failed=None)
    assert not breaker.healthy


@pytest.mark.parametrize(("status", "healthy"), [(429, True), (400, True), (500, False), (401, False), (302, False)])
async def test_a_server_with_too_much_to_do_has_not_failed(status: int, healthy: bool) -> None:
    with FaultServer([answer(status)]) as server:
        async with RemoteModel(server.url, "served") as model:
            for _ in range(MAX_FAILURES):
                with pytest.raises(Exception, match=f"HTTP {status}"):
                    await model.generate(CHAT, None, None, lambda _: None)
            assert model.healthy is healthy


async def test_of_many_calls_after_the_rest_one_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios.models.remote.limits.COOL_DOWN_S", 0.0)
    failed: list[str] = []

    def probe(peer: Peer) -> None:
        assert not peer.gone(0.05)
        peer.send(answer(500))

    with FaultServer([*MAX_FAILURES * [answer(500)], probe]) as server:
        async with RemoteModel(server.url, "served") as model:

            async def call() -> None:
                with pytest.raises(ModelFailed) as caught:
                    await model.generate(CHAT, None, None, lambda _: None)
                failed.append(caught.value.message)

            for _ in range(MAX_FAILURES):
                await call()
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(call)
    assert len(server.seen) == MAX_FAILURES + 1
    assert sum("3 times in a row" in why for why in failed) == 9
