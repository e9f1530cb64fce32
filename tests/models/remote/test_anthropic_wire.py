"""Anthropic's protocol: what a call becomes, and what comes of answers that are right, broken or cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios.models.remote.anthropic_wire import PATH, AnthropicStreamParser, headers, request_body
from aios.models.remote.calls import MAX_ARGUMENTS_BYTES, MAX_ARGUMENTS_DEPTH, MAX_TOOL_CALLS
from aios.models.remote.lenient import MAX_PARTS
from aios.models.remote.sse import EventReader, WireFault
from aios_syscalls import BadRequest, Chat, ChatReply, Message, Sampling, ToolSpec, ToolUse, Usage

USER = Message(role="user", content="hi")
CHAT = Chat(messages=(USER,))

RECORDED = b"""event: message_start
data: {"type":"message_start","message":{"model":"claude-x","id":"msg_01","type":"message","role":"assistant",\
"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":3,\
"cache_read_input_tokens":2,"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"""


def sent(chat: Chat = CHAT, extra: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(request_body(chat, "claude-x", extra or {}, **more))
    return fields


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **more}}


def stop(reason: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}}, {"type": "message_stop"}


def tool(index: int, *pieces: str, name: str = "add") -> list[dict[str, Any]]:
    first = start(index, type="tool_use", id=f"toolu_{index}", name=name, input={})
    return [first, *(delta(index, "input_json_delta", partial_json=piece) for piece in pieces)]


def drafted(*events: Any, prefix: str = "") -> tuple[AnthropicStreamParser, list[str]]:
    draft = AnthropicStreamParser(prefix)
    pieces = [draft.add(json.dumps(event).encode()) for event in events]
    return draft, [piece for piece in pieces if piece]


def replied(*events: Any) -> ChatReply:
    return drafted(*events)[0].reply("far")


def test_headers() -> None:
    assert PATH == "/messages"
    assert headers("") == {"anthropic-version": "2023-06-01"}
    assert headers("k")["x-api-key"] == "k"


def test_a_plain_call() -> None:
    assert sent() == {
        "model": "claude-x",
        "messages": [{"role": "user", "content": [text("hi")]}],
        "stream": True,
        "max_tokens": 256,
        "temperature": 0.0,
    }
    assert sent(stream=False)["stream"] is False


def test_extra_adds_and_removes() -> None:
    fields = sent(extra={"temperature": None, "metadata": {"user_id": "u"}})
    assert fields["metadata"] == {"user_id": "u"}
    assert "temperature" not in fields


def test_roles_are_merged_blanks_left_out_and_tool_results_given_by_the_user() -> None:
    uses = (ToolUse(id="toolu_1", name="add", arguments={"a": 1}), ToolUse(id="toolu_2", name="now"))
    messages = (
        Message(role="system", content="be brief"),
        USER,
        Message(role="user", content="there"),
        Message(role="assistant", content=" \n"),
        Message(role="assistant", content="let me see ", tool_uses=uses),
        Message(role="tool", content="2", tool_use_id="toolu_1"),
        Message(role="tool", content="", tool_use_id="toolu_2"),
        Message(role="system", content="and kind"),
        Message(role="user", content="so?"),
    )
    fields = sent(Chat(messages=messages))
    assert fields["system"] == "be brief\n\nand kind"
    assert fields["messages"] == [
        {"role": "user", "content": [text("hi"), text("there")]},
        {
            "role": "assistant",
            "content": [
                text("let me see "),
                {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}},
                {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("2")]},
                {"type": "tool_result", "tool_use_id": "toolu_2"},
                text("so?"),
            ],
        },
    ]


