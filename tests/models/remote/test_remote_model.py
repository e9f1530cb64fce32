"""RemoteModel against servers that are right, wrong, slow, dead or hostile."""

from __future__ import annotations

import gzip
import json
import socket
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio
import pytest
from pydantic import JsonValue

from aios.context import Snapshot
from aios.models.remote import anthropic_wire
from aios.models.remote.endpoint import MAX_ERROR_BYTES, MAX_QUOTE, scrub
from aios.models.remote.limits import COOL_DOWN_S, MAX_FAILURES
from aios.models.remote.model import RemoteModel
from aios.models.remote.openai_wire import request_body
from aios.models.scripted import ScriptedModel
from aios_syscalls import (
    AiosError,
    BadRequest,
    Chat,
    ChatReply,
    ExtraFields,
    KernelBug,
    Message,
    ModelFailed,
    Sampling,
    ToolSpec,
    ToolUse,
    Usage,
)
from tests.models.remote.fault_server import (
    LAST_CHUNK,
    STREAM,
    UNFRAMED,
    FaultServer,
    Peer,
    Script,
    answer,
    chunked,
    events,
    unpaused,
)
from tests.models.remote.fault_server import head as head_of

pytestmark = pytest.mark.anyio

KEY = "sk-far-0123456789/secret"
CHAT = Chat(messages=(Message(role="user", content="hi"),))
TOOLED = CHAT.model_copy(update={"tools": tuple(ToolSpec(name=name) for name in ("add", "now", "f"))})
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}}
GOOD = events(delta("Hel"), delta("lo"), delta(finish="stop"), USAGE, "[DONE]")
WHOLE = {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}


def remote(url: str, timeout_s: float = 5.0, extra: Mapping[str, JsonValue] | None = None) -> RemoteModel:
    return RemoteModel(url, "served", name="far", api_key_env="FAR_KEY", timeout_s=timeout_s, extra=extra)


async def ask(url: str, chat: Chat = TOOLED) -> tuple[ChatReply, list[str]]:
    pieces: list[str] = []
    async with remote(url) as model:
        return await unpaused(model, chat, pieces.append), pieces


async def fail(url: str, timeout_s: float = 5.0, chat: Chat = TOOLED) -> AiosError:
    """The error of a call, after the checks that hold for every one of them."""
    pieces: list[str] = []
    async with remote(url, timeout_s) as model:
        began = anyio.current_time()
        with pytest.raises(AiosError) as caught:
            await unpaused(model, chat, pieces.append)
        assert anyio.current_time() - began < timeout_s + 1
        shown = repr(model)
    error = caught.value
    trace = "".join(traceback.format_exception(error))
    for text in (str(error), repr(error), json.dumps(error.to_wire()), trace, shown):
        assert KEY not in text
    assert error.message.startswith(f"model 'far' at {url.removesuffix('/v1')}")
    return error


async def test_a_stream_is_emitted_and_whole() -> None:
    with FaultServer([STREAM + chunked(GOOD) + LAST_CHUNK]) as server:
        reply, pieces = await ask(server.url, CHAT)
    assert pieces == ["Hel", "lo"]
    assert reply == ChatReply(text="Hello", model="far", usage=Usage(prompt_tokens=7, completion_tokens=2))
    request = server.seen[0]
    assert request.line == "POST /v1/chat/completions HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json() == {
        "model": "served",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 256,
        "temperature": 0.0,
        "top_p": 1.0,
    }


