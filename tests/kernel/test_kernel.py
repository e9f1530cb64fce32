"""The kernel through syscalls alone: every call ends once, whatever happens."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pydantic_core import to_json
from trio.testing import MockClock

from aios.kernel import Limits, Turn
from aios.record import Event, Kind
from aios.scheduler import Fifo, RoundRobin
from aios_syscalls import BadRequest, CallId, Chat, Expired, KernelBug, ModelFailed, Overloaded, Reply

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])


class Failing:
    """Raises what it is told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def run(self, turn: Turn) -> Reply:
        await anyio.lowlevel.checkpoint()
        raise self.error


async def test_a_call_is_answered_and_its_life_recorded(opened: Any, counting: Any, say: Any) -> None:
    async with opened(counting()) as bench:
        reply = await bench.run.submit(say(tokens=3))
    assert reply.text == "done"
    assert [event.kind for event in bench.events if event.n] == [Kind.ACCEPTED, Kind.STARTED, Kind.DONE]
    assert bench.history.ended_once()


async def test_an_observer_that_raises_is_told_nothing_more_and_nobody_else_hears_of_it(
    opened: Any, counting: Any, say: Any, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Kind] = []
    heard: list[Kind] = []

    def bad(event: Event) -> None:
        told.append(event.kind)
        if event.kind is Kind.STARTED:
            raise ZeroDivisionError

    async with opened(counting()) as bench:
        bench.run._observers += [bad, lambda event: heard.append(event.kind)]
        for _ in range(2):
            assert (await bench.run.submit(say())).text == "done"
    assert told == [Kind.ACCEPTED, Kind.STARTED]
    assert heard == [Kind.ACCEPTED, Kind.STARTED, Kind.DONE] * 2 + [Kind.CLOSED]
    assert [each.exc_info is not None for each in caplog.records if each.name == "aios.kernel"] == [True]


@VIRTUAL
async def test_fifo_runs_to_the_end_and_round_robin_takes_turns(opened: Any, counting: Any, say: Any) -> None:
    orders = {}
    for name, scheduler in [("fifo", Fifo()), ("round_robin", RoundRobin(2))]:
        core = counting(tick_s=1)
        async with opened(core, scheduler) as bench, anyio.create_task_group() as tasks:
            for text, tokens in [("a", 5), ("b", 3), ("c", 1)]:
                tasks.start_soon(bench.run.submit, say(text, tokens))
                await anyio.sleep(0.25)
        orders[name] = core.slices
    assert orders["fifo"] == [("a", 0, 5), ("b", 0, 3), ("c", 0, 1)]
    assert orders["round_robin"] == [
        ("a", 0, 2),
        ("b", 0, 2),
        ("c", 0, 1),
        ("a", 2, 4),
        ("b", 2, 3),
        ("a", 4, 5),
    ]


@VIRTUAL
async def test_waits_runs_and_preemptions_are_facts(opened: Any, counting: Any, say: Any) -> None:
    async with opened(counting(tick_s=1), RoundRobin(2)) as bench, anyio.create_task_group() as tasks:
        for text, tokens in [("a", 4), ("b", 2)]:
            tasks.start_soon(bench.run.submit, say(text, tokens))
            await anyio.sleep(0.25)
    first, second = bench.history.calls.values()
    assert (first.wait_s(99), first.run_s(99), first.preemptions, first.tokens) == (2, 4, 1, 4)
    assert (second.wait_s(99), second.run_s(99), second.preemptions, second.tokens) == (1.75, 2, 0, 2)


@VIRTUAL
async def test_the_width_bounds_what_runs_at_once(opened: Any, counting: Any, say: Any) -> None:
    core = counting(tick_s=1)
    async with opened(core, width=3) as bench, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(bench.run.submit, say())
    assert core.most == 3
    assert len(core.slices) == 10
    assert (bench.lane.running, bench.lane.waiting) == (0, 0)