@pytest.mark.parametrize(("choice", "wire"), [("auto", "auto"), ("required", "any"), ("none", "none")])
def test_tools(choice: Any, wire: str) -> None:
    fields = sent(CHAT.model_copy(update={"tools": (ToolSpec(name="add", description="adds"),), "tool_choice": choice}))
    schema = {"type": "object", "properties": {}}
    assert fields["tools"] == [{"name": "add", "description": "adds", "input_schema": schema}]
    assert fields["tool_choice"] == {"type": wire}


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        (Sampling(top_p=0.9, top_k=5, seed=1, min_p=0.1), {"temperature": 0.0}),
        (Sampling(temperature=0.7), {"temperature": 0.7}),
        (Sampling(temperature=1, top_p=0.9), {"top_p": 0.9}),
        (Sampling(temperature=1, top_k=0), {"temperature": 1.0}),
        (Sampling(temperature=0.7, top_p=0.9, top_k=5), {"temperature": 0.7, "top_p": 0.9, "top_k": 5}),
        (Sampling(temperature=0.7, seed=1, min_p=0.1), {"temperature": 0.7, "seed": 1, "min_p": 0.1}),
    ],
)
def test_sampling_says_what_was_asked_for_and_makes_a_difference(asked: Sampling, fields: dict[str, Any]) -> None:
    got = sent(CHAT.model_copy(update={"sampling": asked}))
    assert {name: got[name] for name in got if name in Sampling.model_fields} == fields


def test_stop_and_max_tokens() -> None:
    fields = sent(CHAT.model_copy(update={"stop": ("END",), "max_tokens": 9}))
    assert (fields["stop_sequences"], fields["max_tokens"]) == (["END"], 9)


def test_a_schema_is_closed_where_that_only_narrows_it() -> None:
    point = {"type": "object", "properties": {"x": {"type": "number"}}}
    closed = point | {"additionalProperties": False}
    schema = {
        "type": "object",
        "$defs": {"point": point},
        "properties": {
            "many": {"type": "array", "items": point},
            "one": {"anyOf": [point, {"type": "null"}]},
            "open": {"type": "object"},
            "said": point | {"additionalProperties": {"type": "string"}},
            "all": {"allOf": [point, {"type": "object"}]},
            "both": point | {"anyOf": [point, {"required": ["y"]}]},
        },
    }
    given_form = sent(CHAT.model_copy(update={"response_schema": schema}))["output_config"]["format"]
    assert given_form["type"] == "json_schema"
    assert given_form["schema"] == {
        "type": "object",
        "additionalProperties": False,
        "$defs": {"point": closed},
        "properties": {
            "many": {"type": "array", "items": closed},
            "one": {"anyOf": [closed, {"type": "null"}]},
            "open": {"type": "object"},
            "said": point | {"additionalProperties": {"type": "string"}},
            "all": {"allOf": [point, {"type": "object"}]},
            "both": point | {"anyOf": [point, {"required": ["y"]}]},
        },
    }
    assert "additionalProperties" not in schema  # the call's own stays as it was


def test_a_schema_and_an_effort_go_together() -> None:
    chat = CHAT.model_copy(update={"response_schema": {"type": "string"}})
    form = {"type": "json_schema", "schema": {"type": "string"}}
    assert sent(chat, {"output_config": {"effort": "low"}})["output_config"] == {"effort": "low", "format": form}
    assert "output_config" not in sent(chat, {"output_config": None})


def test_what_cannot_be_asked_is_a_bad_request() -> None:
    round_and_round: dict[str, Any] = {}
    round_and_round["properties"] = {"again": round_and_round}
    with pytest.raises(BadRequest, match="grammar"):
        sent(CHAT.model_copy(update={"grammar": "root ::= x"}))
    for schema in ({"a": object()}, round_and_round):
        with pytest.raises(BadRequest, match="not JSON"):
            sent(CHAT.model_copy(update={"response_schema": schema}))
        with pytest.raises(BadRequest, match="not JSON"):
            sent(CHAT.model_copy(update={"tools": (ToolSpec(name="t").model_copy(update={"parameters": schema}),)}))


@pytest.mark.parametrize(
    ("prefix", "carried", "pieces", "joined"),
    [
        ("Once upon", "Once upon", [" a time"], "Once upon a time"),
        ("Once \n", "Once", [" ", "\nupon"], "Once \nupon"),
        ("Once ", "Once", ["upon"], "Once upon"),
        ("Once\n\n", "Once", ["\n", "upon"], "Once\n\nupon"),
        ("Once\n", "Once", ["\n\nupon \n"], "Once\n\nupon \n"),
        (" \n", None, [" \nOnce"], " \nOnce"),
    ],
)
def test_going_on_after_a_prefix(prefix: str, carried: str | None, pieces: list[str], joined: str) -> None:
    turns = [{"role": "user", "content": [text("hi")]}]
    if carried is not None:
        turns.append({"role": "assistant", "content": [text(carried)]})
    assert sent(prefix=prefix)["messages"] == turns
    events = [delta(0, "text_delta", text=piece) for piece in pieces]
    draft, new = drafted(start(0, **text("")), *events, *stop("end_turn"), prefix=prefix)
    assert prefix + "".join(new) == prefix + draft.reply("far").text == joined


