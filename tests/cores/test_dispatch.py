"""Calls that are led over models: fallbacks, retries, budgets, cascades and hedges, by syscalls to a real kernel."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from aios.models.remote.model import RemoteEmbedder, RemoteModel
from aios.models.scripted import Script, ScriptedModel
from aios.record import Kind
from aios.routing.prices import Price
from aios.routing.retries import BASE_S, MAX_AFTER_S, MAX_ATTEMPTS
from aios.routing.router import Profile
from aios.routing.strategies import STRATEGIES
from aios.scheduler import RoundRobin
from aios.sdk import Agent
from aios_syscalls import (
    BadRequest,
    Budget,
    BudgetExceeded,
    Chat,
    ChatReply,
    Embed,
    Expired,
    GiveFeedback,
    ModelFailed,
    NotFound,
    Rank,
    Spawn,
    ToolSpec,
    ToolUse,
    Usage,
    Wait,
)
from tests.cores.routed import Breaking, chat, routed
from tests.models.remote.fault_server import UNFRAMED, FaultServer, Peer, answer, events

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])

TOO_LONG = BadRequest("model 'a' refused the call: HTTP 400: too long; change it", status=400, reason="context_length")


def failed(**data: Any) -> ModelFailed:
    return ModelFailed("model 'a' fell over", **data)


# -- fallbacks


async def test_the_next_model_takes_over_before_the_first_word() -> None:
    a, b = ScriptedModel(failed(), name="a"), ScriptedModel("from b", name="b")
    async with routed(a, b) as bench:
        assert await bench.ask(chat()) == ("from b", "from b")
        assert bench.kinds() == [Kind.ACCEPTED, Kind.ROUTED, Kind.STARTED, Kind.LEFT, Kind.STARTED, Kind.DONE]
        assert bench.left() == [("a", "model 'a' fell over")]
        record = bench.record()
        assert record.lanes == ["llm:a", "llm:b"]
        assert record.routed[0]["chosen"] == "a"
        assert [each["name"] for each in record.routed[0]["candidates"]] == ["a", "b"]
        assert record.model == "b"


@VIRTUAL
async def test_what_was_heard_is_not_taken_back() -> None:
    a, b = Breaking("one two", name="a", error=failed(), delay_s=1), ScriptedModel("from b", name="b")
    heard: list[str] = []
    async with routed(a, b) as bench:
        with pytest.raises(ModelFailed, match="fell over"):
            await bench.run.submit(chat(), heard.append)
        assert not b.calls
        assert heard == ["one "]
        assert bench.kinds()[-1] is Kind.FAILED


async def test_who_does_not_listen_gets_the_next_models_answer() -> None:
    a, b = Breaking("one two", name="a", error=failed()), ScriptedModel("from b", name="b")
    async with routed(a, b) as bench:
        assert (await bench.run.submit(chat())).text == "from b"
        assert bench.left() == [("a", "model 'a' fell over")]


@VIRTUAL
async def test_a_named_model_is_replaced_by_its_own_fallbacks_alone() -> None:
    a, b, c = (ScriptedModel(failed() if name == "a" else name, name=name) for name in "abc")
    async with routed(a, b, c, profiles={"a": Profile(fallbacks=("c", "gone"))}) as bench:
        assert await bench.ask(chat(model="a")) == ("c", "c")
    async with routed(a, b, c) as bench:
        with pytest.raises(ModelFailed):
            await bench.ask(chat(model="a"))
    assert not b.calls
    assert len(a.calls) == 1 + MAX_ATTEMPTS


async def test_what_a_model_cannot_hold_the_next_one_may() -> None:
    a, b = ScriptedModel(TOO_LONG, name="a"), ScriptedModel("from b", name="b")
    async with routed(a, b) as bench:
        assert await bench.ask(chat()) == ("from b", "from b")
    b = ScriptedModel(TOO_LONG, name="b")
    async with routed(a, b) as bench:
        with pytest.raises(BadRequest, match="too long"):
            await bench.ask(chat())
        assert (len(a.calls), len(b.calls)) == (2, 1)


async def test_a_refused_call_is_refused_once() -> None:
    a, b = ScriptedModel(BadRequest("no such thing"), name="a"), ScriptedModel("from b", name="b")
    async with routed(a, b) as bench:
        with pytest.raises(BadRequest, match="no such thing"):
            await bench.ask(chat())
    assert (len(a.calls), len(b.calls)) == (1, 0)


@VIRTUAL
@pytest.mark.parametrize("hopeless", [TOO_LONG, failed(permanent=True), failed(retry_after_s=90.0)])
async def test_a_retry_does_not_go_where_it_must_fail_again(hopeless: Any) -> None:
    a, b = ScriptedModel(hopeless, name="a"), ScriptedModel([failed(), "from b"], name="b")
    async with routed(a, b) as bench:
        assert await bench.ask(chat()) == ("from b", "from b")
    assert (len(a.calls), len(b.calls)) == (1, 2)


@VIRTUAL
async def test_a_hopeless_last_model_does_not_keep_the_first_from_its_retry() -> None:
    a, b = ScriptedModel([failed(), "from a"], name="a"), ScriptedModel(failed(permanent=True), name="b")
    async with routed(a, b) as bench:
        assert await bench.ask(chat()) == ("from a", "from a")


async def test_a_real_servers_refusal_of_a_long_text_falls_to_the_next() -> None:
    said = {"error": {"message": "This model's maximum context length is 8 tokens", "code": "context_length_exceeded"}}
    with FaultServer([answer(400, said)]) as server:
        far = RemoteModel(server.url, "served", name="far")
        async with routed(far, ScriptedModel("near", name="near")) as bench:
            assert await bench.ask(chat()) == ("near", "near")
            assert bench.left()[0][0] == "far"


# -- retries


@VIRTUAL
async def test_a_retry_waits_as_long_as_the_server_asks() -> None:
    a = ScriptedModel([failed(retry_after_s=30.0), "at last"], name="a")
    async with routed(a) as bench:
        began = anyio.current_time()
        assert await bench.ask(chat()) == ("at last", "at last")
        assert 30 <= anyio.current_time() - began <= 30 + BASE_S
        assert bench.kinds() == [Kind.ACCEPTED, Kind.STARTED, Kind.LEFT, Kind.STARTED, Kind.DONE]


@VIRTUAL
async def test_at_most_three_attempts_with_growing_jitter() -> None:
    a = ScriptedModel(failed(), name="a")
    async with routed(a) as bench:
        waits = []
        for _ in range(3):
            began = anyio.current_time()
            with pytest.raises(ModelFailed):
                await bench.ask(chat())
            waits.append(anyio.current_time() - began)
    assert len(a.calls) == 3 * MAX_ATTEMPTS
    assert all(0 < wait <= 3 * BASE_S for wait in waits)
    assert len(set(waits)) == 3


@VIRTUAL
async def test_retries_are_a_tenth_of_the_calls_but_for_a_reserve() -> None:
    a = ScriptedModel(failed(), name="a", record=10_000)
    async with routed(a) as bench:
        for _ in range(500):
            with pytest.raises(ModelFailed):
                await bench.ask(chat())
    assert 500 + 50 <= len(a.calls) <= 500 + 50 + 10


@VIRTUAL
async def test_good_times_do_not_save_up_for_a_storm() -> None:
    replies: list[Script] = [*1000 * ["good"], *1000 * [failed()]]
    a = ScriptedModel(replies, name="a", record=10_000)
    async with routed(a) as bench:
        for _ in range(1000):
            await bench.ask(chat())
        for _ in range(100):
            with pytest.raises(ModelFailed):
                await bench.ask(chat())
    assert len(a.calls) - 1100 <= 10 + 10


@VIRTUAL
@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (failed(permanent=True), 1),
        (failed(retry_after_s=MAX_AFTER_S + 1), 1),
        (failed(retry_after_s=MAX_AFTER_S), MAX_ATTEMPTS),
    ],
)
async def test_what_waiting_does_not_help_is_not_waited_for(error: ModelFailed, calls: int) -> None:
    a = ScriptedModel(error, name="a")
    async with routed(a) as bench:
        began = anyio.current_time()
        with pytest.raises(ModelFailed):
            await bench.ask(chat())
        assert len(a.calls) == calls
        assert (anyio.current_time() - began < 1) is (calls == 1)


@VIRTUAL
async def test_a_retry_is_not_longer_than_the_deadline() -> None:
    a = ScriptedModel(failed(retry_after_s=30.0), name="a")
    async with routed(a) as bench:
        began = anyio.current_time()
        with pytest.raises(Expired):
            await bench.ask(chat(deadline_s=10))
        assert anyio.current_time() - began == pytest.approx(10)
        assert bench.kinds()[-1] is Kind.EXPIRED


@VIRTUAL
async def test_nobody_holds_a_slot_while_waiting_to_try_again() -> None:
    a = ScriptedModel([failed(retry_after_s=30.0), "second", "first"], name="a", slots=1)
    order: list[str] = []
    async with routed(a) as bench:

        async def one() -> None:
            order.append((await bench.ask(chat()))[0])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(one)
    assert order == ["second", "first"]


@VIRTUAL
async def test_a_model_that_became_unhealthy_is_not_tried_again() -> None:
    def fall(_: Chat) -> str:
        a.healthy = False
        raise failed()

    a = ScriptedModel(fall, name="a")
    async with routed(a) as bench:
        with pytest.raises(ModelFailed, match="fell over"):
            await bench.ask(chat())
    assert len(a.calls) == 1


# -- what stays on this machine


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("hedge", [False, True])
async def test_a_local_only_call_never_leaves(strategy: str, hedge: bool) -> None:
    with FaultServer([answer(500)]) as server:
        far = RemoteModel(server.url, "served", name="far")
        vec = RemoteEmbedder(server.url, "served", name="vec")
        near = ScriptedModel(["good", failed(permanent=True), failed(), "again"], name="near")
        profiles = {"near": Profile(Price(9, 9), fallbacks=("far",)), "far": Profile(Price(0, 0), quality=1.0)}
        async with routed(far, vec, near, strategy=strategy, hedge=hedge, profiles=profiles) as bench:
            assert (await bench.ask(chat(local_only=True)))[0] == "good"
            with pytest.raises(ModelFailed, match="fell over"):
                await bench.ask(chat(local_only=True))
            assert (await bench.ask(chat(local_only=True, model="near")))[0] == "again"
            with pytest.raises(BadRequest, match="may not leave"):
                await bench.ask(chat(local_only=True, model="far"))
            with pytest.raises(BadRequest, match="may not leave"):
                await bench.run.submit(Embed(texts=("a",), local_only=True))
            await bench.run.submit(Rank(messages=chat().messages, options=("a", "b"), local_only=True))
    assert server.connections == 0


# -- budgets


DEAR = Price(0, 1_000_000)
"""A dollar for each token written."""


async def test_tokens_are_refused_before_and_counted_after() -> None:
    a = ScriptedModel("one two three", name="a")
    async with routed(a, budget=Budget(tokens=100)) as bench:
        with pytest.raises(BudgetExceeded) as caught:
            await bench.ask(chat(max_tokens=96))  # and 5 that it reads, by a guess
        assert caught.value.data["resource"] == "tokens"
        assert not a.calls
        await bench.ask(chat(max_tokens=95))
        assert await bench.spare("tokens") == 100 - 4


async def test_dollars_are_refused_before_and_counted_after() -> None:
    a = ScriptedModel("one two three", name="a")
    async with routed(a, profiles={"a": Profile(DEAR)}, budget=Budget(usd=10)) as bench:
        with pytest.raises(BudgetExceeded):
            await bench.ask(chat(max_tokens=11))
        assert not a.calls
        await bench.ask(chat(max_tokens=10))
        assert await bench.spare("usd") == 7
        assert bench.record(2).usd == 3


async def test_an_unknown_price_is_not_nothing() -> None:
    a, b = ScriptedModel("from a", name="a"), ScriptedModel("from b", name="b")
    profiles = {"a": Profile(None), "b": Profile(DEAR)}
    async with routed(a, b, profiles=profiles, budget=Budget(usd=10)) as bench:
        assert await bench.ask(chat(max_tokens=5)) == ("from b", "from b")
        with pytest.raises(BudgetExceeded, match="'a' has no price; 'b' may cost 9"):
            await bench.ask(chat(max_tokens=9))
        with pytest.raises(BudgetExceeded, match="no price"):
            await bench.ask(chat(model="a", max_tokens=1))
    assert not a.calls
    async with routed(a, b, profiles=profiles) as bench:
        await bench.ask(chat(model="a"))
        assert bench.record().usd is None


@VIRTUAL
@pytest.mark.parametrize("listening", [True, False])
async def test_what_a_model_wrote_before_it_failed_is_paid_for(listening: bool) -> None:
    a = Breaking("one two three", name="a", words=2, error=failed(permanent=True))
    async with routed(a, profiles={"a": Profile(DEAR)}, budget=Budget(usd=100)) as bench:
        with pytest.raises(ModelFailed):
            await (bench.ask(chat(max_tokens=9)) if listening else bench.run.submit(chat(max_tokens=9)))
        assert await bench.spare("usd") == 98
        assert bench.record().usd == 2


@VIRTUAL
async def test_each_attempt_is_paid_for() -> None:
    a, b = Breaking("one two three", name="a", words=2, error=failed()), ScriptedModel("from b", name="b")
    profiles = {"a": Profile(DEAR), "b": Profile(DEAR)}
    async with routed(a, b, profiles=profiles, budget=Budget(usd=100)) as bench:
        await bench.run.submit(chat(max_tokens=9))
        assert await bench.spare("usd") == 96
        assert [(bill.model, bill.usd) for bill in bench.record().bills] == [("a", 2), ("b", 2)]


@VIRTUAL
@pytest.mark.parametrize("how", ["cancelled", "expired", "seconds"])
@pytest.mark.parametrize("hedge", [False, True])
async def test_who_gives_up_a_call_pays_for_what_was_written(how: str, hedge: bool) -> None:
    a = ScriptedModel(20 * "word ", name="a", delay_s=1)
    budget = Budget(tokens=1000, seconds=3.5 if how == "seconds" else None)
    async with routed(a, ScriptedModel("b", name="b"), hedge=hedge, budget=budget) as bench:
        if how == "cancelled":
            with anyio.move_on_after(3.5):
                await bench.ask(chat(max_tokens=99))
        elif how == "expired":
            with pytest.raises(Expired):
                await bench.ask(chat(max_tokens=99, deadline_s=3.5))
        else:
            with pytest.raises(BudgetExceeded, match="seconds"):
                await bench.ask(chat(max_tokens=99))
        end = next(event.data for event in bench.events if event.n == 1 and event.kind in {how, Kind.FAILED})
        assert end["usd"] == 0
        if how != "seconds":
            assert await bench.spare("tokens") == 1000 - (5 + 3)


# -- cascades

CHEAP, STRONG = Profile(Price(0, 0), quality=0.3), Profile(DEAR, quality=0.9)
NEEDS = {"type": "object", "required": ["x"]}
GOOD, BAD = '{"x": 1}', "no JSON at all"


@VIRTUAL
async def test_a_cheap_answer_is_quiet_until_it_is_found_good() -> None:
    a, b = ScriptedModel(GOOD, name="a", delay_s=1), ScriptedModel("from b", name="b")
    heard: list[tuple[float, str]] = []
    async with routed(b, a, strategy="cascade", profiles={"a": CHEAP, "b": STRONG}) as bench:
        began = anyio.current_time()
        reply = await bench.run.submit(
            chat(response_schema=NEEDS), lambda piece: heard.append((anyio.current_time() - began, piece))
        )
        assert (reply.text, reply.model, reply.call) == (GOOD, "a", "0.1")
        assert heard == [(2, GOOD)]
        assert bench.kinds() == [Kind.ACCEPTED, Kind.ROUTED, Kind.STARTED, Kind.DONE]
    assert not b.calls


async def test_a_bad_answer_escalates_and_both_are_paid_for() -> None:
    a, b = ScriptedModel(BAD, name="a"), ScriptedModel(GOOD, name="b")
    profiles = {"a": Profile(Price(0, 500_000), quality=0.3), "b": STRONG}
    async with routed(b, a, strategy="cascade", profiles=profiles, budget=Budget(usd=100)) as bench:
        assert await bench.ask(chat(response_schema=NEEDS, max_tokens=9)) == (GOOD, GOOD)
        assert bench.left() == [("a", "right with 0.02 only: not JSON")]
        assert [(bill.model, bill.usd) for bill in bench.record().bills] == [("a", 2.0), ("b", 2.0)]
        assert await bench.spare("usd") == 96


@VIRTUAL
@pytest.mark.parametrize("error", [failed(), failed(permanent=True), TOO_LONG, BadRequest("no")])
async def test_a_fair_answer_is_better_than_none(error: Any) -> None:
    a, b = ScriptedModel(BAD, name="a"), ScriptedModel(error, name="b")
    async with routed(b, a, strategy="cascade", profiles={"a": CHEAP, "b": STRONG}) as bench:
        assert await bench.ask(chat(response_schema=NEEDS)) == (BAD, BAD)
        assert [name for name, _ in bench.left()] == ["a", "b"]
        assert bench.record().model == "a"


async def test_a_fair_answer_is_better_than_a_spent_budget() -> None:
    a, b = ScriptedModel(BAD, name="a"), ScriptedModel(GOOD, name="b")
    async with routed(b, a, strategy="cascade", profiles={"a": CHEAP, "b": STRONG}, budget=Budget(tokens=120)) as bench:
        first = chat(response_schema=NEEDS, max_tokens=112)  # 117 at most, and 5 are gone after the cheap one
        assert await bench.ask(first) == (BAD, BAD)
        assert not b.calls


@VIRTUAL
async def test_what_the_dear_model_said_aloud_is_not_replaced() -> None:
    a = ScriptedModel(BAD, name="a")
    b = Breaking("one two", name="b", error=failed())
    heard: list[str] = []
    async with routed(b, a, strategy="cascade", profiles={"a": CHEAP, "b": STRONG}) as bench:
        with pytest.raises(ModelFailed):
            await bench.run.submit(chat(response_schema=NEEDS), heard.append)
        assert heard == ["one "]
        assert (await bench.run.submit(chat(response_schema=NEEDS))).text == BAD


@VIRTUAL
async def test_a_cascade_of_three_says_one_answer_once() -> None:
    a, b, c = (ScriptedModel(text, name=name) for name, text in (("a", BAD), ("b", failed()), ("c", GOOD)))
    profiles = {"a": CHEAP, "b": Profile(Price(1, 1)), "c": STRONG}
    async with routed(a, b, c, strategy="cascade", profiles=profiles) as bench:
        text, heard = await bench.ask(chat(response_schema=NEEDS))
        assert text == heard
        assert text in (BAD, GOOD)
    a = ScriptedModel(failed(), name="a")
    b = ScriptedModel(BAD, name="b")
    async with routed(a, b, c, strategy="cascade", profiles=profiles) as bench:
        assert await bench.ask(chat(response_schema=NEEDS)) == (GOOD, GOOD)
        assert [name for name, _ in bench.left()] == ["a", "b"]


async def test_a_failing_cheap_model_leaves_the_dear_one() -> None:
    a, b = ScriptedModel(failed(), name="a"), ScriptedModel("from b", name="b")
    async with routed(b, a, strategy="cascade", profiles={"a": CHEAP, "b": STRONG}) as bench:
        assert await bench.ask(chat()) == ("from b", "from b")


async def test_a_call_of_a_tool_is_not_held_against_a_model() -> None:
    use = ChatReply(text="", tool_uses=(ToolUse(id="1", name="add"),), finish="tool_use")
    a, b = ScriptedModel(use, name="a"), ScriptedModel("from b", name="b")
    async with routed(a, b, strategy="learned", profiles={"a": Profile(quality=0.8)}) as bench:
        call = chat(response_schema=NEEDS, tools=(ToolSpec(name="add"),))
        for _ in range(3):
            assert (await bench.run.submit(call)).model == "a"
        first, last = (bench.record(call).routed[0]["candidates"][0]["quality"] for call in (1, 3))
        assert first == last


# -- hedges


class Slow(ScriptedModel):
    """Is quick for a while, then silent for `silent_s` before each answer."""

    silent_s = 0.0

    async def generate(self, *given: Any) -> Any:
        await anyio.sleep(self.silent_s)
        return await super().generate(*given)


async def warm(bench: Any) -> None:
    """Six calls, after which it is known how long the first model takes."""
    for _ in range(6):
        await bench.ask(chat(max_tokens=9))


@VIRTUAL
async def test_the_faster_of_two_answers_and_the_other_is_let_go() -> None:
    a, b = Slow("a one", name="a", delay_s=1, slots=1), ScriptedModel("b one", name="b", delay_s=1)
    async with routed(a, b, hedge=True) as bench:
        await warm(bench)
        assert not b.calls
        a.silent_s = 1000
        began = anyio.current_time()
        assert await bench.ask(chat()) == ("b one", "b one")
        assert anyio.current_time() - began < 5
        assert bench.left(7) == [("a", "'b' was faster")]
        assert bench.record(7).model == "b"
        lane = bench.run.lanes["llm:a"]
        assert (lane.running, lane.waiting) == (0, 0)
        a.silent_s = 0
        assert await bench.ask(chat(model="a")) == ("a one", "a one")


@VIRTUAL
async def test_the_first_may_still_win_and_speaks_alone() -> None:
    a, b = Slow("a one two", name="a", delay_s=1), Slow("b one two", name="b", delay_s=1)
    async with routed(a, b, hedge=True, profiles={"a": Profile(DEAR), "b": Profile(DEAR)}) as bench:
        await warm(bench)
        a.silent_s, b.silent_s = 4, 100
        assert await bench.ask(chat()) == ("a one two", "a one two")
        assert len(b.calls) == 0
        assert bench.left(7) == [("b", "'a' was faster")]
        assert [(bill.model, bill.usd) for bill in bench.record(7).bills if bill.usd] == [("a", 3)]


@VIRTUAL
async def test_who_spoke_first_and_fails_is_not_followed_by_another() -> None:
    a = Slow("a one", name="a", delay_s=1)
    b = Breaking("b one two", name="b", delay_s=1, error=failed())
    heard: list[str] = []
    async with routed(a, b, hedge=True) as bench:
        await warm(bench)
        a.silent_s = 1000
        with pytest.raises(ModelFailed):
            await bench.run.submit(chat(), heard.append)
        assert heard == ["b "]
        assert bench.left(7) == [("a", "'b' was faster")]


@VIRTUAL
async def test_a_hedge_that_fails_leaves_the_first_alone() -> None:
    a, b = Slow("a one", name="a", delay_s=1), ScriptedModel(failed(), name="b")
    async with routed(a, b, hedge=True) as bench:
        await warm(bench)
        a.silent_s = 10
        assert await bench.ask(chat()) == ("a one", "a one")
        assert bench.left(7) == [("b", "model 'a' fell over")]


@VIRTUAL
async def test_both_fail_and_each_is_left_once() -> None:
    a, b = Slow([*6 * ["a one"], *9 * [failed(permanent=True)]], name="a", delay_s=1), Slow(failed(permanent=True))
    b.name = "b"
    async with routed(a, b, hedge=True) as bench:
        await warm(bench)
        a.silent_s, b.silent_s = 10, 1
        with pytest.raises(ModelFailed):
            await bench.ask(chat())
        assert Counter(name for name, _ in bench.left(7))["b"] == 1
        assert len(b.calls) == 1


@VIRTUAL
async def test_hedges_use_up_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = Slow("a one", name="a", delay_s=1), Slow("b one", name="b", delay_s=1)
    async with routed(a, b, hedge=True) as bench:
        await warm(bench)
        monkeypatch.setattr(bench.router.forecast.speeds["a"], "served", lambda _: None)
        a.silent_s, b.silent_s = 5, 100
        for _ in range(100):
            await bench.ask(chat())
        hedged = sum(event.kind is Kind.LEFT for event in bench.events)
    assert 10 + 9 <= hedged <= 10 + 10


@VIRTUAL
async def test_a_hedge_pays_for_both() -> None:
    a, b = Slow("a one two", name="a", delay_s=1), ScriptedModel("b one", name="b", delay_s=3)
    profiles = {"a": Profile(DEAR), "b": Profile(DEAR)}
    async with routed(a, b, hedge=True, profiles=profiles, budget=Budget(usd=100)) as bench:
        await warm(bench)
        a.silent_s = 1000
        assert await bench.ask(chat(max_tokens=9)) == ("b one", "b one")
        assert await bench.spare("usd") == 100 - 6 * 3 - 2


@VIRTUAL
async def test_a_hedge_that_may_cost_too_much_is_left_out() -> None:
    a, b = Slow("a one", name="a", delay_s=1), ScriptedModel("b one", name="b", delay_s=1)
    profiles = {"a": Profile(DEAR), "b": Profile(DEAR)}
    async with routed(a, b, hedge=True, profiles=profiles, budget=Budget(usd=22)) as bench:
        for _ in range(6):
            await bench.ask(chat(max_tokens=2))
        a.silent_s = 10
        assert await bench.ask(chat(max_tokens=9)) == ("a one", "a one")  # 10 dollars are left, 9 are held
        assert not b.calls


@VIRTUAL
async def test_cancelling_a_race_lets_both_go() -> None:
    a, b = Slow("a one", name="a", delay_s=1), Slow("b one", name="b", delay_s=1)
    async with routed(a, b, hedge=True) as bench:
        await warm(bench)
        a.silent_s = b.silent_s = 1000
        with anyio.move_on_after(50) as scope:
            await bench.ask(chat())
        assert scope.cancelled_caught
        assert bench.kinds(7)[-1] is Kind.CANCELLED
        assert {bench.run.lanes[f"llm:{name}"].running for name in "ab"} == {0}


@VIRTUAL
async def test_a_sliced_call_is_timed_as_a_whole() -> None:
    a, b = ScriptedModel("one two three four", name="a", delay_s=1), ScriptedModel("b", name="b")
    async with routed(a, b, hedge=True, policy=lambda: RoundRobin(1)) as bench:
        for _ in range(5):
            await bench.ask(chat())
        assert bench.router.forecast.speeds["a"].slow_s == pytest.approx(4)


# -- feedback


async def test_feedback_is_for_ones_own_calls() -> None:
    said: dict[str, str] = {}

    async def grader(agent: Agent, task: str) -> str:
        for call in ("0.1", "0.999"):
            try:
                await agent.port.submit(GiveFeedback(answered=call, score=1.0))
            except NotFound as error:
                said[call] = error.message
        own = await agent.port.submit(chat())
        await agent.port.submit(GiveFeedback(answered=own.call, score=1.0))
        return own.call

    async with routed(ScriptedModel("a", name="a"), ScriptedModel("b", name="b"), mains={"grader": grader}) as bench:
        mine = await bench.run.submit(chat())
        spawned = await bench.run.submit(Spawn(program="grader"))
        exit = await bench.run.submit(Wait(pid=spawned.pid))
        assert exit.process.state == "done", exit
        assert set(said) == {"0.1", "0.999"}
        assert "none of this one's" in said["0.1"]
        await bench.run.submit(GiveFeedback(answered=mine.call, score=0.5))
        with pytest.raises(NotFound):
            await bench.run.submit(GiveFeedback(answered=exit.process.result or "", score=0.5))


async def test_a_failed_call_has_no_answer_to_grade() -> None:
    a, b = (ScriptedModel(failed(permanent=True), name=name) for name in "ab")
    async with routed(a, b) as bench:
        with pytest.raises(ModelFailed):
            await bench.ask(chat())
        with pytest.raises(NotFound):
            await bench.run.submit(GiveFeedback(answered="0.1", score=0.5))


async def test_with_one_model_feedback_is_taken_and_there_is_nothing_to_choose() -> None:
    async with routed(ScriptedModel("a", name="a")) as bench:
        reply = await bench.run.submit(chat())
        await bench.run.submit(GiveFeedback(answered=reply.call, score=0.5))
        assert bench.kinds() == [Kind.ACCEPTED, Kind.STARTED, Kind.DONE]


# -- over real sockets


async def test_a_broken_stream_goes_elsewhere_only_unheard() -> None:
    cut = UNFRAMED + events({"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]})
    with FaultServer([cut]) as server:
        far, near = RemoteModel(server.url, "served", name="far"), ScriptedModel("near", name="near")
        async with routed(far, near) as bench:
            assert (await bench.run.submit(chat())).text == "near"
            heard: list[str] = []
            with pytest.raises(ModelFailed, match="cut off"):
                await bench.run.submit(chat(), heard.append)
            assert heard == ["Hel"]
            assert bench.record(2).usd is None  # whose price nobody knows
    assert len(server.seen) == 2


async def test_the_servers_own_count_is_what_is_charged() -> None:
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 40}}
    body = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": usage}
    with FaultServer([answer(200, body)]) as server:
        far = RemoteModel(server.url, "served", name="far")
        price = Price(1_000_000, 2_000_000, 100_000)
        async with routed(far, profiles={"far": Profile(price)}, budget=Budget(usd=1000)) as bench:
            reply = await bench.run.submit(chat(max_tokens=9))
            assert reply.usage == Usage(prompt_tokens=50, completion_tokens=7, cached_tokens=40)
            assert bench.record().usd == pytest.approx(10 + 4 + 14)


def piece(content: str, finish: str | None = None) -> bytes:
    return events({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]})


async def test_the_loser_of_a_race_hangs_up() -> None:
    silent, gone = threading.Event(), list[bool]()

    def serve(peer: Peer) -> None:
        if silent.is_set():
            peer.send(UNFRAMED)
            gone.append(peer.gone(10))
        else:
            peer.send(UNFRAMED + piece("far", "stop") + events("[DONE]"))

    with FaultServer([serve]) as one, FaultServer([UNFRAMED + piece("other", "stop")]) as two:
        far = RemoteModel(one.url, "served", name="far", slots=1)
        async with routed(far, RemoteModel(two.url, "served", name="other"), hedge=True) as bench:
            for _ in range(5):  # before which nobody knows what is slow
                assert await bench.ask(chat()) == ("far", "far")
            silent.set()
            assert await bench.ask(chat()) == ("other", "other")
            assert bench.left(6) == [("far", "'other' was faster")]
            assert bench.run.lanes["llm:far"].running == 0
            silent.clear()
            assert await bench.ask(chat(model="far")) == ("far", "far")
    assert gone == [True]


async def test_a_stream_makes_way_for_who_waits_and_goes_on_after() -> None:
    arrived = threading.Event()

    def serve(peer: Peer) -> None:
        asked = peer.asked.json()["messages"]
        if asked[0]["content"] == "short":
            peer.send(UNFRAMED + piece("brief", "stop") + events("[DONE]"))
        elif asked[-1]["role"] == "assistant":
            peer.send(UNFRAMED + piece("the rest", "stop") + events("[DONE]"))
        else:
            peer.send(UNFRAMED + piece("one ") + piece("two "))
            arrived.wait(10)
            peer.drip(*30 * [piece("more ")])

    order: list[str] = []
    with FaultServer([serve]) as server:
        far = RemoteModel(server.url, "served", name="far", slots=1, resume="assistant")
        async with routed(far, policy=lambda: RoundRobin(1)) as bench:
            spoke = anyio.Event()

            async def one(text: str) -> None:
                heard: list[str] = []

                def hear(word: str) -> None:
                    heard.append(word)
                    spoke.set()

                reply = await bench.run.submit(chat(text, max_tokens=99), hear)
                assert reply.text == "".join(heard)
                order.append(reply.text)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, "long")
                await spoke.wait()
                tasks.start_soon(one, "short")
                await anyio.wait_all_tasks_blocked()
                arrived.set()
            assert bench.record(1).preemptions == 1
    assert order[0] == "brief"
    assert order[1].startswith("one two ")
    assert order[1].endswith("the rest")
    prefix = server.seen[-1].json()["messages"][-1]["content"]
    assert order[1] == prefix + "the rest"
