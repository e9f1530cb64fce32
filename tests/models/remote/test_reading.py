"""Properties of reading: the same answer on every way that its bytes can come, and none where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.models.remote import anthropic_wire, openai_wire
from aios.models.remote.calls import PendingCall
from aios.models.remote.complaint import error_text, reported
from aios.models.remote.lenient import as_count, as_index, depth, read_json
from aios.models.remote.model import RemoteModel
from aios.models.remote.sse import EventReader, WireFault
from aios.models.remote.unicode import Joiner, well_formed
from aios.models.thinking import CHANNELS, ThinkSplitter, told_apart
from aios_syscalls import Chat, ChatReply, Message, ModelFailed
from aios_syscalls.reasoning import TAGS
from tests.models.remote.fault_server import LAST_CHUNK, STREAM, UNFRAMED, FaultServer, Peer, chunked, events

CUTS = st.lists(st.integers(0, 4000), max_size=30)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])

TOOLS = ("add", "get_weather")
TEXT = "<think>hm 世</think>\n\nGrüße 🙂 \u2028 </think> <thi"
OPENAI: tuple[dict[str, Any] | str, ...] = (
    {"choices": [], "prompt_filter_results": []},
    *({"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in (TEXT[:3], TEXT[3:25], TEXT[25:])),
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "get_", "arguments": ""}}]}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "weather", "arguments": '{"x'}}]}}]},
    {
        "choices": [
            {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '":"🙂"}'}}]}, "finish_reason": "stop"}
        ]
    },
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
    "[DONE]",
)
ANTHROPIC: tuple[dict[str, Any] | str, ...] = (
    {"type": "message_start", "message": {"usage": {"input_tokens": 7}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT[:9]}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT[9:]}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "a", "name": "add", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"x":"🙂"}'}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)
WIRES: list[tuple[Callable[..., Any], tuple[dict[str, Any] | str, ...]]] = [
    (openai_wire.OpenAiStreamParser, OPENAI),
    (anthropic_wire.AnthropicStreamParser, ANTHROPIC),
]
NOISE = st.sampled_from(
    [
        b": a comment\n",
        b":\n\n",
        b"event: ping\n\n",
        b"data:\n\n",
        b'event: ping\ndata: {"type": "ping"}\n\n',
        b"data: {}\n\n",
        b'data: {"type": "news", "words": [1]}\n\n',
        b"id: 7\nretry: 10\n\n",
        b"foo\nbar: x\n\n",
        b"\n\n",
    ]
)


def spans(size: int, cuts: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(sorted({0, size, *(cut % (size + 1) for cut in cuts)})))


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    return [data[a:b] for a, b in spans(len(data), cuts)]


def heard(draft: Any, chunks: list[bytes]) -> tuple[ChatReply, str]:
    reader, pieces = EventReader(), []
    for chunk in chunks:
        for data in reader.feed(chunk):
            pieces += [draft.add(data)] if data.strip() else []
    return draft.reply("far"), "".join(pieces)


@pytest.mark.parametrize(("draft", "payloads"), WIRES)
def test_any_split_into_reads_is_the_same_answer(draft: Any, payloads: Any) -> None:
    expected = heard(draft(offered=TOOLS), [events(*payloads)])
    assert expected[0].text == expected[1] == "Grüße 🙂 \u2028 </think> <thi"
    assert expected[0].reasoning == "hm 世"

    @given(CUTS, ENDS, st.booleans())
    def same(cuts: list[int], end: bytes, mark: bool) -> None:
        data = (b"\xef\xbb\xbf" if mark else b"") + events(*payloads).replace(b"\n", end)
        assert heard(draft(offered=TOOLS), split(data, cuts)) == expected

    same()


@pytest.mark.parametrize(("draft", "payloads"), WIRES)
def test_any_noise_between_events_is_the_same_answer(draft: Any, payloads: Any) -> None:
    expected = heard(draft(offered=TOOLS), [events(*payloads)])
    parts = [events(payload) for payload in payloads]

    @given(st.lists(st.lists(NOISE, max_size=3), min_size=len(parts), max_size=len(parts)), CUTS)
    def same(noise: list[list[bytes]], cuts: list[int]) -> None:
        data = b"".join(b"".join(before) + part for before, part in zip(noise, parts, strict=True))
        assert heard(draft(offered=TOOLS), split(data, cuts)) == expected

    same()


@pytest.mark.parametrize(("draft", "payloads"), WIRES)
def test_no_beginning_of_a_stream_is_an_answer(draft: Any, payloads: Any) -> None:
    data = events(*payloads[:-3])
    for end in range(0, len(data), 7):
        with pytest.raises(WireFault, match="cut off"):
            heard(draft(offered=TOOLS), [data[:end]])


def test_only_the_check_of_names_keeps_a_tool_that_was_not_offered_from_being_called() -> None:
    part = {"index": 0, "id": "a", "function": {"name": "rm", "arguments": "{}"}}
    data = events({"choices": [{"delta": {"tool_calls": [part]}, "finish_reason": "tool_calls"}]})
    reply, _ = heard(openai_wire.OpenAiStreamParser(offered=None), [data])
    assert [use.name for use in reply.tool_uses] == ["rm"]
    with pytest.raises(WireFault, match="called tool 'rm', but the tools that were offered are: add, get_weather"):
        heard(openai_wire.OpenAiStreamParser(offered=TOOLS), [data])


ODD = st.text(st.sampled_from([*"ab\0🙂世", "\ud83d", "\ude00", "\udc80", "\udcf0", "\udc9f", "\udc98"]), max_size=12)


@given(ODD, st.lists(st.integers(0, 12), max_size=4))
def test_joined_text_is_well_formed_however_it_is_split(text: str, cuts: list[int]) -> None:
    joiner = Joiner()
    joined = "".join(joiner.feed(text[a:b]) for a, b in spans(len(text), cuts)) + joiner.flush()
    assert joined.encode() == well_formed(joined).encode()
    assert "\0" not in joined
    if not any("\udc80" <= char <= "\udcff" for char in text):
        assert joined == well_formed(text)


@given(st.text(max_size=20))
def test_text_that_is_well_formed_stays_as_it_is(text: str) -> None:
    assert well_formed(text) == text.replace("\0", "\ufffd")


MARKS = ("<|message|>", "<|end|>", "<|constrain|>", "analysis", "final", "assistant")
TAGGED = st.lists(st.sampled_from([*"<>/tk[] \n", "hm", *TAGS, *TAGS.values(), *CHANNELS, *MARKS]), max_size=12).map(
    "".join
)


@given(TAGGED, CUTS)
def test_reasoning_is_told_apart_however_it_is_split(text: str, cuts: list[int]) -> None:
    def told(pieces: list[str]) -> tuple[str, str]:
        splitter = ThinkSplitter()
        found = [*(splitter.feed(piece) for piece in pieces), splitter.flush()]
        return "".join(answer for answer, _ in found), "".join(thought for _, thought in found)

    answer, thought = told([text[a:b] for a, b in spans(len(text), cuts)])
    assert (answer, thought) == told([text])
    if not text.lstrip().startswith((*TAGS, *CHANNELS)):
        assert (answer, thought) == (text, "")


@given(TAGGED)
def test_of_a_text_apart_nothing_is_made_up_and_nothing_is_lost_but_the_mark(text: str) -> None:
    answer, thought = told_apart(text)
    assert text.endswith(answer)
    assert thought in text
    assert (answer, thought) == (text, "") or len(answer) + len(thought) < len(text)
    if not any(close in text for close in TAGS.values()) and "assistantfinal" not in text:
        assert (answer, thought) == (text, "")


KEYS = st.sampled_from(["error", "message", "detail", "metadata", "raw", "loc", "msg"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5) | KEYS, each, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_an_error_in_any_shape_has_words_or_none(value: Any) -> None:
    assert isinstance(error_text(value), str)
    assert isinstance(reported(value, answers=False), str)
    assert as_count(value) >= 0
    assert as_index(value) is None or as_index(value) == as_count(value)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_no_value(data: bytes) -> None:
    with suppress(ValueError):
        read_json(data)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'"\\ud83d",' + b"[" * 100_000, b'["\xff",' + b"[" * 500 + b"]" * 501]
)
def test_json_that_is_too_deep_is_none(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"recursion|hex|unicode"):
        read_json(data)


def test_depth_counts_objects_and_arrays() -> None:
    assert (depth(1), depth([]), depth({"a": []}), depth([[], [[]]])) == (0, 1, 2, 3)
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    assert depth(deep) == 50_001


@given(st.lists(st.text(max_size=6), max_size=6))
def test_arguments_are_whole_when_their_brackets_are(pieces: list[str]) -> None:
    value = {"a": pieces, "b": {"c": "}]{["}}
    text = json.dumps(value)
    call = PendingCall()
    for char in text[:-1]:
        call.add(char)
        assert not call.whole
    call.add(text[-1])
    assert call.whole


GOOD = events(
    {"choices": [{"delta": {"content": "Hello"}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
)


@pytest.mark.anyio
@pytest.mark.parametrize(("linger_s", "spare_s"), [(600.0, 119.9), (0.1, 0.1)])
async def test_a_finished_answer_is_not_lost_to_a_server_that_falls_silent(
    linger_s: float, spare_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time it is the call's deadline that ends the wait for more, the second time patience."""
    monkeypatch.setattr("aios.models.remote.model.LINGER_S", linger_s)
    monkeypatch.setattr("aios.models.remote.model.SPARE_S", spare_s)

    def hold(peer: Peer) -> None:
        peer.send(STREAM + chunked(GOOD))
        peer.gone()

    chat = Chat(messages=(Message(role="user", content="hi"),))
    with FaultServer([hold]) as server:
        async with RemoteModel(server.url, "m", timeout_s=120) as model:
            reply = await model.generate(chat, None, None, lambda _: None)
            assert isinstance(reply, ChatReply)
            assert (reply.text, model.healthy) == ("Hello", True)