def test_a_last_answer_of_the_call_ends_in_no_whitespace_and_takes_the_prefix() -> None:
    chat = Chat(messages=(USER, Message(role="assistant", content="One ")))
    assert sent(chat)["messages"][-1]["content"] == [text("One")]
    assert sent(chat, prefix="two ")["messages"][-1]["content"] == [text("One "), text("two")]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_recorded_stream(size: int) -> None:
    draft, reader, pieces = AnthropicStreamParser(), EventReader(), []
    for at in range(0, len(RECORDED), size):
        for data in reader.feed(RECORDED[at : at + size]):
            assert not draft.ended
            pieces.append(draft.add(data))
    assert draft.ended
    assert list(filter(None, pieces)) == ["Hel", "lo"]
    assert draft.reply("far") == ChatReply(
        text="Hello", model="far", usage=Usage(prompt_tokens=30, completion_tokens=15)
    )
    assert draft.reply("far") == draft.reply("far")
    assert draft.add(b"what comes after the end is not read") == ""


def test_counts_are_cumulative() -> None:
    first = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}
    more = {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 7, "output_tokens": 4}}
    last = more | {"usage": {"input_tokens": None, "output_tokens": 9}}
    assert replied(first, more, last, *stop("end_turn")).usage == Usage(prompt_tokens=7, completion_tokens=9)


def test_several_blocks_and_tools_in_pieces() -> None:
    events = [
        start(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="EqQB"),
        start(1, **text("")),
        delta(1, "text_delta", text="Let me "),
        *tool(2, "", '{"a": 1, "b', '": [2]}'),
        start(3, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(3, "input_json_delta", partial_json='{"query": "x"}'),
        start(4, type="text", text="see"),
        *tool(5, name="now"),
        {"type": "news", "delta": "none of ours", "index": "?"},
    ]
    draft, pieces = drafted(*events, *stop("tool_use"))
    assert pieces == ["Let me ", "see"]
    add = ToolUse(id="toolu_2", name="add", arguments={"a": 1, "b": [2]})
    now = ToolUse(id="toolu_5", name="now")
    assert draft.reply("far") == ChatReply(
        text="Let me see", tool_uses=(add, now), finish="tool_use", model="far", reasoning="hm"
    )


def test_a_whole_body() -> None:
    content = [text("Hello"), {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}}]
    usage = {"input_tokens": 7, "cache_read_input_tokens": None, "output_tokens": 2}
    body = {"type": "message", "role": "assistant", "content": content, "stop_reason": "tool_use", "usage": usage}
    draft, pieces = drafted(body)
    assert pieces == ["Hello"]
    assert draft.ended
    assert draft.reply("far") == ChatReply(
        text="Hello",
        tool_uses=(ToolUse(id="toolu_1", name="add", arguments={"a": 1}),),
        finish="tool_use",
        model="far",
        usage=Usage(prompt_tokens=7, completion_tokens=2),
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
    ],
)
def test_ends(reason: str, finish: str) -> None:
    assert replied(start(0, **text("Hello")), *stop(reason)).finish == finish


def test_a_call_without_its_stop_reason_is_a_call() -> None:
    assert replied(*tool(0), *stop("end_turn")).finish == "tool_use"


