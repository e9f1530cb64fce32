"""Chat and messages, whole and streamed: their texts, and every body and event by the published schemas."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from aios_syscalls import ChatReply, ToolUse, Usage
from tests.server.conftest import Serve, Served
from tests.server.published import check, events, missing

pytestmark = pytest.mark.anyio

CHAT: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "ping"}]}
MESSAGES: dict[str, Any] = {**CHAT, "max_tokens": 64}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
USAGE = Usage(prompt_tokens=9, completion_tokens=4, cached_tokens=5)
USES = (ToolUse(id="x", name="add", arguments={"a": 4, "b": [1, "é"]}), ToolUse(id="y", name="look"))

TEXT = ChatReply(text="pong is here", usage=USAGE)
THOUGHT = ChatReply(text="pong is here", reasoning="they said ping", usage=USAGE)
TOOLS = ChatReply(text="I add. ", tool_uses=USES, finish="tool_use", usage=USAGE)
ONLY_TOOLS = ChatReply(text="", tool_uses=USES, finish="tool_use", usage=USAGE)
CUT = ChatReply(text="pong is", finish="length", usage=USAGE)
CUT_IN_CALL = ChatReply(text="I add. ", tool_uses=USES, finish="length", usage=USAGE)
EMPTY = ChatReply(text="", usage=USAGE)
ALL = [TEXT, THOUGHT, TOOLS, ONLY_TOOLS, CUT, CUT_IN_CALL, EMPTY]
NAMES = ["text", "thought", "tools", "only tools", "cut", "cut in a call", "empty"]
every_reply = pytest.mark.parametrize("reply", ALL, ids=NAMES)


async def stream(served: Served, path: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    response = await served.post(path, body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events(response.text)


def block_of(told: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The content that a stream of messages comes to."""
    blocks: list[dict[str, Any]] = []
    for name, data in told:
        if name == "content_block_start":
            assert data["index"] == len(blocks)
            blocks.append({**data["content_block"], "json": ""})
        elif name == "content_block_delta":
            assert data["index"] == len(blocks) - 1
            delta = data["delta"]
            block = blocks[-1]
            if delta["type"] == "input_json_delta":
                block["json"] += delta["partial_json"]
            else:
                [field] = set(delta) - {"type"}
                block[field] += delta[field]
    return blocks


@every_reply
async def test_a_whole_chat_has_every_published_field(serve: Serve, reply: ChatReply) -> None:
    async with serve(reply) as served:
        body = (await served.post("/v1/chat/completions", CHAT)).json()
    check("openai_chat", "CreateChatCompletionResponse", body)
    assert not missing("openai_chat", "CreateChatCompletionResponse", body)
    message = body["choices"][0]["message"]
    assert not missing("openai_chat", "ChatCompletionResponseMessage", message)
    assert not missing("openai_chat", "CompletionUsage", body["usage"])
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 5
    assert (message["content"] or "") == reply.text
    assert message.get("reasoning_content", "") == reply.reasoning


@every_reply
async def test_every_chunk_of_a_chat_is_as_published(serve: Serve, reply: ChatReply) -> None:
    async with serve(reply) as served:
        told = await stream(served, "/v1/chat/completions", {**CHAT, **STREAMED})
    assert told[-1] == ("", "[DONE]")
    chunks = [data for _, data in told[:-1]]
    for chunk in chunks:
        check("openai_chat", "CreateChatCompletionStreamResponse", chunk)
        assert not missing("openai_chat", "CreateChatCompletionStreamResponse", chunk)
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert "".join(delta.get("content") or "" for delta in deltas) == reply.text
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == reply.reasoning
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 13)
    assert chunks[-1]["aios"]["cached_tokens"] == 5
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] is not None


@every_reply
async def test_a_whole_message_has_every_published_field(serve: Serve, reply: ChatReply) -> None:
    async with serve(reply) as served:
        body = (await served.post("/v1/messages?beta=true", MESSAGES)).json()
    check("anthropic", "Message", body)
    assert not missing("anthropic", "Message", body)
    assert not missing("anthropic", "Usage", body["usage"])
    assert (body["usage"]["input_tokens"], body["usage"]["cache_read_input_tokens"]) == (4, 5)
    assert "".join(block["text"] for block in body["content"] if block["type"] == "text") == reply.text
    thoughts = [block["thinking"] for block in body["content"] if block["type"] == "thinking"]
    assert thoughts == ([reply.reasoning] if reply.reasoning else [])