@pytest.mark.anyio
async def test_no_beginning_of_an_answer_is_one_however_its_connection_ends() -> None:
    data = events(*OPENAI[:-3], {"choices": [{"delta": {}, "finish_reason": "stop"}]})
    last = len(data) - len(events({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
    parts = [data[:end] for end in range(0, last + 40, 23)]
    ends = [STREAM + chunked(part) + LAST_CHUNK for part in parts]  # said to be whole
    ends += [STREAM + chunked(part) for part in parts]  # broken
    ends += [UNFRAMED + part for part in parts]  # who knows
    chat = Chat(messages=(Message(role="user", content="hi"),))
    with FaultServer([*ends]) as server:
        for _ in ends:
            async with RemoteModel(server.url, "m") as model:
                with pytest.raises(ModelFailed, match=r"was cut off|broke off"):
                    await model.generate(chat, None, None, lambda _: None)


@pytest.mark.anyio
async def test_refusals_and_spent_tokens_do_not_make_a_server_unhealthy() -> None:
    refused = events({"choices": [{"delta": {"refusal": "No."}, "finish_reason": "stop"}]})
    chat = Chat(messages=(Message(role="user", content="hi"),))
    with FaultServer([UNFRAMED + refused]) as server:
        async with RemoteModel(server.url, "m") as model:
            for _ in range(4):
                with pytest.raises(ModelFailed, match="refused to answer: No"):
                    await model.generate(chat, None, None, lambda _: None)
            assert model.healthy