async def test_every_field_of_a_call_reaches_the_server() -> None:
    use = ToolUse(id="call_1", name="add", arguments={"a": 1})
    chat = Chat(
        messages=(
            Message(role="system", content="be brief"),
            Message(role="assistant", tool_uses=(use,)),
            Message(role="tool", content="2", tool_use_id="call_1"),
        ),
        tools=(ToolSpec(name="add", description="adds"),),
        tool_choice="required",
        response_schema={"type": "object"},
        sampling=Sampling(temperature=0.5, top_p=0.9, top_k=5, min_p=0.1, repeat_penalty=1.1, seed=3),
        stop=("END",),
        max_tokens=9,
    )
    with FaultServer([STREAM + chunked(GOOD) + LAST_CHUNK]) as server:
        async with remote(server.url, extra={"max_tokens": None, "max_completion_tokens": 9}) as model:
            await model.generate(chat, None, 1, lambda _: None)
    sent = server.seen[0].json()
    assert sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}},
            ],
        },
        {"role": "tool", "content": "2", "tool_call_id": "call_1"},
    ]
    function = {"name": "add", "description": "adds", "parameters": {"type": "object", "properties": {}}}
    assert sent["tools"] == [{"type": "function", "function": function}]
    assert sent["tool_choice"] == "required"
    schema = {"name": "reply", "schema": {"type": "object"}, "strict": True}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": schema}
    rest = {key: sent[key] for key in ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "stop")}
    expected = {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "repeat_penalty": 1.1, "seed": 3}
    assert rest == expected | {"stop": ["END"]}
    assert sent["max_completion_tokens"] == 9
    assert "max_tokens" not in sent


async def test_a_schema_that_is_no_json_is_refused_before_it_is_sent() -> None:
    with FaultServer([b""]) as server:
        async with remote(server.url) as model:
            with pytest.raises(BadRequest, match="schema is not JSON"):
                await model.generate(CHAT.model_copy(update={"response_schema": {"a": object()}}), None, None, print)
    assert server.seen == []


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_unicode_split_across_chunks(size: int) -> None:
    text = "Grüße, 世界 🙂\u2028"
    body = events(delta(text), delta(finish="stop"), "[DONE]")
    with FaultServer([STREAM + chunked(body, size) + LAST_CHUNK]) as server:
        reply, _ = await ask(server.url)
    assert reply.text == text


async def test_crlf_comments_other_fields_and_split_data() -> None:
    body = b': hello\r\nevent: x\r\nid: 1\r\ndata: {"choices":\r\ndata:[]}\r\n\r\n\r\n' + GOOD.replace(b"\n", b"\r\n")
    with FaultServer([UNFRAMED + body]) as server:
        reply, pieces = await ask(server.url)
    assert (reply.text, pieces) == ("Hello", ["Hel", "lo"])


async def test_a_clean_end_after_the_finish_reason_needs_no_done() -> None:
    with FaultServer([UNFRAMED + events(delta("Hello"), delta(finish="stop"))]) as server:
        reply, _ = await ask(server.url)
    assert reply.text == "Hello"


async def test_plain_json_instead_of_a_stream() -> None:
    with FaultServer([answer(200, WHOLE | {"usage": {"prompt_tokens": 1}})]) as server:
        reply, pieces = await ask(server.url)
    assert pieces == ["Hello"]
    assert reply == ChatReply(text="Hello", model="far", usage=Usage(prompt_tokens=1))


def call(index: int | None, id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


TWO_USES = (ToolUse(id="a", name="add", arguments={"x": 1}), ToolUse(id="b", name="now"))


@pytest.mark.parametrize("finish", ["tool_calls", "function_call", "stop"])
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(
            [
                [call(0, "a", "add", "")],
                [call(0, None, None, '{"x"'), call(1, "b", "now", None)],
                [call(0, None, None, ":1}"), call(1, None, None, "{}")],
            ],
            id="split",
        ),
        pytest.param([[call(0, "a", "add", '{"x":1}')], [call(0, "b", "now", "")]], id="every index 0"),
        pytest.param([[call(None, "a", "add", '{"x":1}'), call(None, "b", "now", "{}")]], id="no index"),
    ],
)
async def test_tool_calls(parts: list[list[dict[str, Any]]], finish: str) -> None:
    body = events(*(delta(tool_calls=part) for part in parts), delta(finish=finish), "[DONE]")
    with FaultServer([STREAM + chunked(body) + LAST_CHUNK]) as server:
        reply, pieces = await ask(server.url)
    assert pieces == []
    assert reply == ChatReply(text="", tool_uses=TWO_USES, finish="tool_use", model="far")