@VIRTUAL
async def test_the_deadline_ends_a_running_and_a_queued_call(opened: Any, counting: Any, say: Any) -> None:
    async with opened(counting(tick_s=1)) as bench:
        async with anyio.create_task_group() as tasks:

            async def expire(deadline_s: float) -> None:
                with pytest.raises(Expired, match=r"llm\.chat .* deadline of"):
                    await bench.run.submit(say(tokens=100, deadline_s=deadline_s))
                assert anyio.current_time() - began == deadline_s

            began = anyio.current_time()
            tasks.start_soon(expire, 5)
            tasks.start_soon(expire, 3)
        assert (await bench.run.submit(say())).text == "done"
    assert bench.history.kinds[Kind.EXPIRED] == 2
    assert bench.history.ended_once()


@VIRTUAL
async def test_a_call_without_a_deadline_gets_the_default_one(opened: Any, counting: Any, say: Any) -> None:
    async with opened(counting(tick_s=1), limits=Limits(deadline_s=7)) as bench:
        with pytest.raises(Expired):
            await bench.run.submit(say(tokens=100))


@VIRTUAL
async def test_a_cancelled_waiter_takes_its_request_with_it(opened: Any, counting: Any, say: Any) -> None:
    core = counting(tick_s=1)
    async with opened(core, RoundRobin(2)) as bench:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(bench.run.submit, say(tokens=10))
            await anyio.sleep(6.5)  # one runs, two are paused
            assert core.held == 2
            tasks.cancel_scope.cancel()
        assert (bench.lane.running, bench.lane.waiting, core.running, core.held) == (0, 0, 0, 0)
        assert core.dropped == 2
        assert (await bench.run.submit(say())).text == "done"
    assert bench.history.kinds[Kind.CANCELLED] == 3
    assert bench.history.ended_once()


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (BadRequest("no"), BadRequest),
        (ModelFailed("no"), ModelFailed),
        (ZeroDivisionError("1/0"), KernelBug),
        (TimeoutError("a core's own"), KernelBug),
    ],
)
async def test_an_error_reaches_its_caller_and_nobody_else(
    opened: Any, say: Any, raised: Exception, seen: type[Exception]
) -> None:
    async with opened(Failing(raised)) as bench:
        for _ in range(3):
            with pytest.raises(seen, match=str(raised)):
                await bench.run.submit(say())
        assert bench.lane.running == 0
    assert bench.history.kinds[Kind.FAILED] == 3
    assert bench.history.ended_once()


async def test_the_global_queue_is_bounded(opened: Any, say: Any) -> None:
    class Stuck:
        async def run(self, turn: Turn) -> Reply:
            await anyio.sleep_forever()
            raise AssertionError

    async with opened(Stuck(), limits=Limits(calls=5)) as bench:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(bench.run.submit, say())
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(Overloaded) as caught:
                await bench.run.submit(say())
            assert caught.value.retry_after_s > 0
            tasks.cancel_scope.cancel()
    assert bench.history.kinds[Kind.ACCEPTED] == 5


@VIRTUAL
async def test_priority_decides_who_of_the_waiting_runs(opened: Any, counting: Any, say: Any) -> None:
    core = counting(tick_s=1)
    async with opened(core) as bench, anyio.create_task_group() as tasks:
        for text, priority in [("first", 0), ("low", -1), ("high", 9), ("middle", 0)]:
            tasks.start_soon(bench.run.submit, say(text, priority=priority))
            await anyio.sleep(0.1)
    assert [text for text, _, _ in core.slices] == ["first", "high", "middle", "low"]


async def test_ten_thousand_at_once_all_end(opened: Any, counting: Any, say: Any) -> None:
    call: Chat = say()
    async with opened(counting(), width=64) as bench, anyio.create_task_group() as tasks:
        for _ in range(10_000):
            tasks.start_soon(bench.run.submit, call)
    assert bench.history.kinds[Kind.DONE] == 10_000
    assert bench.history.ended_once()


async def test_what_no_process_could_be_sent_is_a_bad_request_that_names_its_place(opened: Any, say: Any) -> None:
    class Sending:
        async def run(self, turn: Any) -> Any:
            return to_json(turn.call)

    async with opened(Sending()) as bench:
        with pytest.raises(BadRequest) as caught:
            await bench.run.submit(say("\ud800"))
        assert caught.value.field == "messages.0.content"
        assert bench.history.calls[CallId(0, 1)].state == "failed"
