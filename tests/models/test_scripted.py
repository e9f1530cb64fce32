"""ScriptedModel: exact slices, exact text, and the limits of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from aios.context import Snapshot
from aios.models.base import Model
from aios.models.scripted import ScriptedModel, ScriptedSnapshot
from aios_syscalls import BadRequest, Chat, ChatReply, KernelBug, Message, ModelFailed, Rank, ToolUse, Usage

pytestmark = pytest.mark.anyio


def chat(content: str = "to be or not", **more: Any) -> Chat:
    return Chat(messages=(Message(role="user", content=content),), **more)


def ignore(piece: str) -> None:
    pass


async def finish(model: Model, call: Chat, budget: int | None) -> tuple[ChatReply, list[str], int]:
    """The reply, the pieces and the number of slices it took."""
    pieces: list[str] = []
    slices, outcome = 0, None
    while not isinstance(outcome, ChatReply):
        outcome = await model.generate(call, outcome, budget, pieces.append)
        slices += 1
    return outcome, pieces, slices


async def test_a_text_is_a_reply_that_counts_its_words() -> None:
    async with ScriptedModel(["one two"]) as model:
        reply, pieces, _ = await finish(model, chat(), None)
    assert reply == ChatReply(text="one two", model="scripted", usage=Usage(prompt_tokens=4, completion_tokens=2))
    assert pieces == ["one ", "two"]


@pytest.mark.parametrize(("budget", "slices"), [(1, 5), (2, 3), (4, 2), (5, 1), (None, 1)], ids=str)
async def test_slices_add_up_to_the_same_reply(budget: int | None, slices: int) -> None:
    model = ScriptedModel(["a b  c\nd e "])
    reply, pieces, count = await finish(model, chat(), budget)
    assert (reply.text, pieces, count) == ("a b  c\nd e ", ["a ", "b  ", "c\n", "d ", "e "], slices)
    assert len(model.calls) == 1
    assert model.held == model.dropped == 0


@given(text=st.text(alphabet=st.sampled_from(" \n\tab"), max_size=12), budget=st.integers(1, 4))
def test_joined_pieces_are_the_text(text: str, budget: int) -> None:
    reply, pieces, _ = anyio.run(finish, ScriptedModel(text), chat(), budget)
    assert "".join(pieces) == reply.text == text
    assert all(pieces)


async def test_replies_come_in_order_and_run_out() -> None:
    given_reply = ChatReply(text="x", tool_uses=(ToolUse(id="1", name="t"),), finish="tool_use", usage=Usage())
    model = ScriptedModel(["a", given_reply, BadRequest("no"), lambda call: call.messages[0].content])
    assert (await finish(model, chat(), None))[0].text == "a"
    assert (await finish(model, chat(), None))[0] == given_reply.model_copy(update={"model": "scripted"})
    with pytest.raises(BadRequest, match="no"):
        await model.generate(chat(), None, None, ignore)
    assert (await finish(model, chat("echo"), None))[0].text == "echo"
    with pytest.raises(ModelFailed, match="no reply left"):
        await model.generate(chat(), None, None, ignore)
    assert len(model.calls) == 5


@pytest.mark.parametrize("replies", ["same", ChatReply(text="same"), lambda _: ChatReply(text="same")])
async def test_a_single_reply_answers_every_call(replies: str | ChatReply | Callable[[Chat], ChatReply]) -> None:
    model = ScriptedModel(replies)
    assert [(await finish(model, chat(), None))[0].text for _ in range(3)] == 3 * ["same"]


async def test_max_tokens_and_stop() -> None:
    uses = (ToolUse(id="1", name="t"),)
    model = ScriptedModel(ChatReply(text="one two three", tool_uses=uses, finish="tool_use"))
    cut, _, _ = await finish(model, chat(max_tokens=2), 1)
    assert (cut.text, cut.finish, cut.tool_uses, cut.usage.completion_tokens) == ("one two ", "length", (), 2)
    stopped, _, _ = await finish(model, chat(stop=("three", "tw", "")), 1)
    assert (stopped.text, stopped.finish, stopped.tool_uses) == ("one ", "stop", ())
    whole, _, _ = await finish(model, chat(max_tokens=3, stop=("four",)), 1)
    assert (whole.text, whole.finish, whole.tool_uses) == ("one two three", "tool_use", uses)


async def pause(model: ScriptedModel) -> ScriptedSnapshot:
    snapshot = await model.generate(chat(), None, 1, ignore)
    assert isinstance(snapshot, ScriptedSnapshot)
    return snapshot


async def test_a_snapshot_is_continued_or_dropped_once() -> None:
    model = ScriptedModel("a b c")
    snapshot = await pause(model)
    assert (snapshot.tokens, model.held) == (1, 1)
    snapshot.drop()
    snapshot.drop()
    assert (model.dropped, model.held) == (1, 0)
    with pytest.raises(KernelBug):
        await model.generate(chat(), snapshot, 1, ignore)

    snapshot = await pause(model)
    await model.generate(chat(), snapshot, None, ignore)
    snapshot.drop()
    assert (model.dropped, model.held) == (1, 0)
    with pytest.raises(KernelBug):
        await model.generate(chat(), snapshot, None, ignore)


class Foreign(Snapshot):
    def drop(self) -> None:
        pass


async def test_another_models_snapshot_is_our_bug() -> None:
    with pytest.raises(KernelBug, match="Foreign"):
        await ScriptedModel("a").generate(chat(), Foreign(), None, ignore)


@pytest.mark.parametrize(("record", "kept"), [(0, []), (2, ["3", "4"])])
async def test_calls_are_recorded_within_bounds(record: int, kept: list[str]) -> None:
    model = ScriptedModel("ok", record=record)
    for number in range(5):
        await model.generate(chat(str(number)), None, None, ignore)
    assert [call.messages[0].content for call in model.calls] == kept


async def test_a_cancelled_slice_holds_nothing() -> None:
    model = ScriptedModel("a b c", delay_s=0.001)
    snapshot = await pause(model)
    with anyio.CancelScope() as scope:
        await model.generate(chat(), snapshot, None, lambda _: scope.cancel())
    assert scope.cancelled_caught
    assert model.held == 0


def test_each_token_takes_its_delay() -> None:
    times: list[float] = []

    async def main() -> None:
        began = anyio.current_time()
        await ScriptedModel("a b c", delay_s=10).generate(
            chat(), None, None, lambda _: times.append(anyio.current_time() - began)
        )

    anyio.run(main, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
    assert times == [10, 20, 30]


async def test_a_ranking_is_won_by_the_first_or_the_chosen_option() -> None:
    call = Rank(messages=chat().messages, options=("a", "b"))
    assert (await ScriptedModel([]).rank(call)).choice == "a"
    model = ScriptedModel([], choose=lambda asked: asked.options[-1])
    reply = await model.rank(call)
    assert (reply.choice, reply.best, reply.model, reply.usage.prompt_tokens) == ("b", 1, "scripted", 4)
    assert reply.options[0].score < reply.options[1].score
    assert list(model.rankings) == [call]
    with pytest.raises(KernelBug, match="none of"):
        await ScriptedModel([], choose=lambda _: "c").rank(call)