async def test_a_tool_call_in_plain_json_without_an_id() -> None:
    message = {"content": None, "tool_calls": [{"type": "function", "function": {"name": "now", "arguments": "{}"}}]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    with FaultServer([answer(200, body)]) as server:
        reply, _ = await ask(server.url)
    assert reply.tool_uses == (ToolUse(id="call_0", name="now"),)


async def test_length() -> None:
    with FaultServer([UNFRAMED + events(delta("Hel", finish="length"), "[DONE]")]) as server:
        reply, _ = await ask(server.url)
    assert (reply.text, reply.finish) == ("Hel", "length")


async def test_a_connection_serves_call_after_call() -> None:
    def keep(peer: Peer) -> bool:
        peer.send(STREAM + chunked(GOOD) + LAST_CHUNK)
        return True

    with FaultServer([keep]) as server:
        async with remote(server.url) as model:
            for _ in range(3):
                assert (await unpaused(model, CHAT, lambda _: None)).text == "Hello"
    assert (len(server.seen), server.connections) == (3, 1)


async def test_a_stream_held_open_after_done_does_not_hold_the_reply() -> None:
    def hold(peer: Peer) -> None:
        peer.send(STREAM + chunked(GOOD))
        peer.gone()

    with FaultServer([hold]) as server:
        reply, _ = await ask(server.url)
    assert reply.text == "Hello"


async def test_cancelling_closes_the_connection() -> None:
    left: list[bool] = []

    def hold(peer: Peer) -> None:
        peer.send(STREAM + chunked(events(delta("Hel"))))
        left.append(peer.gone(5))

    with FaultServer([hold]) as server:
        async with remote(server.url) as model:
            with anyio.CancelScope() as scope:
                await unpaused(model, CHAT, lambda _: scope.cancel())
            assert scope.cancelled_caught
            assert model.healthy
    assert left == [True]


# -- no answer in time


def silence(peer: Peer) -> None:
    peer.gone()


def drip_headers(peer: Peer) -> None:
    peer.drip(*[bytes([byte]) for byte in STREAM + 10_000 * b"x"])


def drip_tokens(peer: Peer) -> None:
    peer.drip(STREAM, *10_000 * [chunked(events(delta("x")))])


def drip_error(peer: Peer) -> None:
    peer.drip(head_of(500), *10_000 * [b"x"])


@pytest.mark.parametrize("script", [silence, drip_headers, drip_tokens, drip_error])
async def test_the_deadline_ends_every_silence_and_drip(script: Script) -> None:
    with FaultServer([script]) as server:
        error = await fail(server.url, timeout_s=0.3)
    assert isinstance(error, ModelFailed)
    assert "no answer within 0.3 s" in error.message


async def test_the_deadline_ends_a_stalled_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # never accepts: the TLS handshake waits for ever
        error = await fail(f"https://127.0.0.1:{listener.getsockname()[1]}/v1", timeout_s=0.3)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(1)
            while connection.recv(4096):  # until the client has closed it, which is at once
                pass
    assert "no answer within 0.3 s" in error.message


# -- no connection


async def test_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await fail(f"http://127.0.0.1:{port}/v1")
    assert isinstance(error, ModelFailed)
    assert "cannot connect" in error.message


async def test_no_such_host() -> None:
    error = await fail("http://no-such-host.invalid/v1", timeout_s=3)
    assert isinstance(error, ModelFailed)


async def test_no_tls() -> None:
    with FaultServer([b""], greeting=answer(400, "speak TLS? no")) as server:
        error = await fail(server.url.replace("http:", "https:"))
    assert isinstance(error, ModelFailed)
    assert "cannot connect" in error.message


# -- refusals


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_call_is_a_bad_request_with_the_servers_words(status: int) -> None:
    said = f"no\x1b[31m such\r\nfield {KEY} in Authorization: Bearer {KEY} " + 1000 * "!"
    with FaultServer([answer(status, {"error": {"message": said}})]) as server:
        error = await fail(server.url)
    assert isinstance(error, BadRequest)
    assert error.data["status"] == status
    assert "no [31m such field [secret] in [secret] !!!" in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_names_its_variable_only(status: int) -> None:
    with FaultServer([answer(status, {"error": f"Incorrect key provided: {KEY}"})]) as server:
        error = await fail(server.url)
    assert isinstance(error, ModelFailed)
    assert error.message.endswith("check the API key in FAR_KEY")


async def test_404_says_what_to_check() -> None:
    with FaultServer([answer(404, {"detail": "Not Found"})]) as server:
        error = await fail(server.url)
    assert isinstance(error, ModelFailed)
    assert "HTTP 404: Not Found; check that base_url" in error.message
    assert "'served'" in error.message


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "Retry-After: 7", 7.0),
        (503, "Retry-After: 0.5", 0.5),
        (503, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (429, "Retry-After: soon", None),
        (429, "Retry-After: 1e999", None),
        (429, "X-Other: 1", None),
        (500, "X-Other: 1", None),
    ],
)
async def test_overload_and_server_errors(status: int, header: str, seconds: float | None) -> None:
    with FaultServer([answer(status, f"<html>{KEY}", header)]) as server:
        error = await fail(server.url)
    assert isinstance(error, ModelFailed)
    assert f"HTTP {status}: <html>[secret]; try again later" in error.message
    assert error.data == {"status": status} | ({} if seconds is None else {"retry_after_s": seconds})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    with FaultServer([b""]) as other, FaultServer([answer(status, b"", f"Location: {other.url}")]) as server:
        error = await fail(server.url)
    assert isinstance(error, ModelFailed)
    assert "redirects" in error.message
    assert (other.connections, len(server.seen)) == (0, 1)