@every_reply
async def test_every_event_of_a_message_is_as_published(serve: Serve, reply: ChatReply) -> None:
    async with serve(reply) as served:
        told = await stream(served, "/v1/messages", {**MESSAGES, "stream": True})
    assert told[1] == ("ping", {"type": "ping"})
    for name, data in told:
        assert name == data["type"]
        if name != "ping":
            check("anthropic", "MessageStreamEvent", data)
    start, end = told[0][1], told[-2][1]
    check("anthropic", "Message", start["message"])
    assert not missing("anthropic", "MessageDelta", end["delta"])
    assert not missing("anthropic", "MessageDeltaUsage", end["usage"])
    names = [name for name, _ in told]
    assert (names[0], names[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert names.count("content_block_start") == names.count("content_block_stop")
    assert "".join(block["text"] for block in block_of(told) if block["type"] == "text") == reply.text


async def test_a_text_goes_out_as_it_comes(serve: Serve) -> None:
    async with serve("pong is here") as served:
        told = await stream(served, "/v1/chat/completions", {**CHAT, "stream": True})
    contents = [choice["delta"].get("content") for _, data in told[:-1] for choice in data["choices"]]
    assert contents == ["", "pong ", "is ", "here", None]


async def test_a_tool_call_is_one_delta_with_whole_arguments(serve: Serve) -> None:
    async with serve(TOOLS) as served:
        chunks = await stream(served, "/v1/chat/completions", {**CHAT, "stream": True})
        blocks = block_of(await stream(served, "/v1/messages", {**MESSAGES, "stream": True}))
    deltas = [choice["delta"] for _, data in chunks[:-1] for choice in data["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert [(call["index"], call["function"]) for call in calls] == [
        (0, {"name": "add", "arguments": '{"a":4,"b":[1,"é"]}'}),
        (1, {"name": "look", "arguments": "{}"}),
    ]
    assert [(block["type"], block.get("name"), block["json"]) for block in blocks] == [
        ("text", None, ""),
        ("tool_use", "add", '{"a":4,"b":[1,"é"]}'),
        ("tool_use", "look", "{}"),
    ]


async def test_an_answer_that_was_cut_has_no_tool_call(serve: Serve) -> None:
    async with serve(CUT_IN_CALL) as served:
        chat = (await served.post("/v1/chat/completions", CHAT)).json()["choices"][0]
        message = (await served.post("/v1/messages", MESSAGES)).json()
        chunks = await stream(served, "/v1/chat/completions", {**CHAT, "stream": True})
        told = await stream(served, "/v1/messages", {**MESSAGES, "stream": True})
    assert (chat["finish_reason"], "tool_calls" in chat["message"]) == ("length", False)
    assert (message["stop_reason"], [block["type"] for block in message["content"]]) == ("max_tokens", ["text"])
    assert not any("tool_calls" in choice["delta"] for _, data in chunks[:-1] for choice in data["choices"])
    assert chunks[-2][1]["choices"][0]["finish_reason"] == "length"
    assert [block["type"] for block in block_of(told)] == ["text"]
    assert told[-2][1]["delta"]["stop_reason"] == "max_tokens"


async def test_several_choices_are_several_calls(serve: Serve) -> None:
    texts = iter(["one", "two", "three", "four"])
    async with serve(lambda _: next(texts)) as served:
        body = (await served.post("/v1/chat/completions", {**CHAT, "n": 2, "seed": 7})).json()
        told = await stream(served, "/v1/chat/completions", {**CHAT, **STREAMED, "n": 2})
    assert [choice["message"]["content"] for choice in body["choices"]] == ["one", "two"]
    assert [call.sampling.seed for call in served.model.calls][:2] == [7, 8]
    choices = [choice for _, data in told[:-1] for choice in data["choices"]]
    for index, text in enumerate(["three", "four"]):
        own = [choice for choice in choices if choice["index"] == index]
        assert "".join(choice["delta"].get("content") or "" for choice in own) == text
        assert own[-1]["finish_reason"] == "stop"


async def test_the_headers_name_the_request_and_its_call(serve: Serve) -> None:
    async with serve("pong") as served:
        whole = await served.post("/v1/chat/completions", CHAT)
        streamed = await served.post("/v1/messages", {**MESSAGES, "stream": True})
    for response in (whole, streamed):
        assert response.headers["request-id"] == response.headers["x-request-id"]
        assert response.headers["x-aios-call"].startswith("0.")
    assert whole.json()["aios"]["call"] == whole.headers["x-aios-call"]
    assert events(streamed.text)[-2][1]["aios"]["call"] == streamed.headers["x-aios-call"]


@pytest.mark.parametrize("given", ["one", ["one", "two"]], ids=str)
async def test_embeddings_are_numbers_or_base64(serve: Serve, given: Any) -> None:
    async with serve() as served:
        numbers = (await served.post("/v1/embeddings", {"model": "any", "input": given})).json()
        packed = (
            await served.post("/v1/embeddings", {"model": "x", "input": given, "encoding_format": "base64"})
        ).json()
    check("openai_chat", "CreateEmbeddingResponse", numbers)
    assert [entry["embedding"] for entry in numbers["data"]] == [[0.6, 0.8, 0.0]] * (1 if given == "one" else 2)
    decoded = np.frombuffer(base64.b64decode(packed["data"][0]["embedding"]), "<f4")
    assert decoded.tolist() == np.asarray([0.6, 0.8, 0.0], "<f4").tolist()


async def test_more_texts_than_a_call_takes_are_several_calls(serve: Serve) -> None:
    async with serve() as served:
        body = (await served.post("/v1/embeddings", {"model": "any", "input": ["x"] * 600})).json()
        refused = await served.post("/v1/embeddings", {"model": "any", "input": ["x"] * 2049})
    assert [entry["index"] for entry in body["data"]] == list(range(600))
    assert refused.status_code == 400


async def test_the_models_are_in_both_shapes_at_once(serve: Serve) -> None:
    async with serve() as served:
        body = (await served.client.get("/v1/models")).json()
        one = (await served.client.get("/v1/models/scripted")).json()
        none = await served.client.get("/v1/models/no/such", headers={"anthropic-version": "2023-06-01"})
    check("openai_chat", "ListModelsResponse", body)
    check("anthropic", "ListResponse_ModelInfo_", body)
    check("openai_chat", "Model", one)
    check("anthropic", "ModelInfo", one)
    assert none.status_code == 404
    check("anthropic", "ErrorResponse", none.json())


async def test_tokens_are_counted_without_a_model(serve: Serve) -> None:
    async with serve(tokens=123) as served:
        counted = await served.post("/v1/messages/count_tokens", {**CHAT, "tools": []})
        served.door.tokens = None
        guessed = await served.post("/v1/messages/count_tokens", CHAT)
    check("anthropic", "CountMessageTokensResponse", counted.json())
    assert counted.json() == {"input_tokens": 123}
    assert guessed.json()["input_tokens"] > 0
    assert not served.model.calls


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_custom_tools_call_goes_back_as_it_was_offered(serve: Serve, streamed: bool) -> None:
    reply = ChatReply(
        text="", tool_uses=(ToolUse(id="x", name="patch", arguments={"input": "*** é"}), *USES), finish="tool_use"
    )
    tools = [{"type": "custom", "custom": {"name": "patch"}}, *_functions("add", "look")]
    async with serve(reply) as served:
        if streamed:
            told = await stream(served, "/v1/chat/completions", {**CHAT, "tools": tools, **STREAMED})
            calls = [
                call
                for _, data in told[:-1]
                for each in data["choices"]
                for call in each["delta"].get("tool_calls", [])
            ]
        else:
            body = (await served.post("/v1/chat/completions", {**CHAT, "tools": tools})).json()
            calls = body["choices"][0]["message"]["tool_calls"]
    assert [call["type"] for call in calls] == ["custom", "function", "function"]
    assert calls[0]["custom"] == {"name": "patch", "input": "*** é"}


def _functions(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": name}} for name in names]