@pytest.mark.parametrize(
    ("events", "why"),
    [
        (stop("refusal"), "refused to answer"),
        (stop("pause_turn"), "gave up on the answer, with stop reason 'pause_turn'"),
        (stop("error" + "x" * 100), f"gave up on the answer, with stop reason 'error{'x' * 35}'"),
        (stop(None), "cut off"),
        (stop("end_turn")[:1], "cut off"),
        ((), "cut off"),
        (stop("tool_use"), "announced a tool call and sent none"),
        ((*tool(0, '{"a":'), *stop("max_tokens")), "'add' has broken arguments: .*; raise max_tokens"),
        ((*tool(0, "[1]"), *stop("tool_use")), "'add' has broken arguments: not an object"),
        ((*tool(0, '{"a": NaN}'), *stop("tool_use")), "'add' has broken arguments"),
        ((*tool(0, name=""), *stop("tool_use")), "without a name"),
        (
            (*tool(0, '{"a":' * MAX_ARGUMENTS_DEPTH + "[]" + "}" * MAX_ARGUMENTS_DEPTH), *stop("tool_use")),
            f"at most {MAX_ARGUMENTS_DEPTH} levels",
        ),
    ],
)
def test_no_reply_without_an_end_and_sense(events: tuple[Any, ...], why: str) -> None:
    draft, _ = drafted(*events)
    with pytest.raises(WireFault, match=why):
        draft.reply("far")


def test_every_cut_of_a_recorded_stream_is_no_reply() -> None:
    for end in range(len(RECORDED) - 1):
        draft = AnthropicStreamParser()
        for data in EventReader().feed(RECORDED[:end]):
            draft.add(data)
        assert not draft.ended
        with pytest.raises(WireFault, match="cut off"):
            draft.reply("far")


BIG = "x" * (MAX_ARGUMENTS_BYTES // 2)


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}], "error: Overloaded"),
        ([{"type": "error"}], "reported an error"),
        ([{"error": {"message": "no such model"}}], "error: no such model"),
        ([[]], "not a message of Anthropic's: the body"),
        ([delta(0, "input_json_delta", partial_json="{")], "block 0 goes on before it begins"),
        ([start(0, **text("")), start(0, **text(""))], "block 0 begins twice"),
        ([start(0, type="text", text=7)], "text: Input should be a valid string"),
        ([start(0, type="tool_use", name="add", input=[1])], "arguments that are a list"),
        ([{"type": "message", "content": 42}], "content: Input should be a valid string"),
        (tool(0, BIG, BIG, "x"), "over 262144 bytes"),
        ([start(0, type="tool_use", id="t", name="add", input={"a": BIG * 2})], "over 262144 bytes"),
        ([each for index in range(MAX_TOOL_CALLS + 1) for each in tool(index)], "over 128 tool calls"),
        ([{"type": "ping", "more": [0] * MAX_PARTS}], "over 100000 parts"),
    ],
)
def test_off_the_protocol(events: list[Any], why: str) -> None:
    with pytest.raises(WireFault, match=why):
        replied(*events)


@pytest.mark.parametrize(
    "data", [b"", b"[DONE]", b"{", b'{"type": "ping"} {}', b'{"type": \xff}', b'{"type": "\\ud8"}', b"[" * 5000]
)
def test_no_json(data: bytes) -> None:
    draft = AnthropicStreamParser()
    with pytest.raises(WireFault, match="not a message of Anthropic's"):
        draft.add(data)
        draft.reply("far")


def check(*payloads: bytes) -> None:
    draft = AnthropicStreamParser("x ")
    try:
        pieces = [draft.add(data) for data in payloads]
        assert draft.reply("far").text == "".join(pieces)
    except WireFault:
        pass


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes_are_faults_at_worst(payloads: list[bytes]) -> None:
    check(*payloads)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["text", " "])
KEYS = st.sampled_from(["type", "id", "name", "input", "text", "partial_json", "stop_reason", "output_tokens", "usage"])
VALUES = st.recursive(LEAVES, lambda each: st.lists(each, max_size=2) | st.dictionaries(KEYS, each, max_size=4))
BLOCKS = st.fixed_dictionaries({"type": st.sampled_from(["text", "tool_use", "thinking", "text_delta"])}) | VALUES
EVENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "message"]
        )
    },
    optional={
        "index": st.integers(0, 2) | VALUES,
        "content_block": BLOCKS,
        "delta": BLOCKS | st.just({"stop_reason": "end_turn"}),
        "message": VALUES,
        "usage": VALUES,
        "content": st.lists(BLOCKS, max_size=3) | VALUES,
        "stop_reason": st.just("end_turn") | VALUES,
        "error": st.none() | VALUES,
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, max_size=6))
def test_events_out_of_shape_and_order_are_faults_at_worst(events: list[Any]) -> None:
    check(*(json.dumps(event).encode() for event in events))