# -- broken answers

CALL = delta(tool_calls=[call(0, "a", "add", "{")])
TOO_DEEP = '{"a":' + 70 * "[" + 70 * "]" + "}"
COMMENT = b":" + b"x" * (MIB // 2) + b"\n"
ENDLESS = b"data: " + b"x" * MIB


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (b"", "disconnected without sending a response"),
        (b"nonsense\r\n\r\n", "the exchange broke off"),
        (head_of(200, "X: " + 70_000 * "x") + b"{}", "headers are over 65536 bytes"),
        (head_of(200, "X: " + 200_000 * "x"), "the exchange broke off"),
        (answer(204), "not a chat completion"),
        (answer(200, "not json"), "Invalid JSON"),
        (answer(200, 100_000 * "["), "Invalid JSON"),
        (answer(200, {"answer": 42}), "choices: Field required"),
        (answer(200, {"choices": [{"message": {"content": 42}}]}), "choices.0.message.content"),
        (answer(200, {"choices": []}), "was cut off"),
        (answer(200, {"choices": 60_000 * [{}]}), "over 100000 parts"),
        (answer(200, {"error": {"message": f"out of memory {KEY}"}}), r"error: out of memory \[secret\]"),
        (answer(200, json.dumps(WHOLE))[:-9], "the exchange broke off"),
        (answer(200, 17 * MIB * " "), "answer is over 16777216 bytes"),
        (answer(200, gzip.compress(17 * MIB * b" "), "Content-Encoding: gzip"), "answer is compressed"),
        (UNFRAMED + events(delta("Hel")), "was cut off"),
        (UNFRAMED + events(delta("Hel")) + b'data: {"choices"', "was cut off"),
        (STREAM + chunked(events(delta("Hel"))), "the exchange broke off"),
        (STREAM + chunked(events(delta("Hel"))) + b"ffff\r\ndata", "the exchange broke off"),
        (STREAM + chunked(events(delta("Hel"))) + LAST_CHUNK, "was cut off"),
        (UNFRAMED + events(delta("Hel"), '{"choices": ['), "Invalid JSON"),
        (UNFRAMED + events(delta("Hel"), {"choices": {}}), "not a chat completion: choices"),
        (UNFRAMED + events(delta("Hel"), {"error": "overloaded"}), "reported an error: overloaded"),
        (UNFRAMED + events(delta("Hel", finish="content_filter")), "finish reason 'content_filter'"),
        (UNFRAMED + events({"choices": [], "usage": {"prompt_tokens": -1}}), "was cut off"),
        (UNFRAMED + 2 * ENDLESS, "line of over 1048576 bytes"),
        (UNFRAMED + 40 * COMMENT, "answer is over 16777216 bytes"),
        (UNFRAMED + events(CALL, delta(finish="tool_calls")), "'add' has broken arguments"),
        (UNFRAMED + events(CALL, delta(finish="length")), "raise max_tokens"),
        (UNFRAMED + events(delta(finish="tool_calls")), "announced a tool call and sent none"),
        (UNFRAMED + events(delta(tool_calls=[call(0, "a", "", "")], finish="stop")), "a tool without a name"),
        (UNFRAMED + events(delta(tool_calls=[call(0, "a", "f", "[1]")], finish="stop")), "broken arguments"),
        (UNFRAMED + events(delta(tool_calls=[call(0, "a", "f", TOO_DEEP)], finish="stop")), "at most 64 levels"),
        (UNFRAMED + events(*3 * [delta(tool_calls=[call(0, "a", "f", 100_000 * " ")])]), "over 262144 bytes"),
        (UNFRAMED + events(delta(tool_calls=[call(i, "", "f", "") for i in range(200)])), "over 128 tool calls"),
    ],
)
async def test_a_broken_answer_is_a_model_failure(script: bytes, why: str) -> None:
    with FaultServer([script]) as server:
        error = await fail(server.url)
    assert isinstance(error, ModelFailed)
    with pytest.raises(ModelFailed, match=why):
        raise error


