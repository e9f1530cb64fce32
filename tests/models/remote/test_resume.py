"""Streams cut at a slice's end and gone on with, Anthropic's end to end, what goes along, and remote vectors."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from aios.models.base import Caller
from aios.models.remote.model import RemoteEmbedder, RemoteModel, RemoteSnapshot
from aios_syscalls import BadRequest, Chat, ChatReply, Embed, Message, ModelFailed, Rank, Sampling, ToolSpec, Usage
from tests.models.remote.fault_server import (
    STREAM,
    UNFRAMED,
    FaultServer,
    Peer,
    answer,
    chunked,
    events,
)

pytestmark = pytest.mark.anyio

USER = Message(role="user", content="Count.")
CHAT = Chat(messages=(USER,), max_tokens=10)
CROWDED = Caller(7, "counter", lambda _tokens: True)
ALONE = Caller(7, "counter", lambda _tokens: False)


def delta(content: str | None = None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]}


def told(read: int, written: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": read, "completion_tokens": written}}


def says(*words: str, finish: str = "stop", usage: dict[str, Any] | None = None) -> bytes:
    data = events(*map(delta, words), delta(finish=finish), *([usage] if usage else ()), "[DONE]")
    return UNFRAMED + data


async def slices(
    model: RemoteModel, chat: Chat, budget: int | None, caller: Caller = CROWDED
) -> tuple[ChatReply, list[RemoteSnapshot], str]:
    """The reply, the pauses before it, and what was emitted."""
    pieces, paused = list[str](), list[RemoteSnapshot]()
    outcome = await model.generate(chat, None, budget, pieces.append, caller)
    while not isinstance(outcome, ChatReply):
        assert isinstance(outcome, RemoteSnapshot)
        paused.append(outcome)
        outcome = await model.generate(chat, outcome, budget, pieces.append, caller)
    return outcome, paused, "".join(pieces)


@pytest.mark.parametrize(
    ("resume", "flags"),
    [
        ("assistant", {}),
        ("continue_final_message", {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
async def test_a_cut_stream_goes_on_from_its_text(resume: Any, flags: dict[str, Any]) -> None:
    parts = [
        says("one ", "two ", "three "),
        says("three ", "four ", "five"),
        says("five", usage=told(12, 1)),
    ]
    with FaultServer([*parts]) as server:
        async with RemoteModel(server.url, "served", name="far", resume=resume) as model:
            reply, paused, heard = await slices(model, CHAT, 2)
    assert reply.text == heard == "one two three four five"
    assert [each.text for each in paused] == ["one two ", "one two three four "]
    assert [each.tokens for each in paused] == [2, 4]
    first, second, third = (each.json() for each in server.seen)
    assert first["messages"] == [{"role": "user", "content": "Count."}]
    assert "continue_final_message" not in first
    assert [each["max_tokens"] for each in (first, second, third)] == [10, 8, 6]
    for body, text in ((second, "one two "), (third, "one two three four ")):
        assert body["messages"] == [*first["messages"], {"role": "assistant", "content": text}]
        assert {name: body.get(name) for name in flags} == flags
        changed = {"messages", "max_tokens", *flags}
        assert {k: v for k, v in body.items() if k not in changed} == {
            k: v for k, v in first.items() if k not in changed
        }
    # Two requests whose usage nobody told, by a guess, and the last one's, as told.
    assert reply.usage == paused[1].usage.plus(Usage(prompt_tokens=12, completion_tokens=1))
    assert reply.usage.estimated
    assert reply.usage.completion_tokens == 5
    assert paused[1].usage.prompt_tokens > 2 * paused[0].usage.prompt_tokens > 0


async def test_only_where_somebody_waits_is_it_cut() -> None:
    crowds = iter([False, False, True])
    caller = Caller(1, "counter", lambda _tokens: next(crowds))
    with FaultServer([says("a ", "b ", "c ", "d ", "e "), says("e")]) as server:
        async with RemoteModel(server.url, "served", resume="assistant") as model:
            whole, paused, _ = await slices(model, CHAT, 1, ALONE)
            assert (whole.text, paused) == ("a b c d e ", [])
            server.seen.clear()
            outcome = await model.generate(CHAT, None, 1, lambda _: None, caller)
    assert isinstance(outcome, RemoteSnapshot)
    assert outcome.text == "a b c "


async def test_a_pause_ends_the_connection() -> None:
    gone: list[bool] = []

    def endless(peer: Peer) -> None:
        peer.send(STREAM + chunked(events(delta("a "), delta("b "))))
        gone.append(peer.gone(5))

    with FaultServer([endless]) as server:
        async with RemoteModel(server.url, "served", resume="assistant") as model:
            outcome = await model.generate(CHAT, None, 2, lambda _: None, CROWDED)
    assert isinstance(outcome, RemoteSnapshot)
    assert gone == [True]
    outcome.drop()


@pytest.mark.parametrize(
    ("stop", "words", "texts"),
    [
        ("END", ["x E", "N", "y "], ["x ENy "]),  # END may have begun, twice
        ("END", ["x EN", "y "], ["x ENy "]),
        ("END", ["x E ", "y "], ["x E ", "y "]),
        ("\n\n", ["x\n", "y "], ["x\ny "]),
        ("E", ["xE", "y "], ["xE", "y "]),  # a stop of one character is whole or not there
    ],
)
async def test_a_stop_text_is_not_cut_in_two(stop: str, words: list[str], texts: list[str]) -> None:
    chat = CHAT.model_copy(update={"stop": (stop,)})

    def rest(peer: Peer) -> None:
        body = peer.asked.json()
        said = body["messages"][-1]["content"] if body["messages"][-1]["role"] == "assistant" else ""
        all = "".join(words)
        left = list(words)
        while said and left and said.startswith(left[0]):
            said = said[len(left.pop(0)) :]
        assert not said, (said, all)
        peer.send(says(*left))

    with FaultServer([rest]) as server:
        async with RemoteModel(server.url, "served", resume="assistant") as model:
            reply, paused, heard = await slices(model, chat, 1)
    assert reply.text == heard == "".join(words)
    starts = [0, *(len(each.text) for each in paused)]
    ends = [*starts[1:], len(reply.text)]
    cut = [reply.text[a:b] for a, b in zip(starts, ends, strict=True) if b > a]
    assert cut == texts


async def test_blank_text_is_nothing_to_go_on_from() -> None:
    with FaultServer([says("\n", "  ", "word ", "more")]) as server:
        async with RemoteModel(server.url, "served", resume="assistant") as model:
            outcome = await model.generate(CHAT, None, 1, lambda _: None, CROWDED)
    assert isinstance(outcome, RemoteSnapshot)
    assert outcome.text == "\n  word "


async def test_no_pause_where_no_token_would_be_left() -> None:
    with FaultServer([says("a ", "b ", finish="length")]) as server:
        async with RemoteModel(server.url, "served", resume="assistant") as model:
            outcome = await model.generate(CHAT.model_copy(update={"max_tokens": 2}), None, 2, lambda _: None, CROWDED)
    assert isinstance(outcome, ChatReply)
    assert outcome.finish == "length"


@pytest.mark.parametrize("apart", [False, True])
async def test_a_finished_answer_is_not_gone_on_with(apart: bool) -> None:
    """Somebody comes when the last word, and why it is the last, are there, and the usage is not."""
    crowd = [False]
    last = [delta("b"), delta(finish="stop")] if apart else [delta("b", finish="stop")]

    def serve(peer: Peer) -> None:
        peer.send(UNFRAMED + events(delta("a "), *last))
        peer.gone(0.05)
        peer.send(events(told(3, 2), "[DONE]"))

    def heard(piece: str) -> None:
        crowd[0] = piece == "b" and not apart

    def crowded(_tokens: int) -> bool:
        now, crowd[0] = crowd[0], True  # with `apart`, from after the last word on
        return now

    with FaultServer([serve]) as server:
        async with RemoteModel(server.url, "served", name="far", resume="assistant") as model:
            outcome = await model.generate(CHAT, None, 2, heard, Caller(1, "counter", crowded))
    assert outcome == ChatReply(text="a b", model="far", usage=Usage(prompt_tokens=3, completion_tokens=2))


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": (ToolSpec(name="add"),)},
        {"response_schema": {"type": "object"}},
        {"grammar": 'root ::= "a"'},
    ],
)
async def test_no_pause_within_a_form(fields: dict[str, Any]) -> None:
    with FaultServer([says("a ", "b ", "c")]) as server:
        async with RemoteModel(server.url, "served", resume="assistant") as model:
            reply, paused, _ = await slices(model, CHAT.model_copy(update=fields), 1)
    assert (reply.text, paused) == ("a b c", [])


@pytest.mark.parametrize("options", [{}, {"resume": "assistant", "stream": False}])
async def test_no_pause_where_the_server_cannot_go_on(options: dict[str, Any]) -> None:
    with FaultServer([says("a ", "b ", "c")]) as server:
        async with RemoteModel(server.url, "served", **options) as model:
            reply, paused, _ = await slices(model, CHAT, 1)
    assert (reply.text, paused) == ("a b c", [])


async def test_a_refusal_to_go_on_is_the_models_failure_and_says_what_to_change() -> None:
    refusal = answer(400, {"error": {"message": "last message must be from the user"}})
    with FaultServer([says("a ", "b "), refusal, refusal]) as server:
        async with RemoteModel(server.url, "served", resume="assistant") as model:
            with pytest.raises(ModelFailed, match=r"last message must be.*take out its `resume`") as caught:
                await slices(model, CHAT, 1)
            assert caught.value.data["permanent"]
            with pytest.raises(BadRequest):
                await model.generate(CHAT, None, 1, lambda _: None, CROWDED)


async def test_an_answer_cut_by_the_length_adds_up() -> None:
    with FaultServer([says("a ", "b ", "c "), says("c ", "d ", finish="length", usage=told(9, 2))]) as server:
        async with RemoteModel(server.url, "served", resume="assistant") as model:
            chat = CHAT.model_copy(update={"max_tokens": 4})
            reply, paused, _ = await slices(model, chat, 2)
    assert (reply.text, reply.finish, len(paused)) == ("a b c d ", "length", 1)
    assert server.seen[1].json()["max_tokens"] == 2
    assert reply.usage.completion_tokens == 4


# -- what goes along


@pytest.mark.parametrize(("order", "sent"), [("high_first", 3), ("low_first", -3)])
async def test_priority_and_program_reach_a_server_that_takes_them(order: Any, sent: int) -> None:
    chat = CHAT.model_copy(update={"priority": 3})
    with FaultServer([says("a"), says("a")]) as server:
        async with RemoteModel(server.url, "served", priority=order, program_field="user") as model:
            await model.generate(chat, None, None, lambda _: None, CROWDED)
        async with RemoteModel(server.url, "served") as model:
            await model.generate(chat, None, None, lambda _: None, CROWDED)
    first, second = (each.json() for each in server.seen)
    assert (first["priority"], first["user"]) == (sent, "counter-7")
    assert not {"priority", "user"} & set(second)


# -- Anthropic, end to end


def anthropic(*words: str, reason: str = "end_turn", read: int = 5) -> bytes:
    parts: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"usage": {"input_tokens": read, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in words),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": len(words)}},
        {"type": "message_stop"},
    ]
    data = "".join(f"event: {part['type']}\ndata: {json.dumps(part)}\n\n" for part in parts)
    return UNFRAMED + data.encode()


async def test_anthropic_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_KEY", "sk-ant-1")
    chat = Chat(
        messages=(Message(role="system", content="Be brief."), USER), max_tokens=9, sampling=Sampling(temperature=0.5)
    )
    with FaultServer([anthropic("one ", "two")]) as server:
        model = RemoteModel(server.url, "claude", name="far", protocol="anthropic", api_key_env="CLAUDE_KEY")
        async with model:
            reply, _, heard = await slices(model, chat, 1)
    assert reply == ChatReply(text="one two", model="far", usage=Usage(prompt_tokens=5, completion_tokens=2))
    assert heard == "one two"
    request = server.seen[0]
    assert request.line == "POST /v1/messages HTTP/1.1"
    assert request.headers["x-api-key"] == "sk-ant-1"
    assert request.headers["anthropic-version"]
    assert "authorization" not in request.headers
    assert request.json() == {
        "model": "claude",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Count."}]}],
        "stream": True,
        "max_tokens": 9,
        "temperature": 0.5,
    }


async def test_anthropic_goes_on_from_text_without_its_whitespace() -> None:
    with FaultServer([anthropic("one ", "two"), anthropic(" two"), anthropic(read=7)]) as server:
        async with RemoteModel(server.url, "claude", protocol="anthropic", resume="assistant") as model:
            reply, paused, heard = await slices(model, CHAT, 1)
    assert reply.text == heard == "one two"
    assert [each.text for each in paused] == ["one ", "one two"]
    bodies = [each.json() for each in server.seen[1:]]
    for body, text in zip(bodies, ("one", "one two"), strict=True):
        assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": text}]}
    assert [body["max_tokens"] for body in bodies] == [9, 8]
    assert reply.usage == paused[1].usage.plus(Usage(prompt_tokens=7))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (UNFRAMED + events({"type": "error", "error": {"type": "overloaded_error", "message": "Over."}}), "Over"),
        (anthropic("one ")[:-120], "broke off|cut off"),
        (answer(529, {"type": "error", "error": {"message": "Overloaded"}}), "HTTP 529: Overloaded"),
    ],
)
async def test_anthropic_faults(script: bytes, why: str) -> None:
    with FaultServer([script]) as server:
        async with RemoteModel(server.url, "claude", protocol="anthropic") as model:
            with pytest.raises(ModelFailed, match=why):
                await slices(model, CHAT, None)


# -- vectors


def vectors(*rows: tuple[int, Any], **more: Any) -> bytes:
    return answer(200, {"data": [{"index": index, "embedding": row} for index, row in rows], **more})


async def embed(script: bytes, *texts: str) -> tuple[Any, FaultServer]:
    with FaultServer([script]) as server:
        async with RemoteEmbedder(server.url, "served", name="vec") as model:
            return await model.embed(Embed(texts=texts)), server


async def test_vectors_are_in_the_order_of_their_index_and_of_length_one() -> None:
    script = vectors((1, [0.0, 2]), (0, [3, 4.0]), usage={"prompt_tokens": 6, "total_tokens": 6})
    reply, server = await embed(script, "a", "b")
    assert reply.vectors == ((0.6, 0.8), (0.0, 1.0))
    assert (reply.dimension, reply.model, reply.usage) == (2, "vec", Usage(prompt_tokens=6))
    assert server.seen[0].line == "POST /v1/embeddings HTTP/1.1"
    assert server.seen[0].json() == {"model": "served", "input": ["a", "b"], "encoding_format": "float"}


async def test_vectors_without_usage_are_counted_by_a_guess() -> None:
    reply, _ = await embed(vectors((0, [1e-200, 1e-200])), "a" * 30)
    assert reply.usage == Usage(prompt_tokens=10, estimated=True)
    assert math.isclose(math.hypot(*reply.vectors[0]), 1)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (vectors((0, [1.0])), "1 vectors for 2 texts"),
        (vectors((0, [1.0]), (1, [1.0]), (2, [1.0])), "3 vectors for 2 texts"),
        (vectors((0, [1.0]), (0, [2.0]), (1, [1.0])), "3 vectors for 2 texts"),
        (vectors((0, [1.0]), (5, [1.0])), "2 vectors for 2 texts"),
        (vectors((0, [1.0]), (1, [1.0, 2.0])), "different dimensions"),
        (vectors((0, [1.0]), (1, [0.0])), "not of finite length"),
        (vectors((0, [1.0]), (1, [])), "not a list of embeddings"),
        (vectors((0, [1.0]), (1, [1e400])), "not of finite length|not a list of embeddings"),
        (vectors((0, [1.0]), (1, [math.nan])), "not of finite length|not a list of embeddings"),
        (vectors((0, [1.0]), (1, "AACAPw")), "not a list of embeddings"),
        (vectors((0, [1.0]), (-1, [1.0])), "not a list of embeddings"),
        (answer(200, b"[]"), "not a list of embeddings"),
        (answer(200, {"error": "no such model"}), "reported an error: no such model"),
    ],
)
async def test_vectors_that_are_none(script: bytes, why: str) -> None:
    with pytest.raises(ModelFailed, match=why):
        await embed(script, "a", "b")


def test_an_embedder_only_embeds() -> None:
    far = RemoteEmbedder("http://localhost/v1", "m")
    assert far.refusal(Embed(texts=("a",))) == ""
    assert "only embeds" in far.refusal(CHAT)
    assert "only embeds" in far.refusal(Rank(messages=(USER,), options=("a", "b")))