# -- keys


@pytest.mark.parametrize("value", [None, "", "two words", "line\nbreak", "schlüssel"])
async def test_without_a_usable_key_nothing_is_sent(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAR_KEY") if value is None else monkeypatch.setenv("FAR_KEY", value)
    with FaultServer([b""]) as server:
        error = await fail(server.url)
    assert "variable FAR_KEY holds no API key" in error.message
    assert value is None or value == "" or value not in str(error)
    assert server.connections == 0


async def test_no_key_is_sent_where_none_is_configured() -> None:
    with FaultServer([answer(200, WHOLE)]) as server:
        async with RemoteModel(server.url, "served") as model:
            reply = await unpaused(model, CHAT, lambda _: None)
    assert reply.model == model.name == "served"
    assert "authorization" not in server.seen[0].headers


async def test_cookies_and_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer([b""]) as proxy, FaultServer([answer(200, WHOLE, "Set-Cookie: a=1; Path=/")]) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        monkeypatch.setenv("ALL_PROXY", proxy.origin)
        async with remote(server.url) as model:
            await unpaused(model, CHAT, lambda _: None)
            await unpaused(model, CHAT, lambda _: None)
    assert proxy.connections == 0
    assert "cookie" not in server.seen[1].headers


@pytest.mark.parametrize("text", ["Bearer abc.def", "basic YTpi", "Authorization: Token abc", '"authorization":"abc"'])
async def test_scrub_removes_what_looks_like_a_secret(text: str) -> None:
    assert "abc" not in scrub(f"sent {text} to us", "")
    assert "YTpi" not in scrub(f"sent {text} to us", "")


async def test_scrub_never_cuts_a_key_in_two() -> None:
    for padding in range(MAX_QUOTE - len(KEY), MAX_QUOTE):
        assert KEY[:7] not in scrub("x" * padding + " " + KEY, KEY)
    for padding in range(MAX_ERROR_BYTES - len(KEY), MAX_ERROR_BYTES):
        assert KEY[:7] not in scrub(" " * padding + KEY, KEY)


# -- health and misuse


async def test_failures_in_a_row_make_it_unhealthy_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(anyio, "current_time", lambda: now)
    bad, good = answer(500), answer(200, WHOLE)
    with FaultServer([bad, bad, answer(400), *MAX_FAILURES * [bad], bad, good, bad]) as server:
        async with remote(server.url) as model:

            async def call() -> bool:
                with suppress(ModelFailed, BadRequest):
                    await unpaused(model, CHAT, lambda _: None)
                return model.healthy

            assert [await call() for _ in range(3)] == [True, True, True]
            assert [await call() for _ in range(MAX_FAILURES)] == [True, True, False]
            now += COOL_DOWN_S
            assert model.healthy
            assert not await call()
            now += COOL_DOWN_S
            assert [await call() for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    "url", ["", "host/v1", "ftp://host", "http://", "http://user:pw@host/v1", "http://h:x/", "http://h:65536"]
)
async def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(BadRequest) as caught:
        RemoteModel(url, "served")
    assert caught.value.field == "base_url"
    assert "pw" not in str(caught.value)


async def test_misuse_is_our_bug() -> None:
    with pytest.raises(KernelBug, match="before it was entered"):
        await remote("http://127.0.0.1:1/v1").generate(CHAT, None, None, lambda _: None)


async def test_a_snapshot_is_our_bug() -> None:
    snapshot = await ScriptedModel("a b").generate(CHAT, None, 1, lambda _: None)
    assert isinstance(snapshot, Snapshot)
    async with remote("http://127.0.0.1:1/v1") as model:
        with pytest.raises(KernelBug, match="cannot continue a Scripted"):
            await model.generate(CHAT, snapshot, None, lambda _: None)


def test_a_schema_can_go_the_older_way() -> None:
    body = request_body(CHAT.model_copy(update={"response_schema": {"type": "object"}}), "m", {}, json_object=True)
    assert json.loads(body)["response_format"] == {"type": "json_object", "schema": {"type": "object"}}


def test_a_grammar_goes_only_to_who_asked_for_it() -> None:
    assert "grammar" not in json.loads(request_body(CHAT, "m", {}))
    body = request_body(CHAT.model_copy(update={"grammar": 'root ::= "a"'}), "m", {})
    assert json.loads(body)["grammar"] == 'root ::= "a"'


EXTRA = {"user": "me", "model": "stolen", "messages": [], "temperature": 2, "base_url": "x"}


def test_a_clients_own_fields_reach_a_server_of_its_protocol_and_never_replace_ours() -> None:
    chat = CHAT.model_copy(update={"extra": ExtraFields(protocol="openai", fields=EXTRA)})
    told = json.loads(request_body(chat, "m", {"user": None}))
    assert "user" not in told  # the configuration has the last word
    told = json.loads(request_body(chat, "m", {}))
    plain = json.loads(request_body(CHAT, "m", {}))
    assert {name: told[name] for name in told if name not in plain} == {"user": "me", "base_url": "x"}
    assert {name: told[name] for name in plain} == plain
    other = CHAT.model_copy(update={"extra": ExtraFields(protocol="anthropic", fields=EXTRA)})
    assert json.loads(request_body(other, "m", {})) == plain


def test_one_tool_call_at_most_is_said_to_the_server() -> None:
    chat = CHAT.model_copy(update={"tools": (ToolSpec(name="add"),), "parallel_tool_calls": False})
    assert json.loads(request_body(chat, "m", {}))["parallel_tool_calls"] is False
    assert json.loads(anthropic_wire.request_body(chat, "m", {}))["tool_choice"]["disable_parallel_tool_use"] is True
