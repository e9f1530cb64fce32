"""Chat and messages, whole and streamed, in the shapes of their protocols."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.conftest import Serve

pytestmark = pytest.mark.anyio

CHAT = {"model": "any", "messages": [{"role": "user", "content": "ping"}]}
MESSAGES = {**CHAT, "max_tokens": 64}


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, each as its name and its data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in fields:
            data = fields["data"]
            found.append((fields.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return found


async def test_a_chat_is_answered_whole(serve: Serve) -> None:
    async with serve("pong is here") as served:
        response = await served.post("/v1/chat/completions", CHAT)
    body = response.json()
    assert response.status_code == 200
    assert body["choices"][0]["message"]["content"] == "pong is here"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 3


async def test_a_chat_is_streamed_a_piece_an_event(serve: Serve) -> None:
    async with serve("pong is here") as served:
        asked = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
        told = events((await served.post("/v1/chat/completions", asked)).text)
    chunks = [data for _, data in told[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [delta.get("content") for delta in deltas] == ["", "pong ", "is ", "here", None]
    assert deltas[0]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 4)
    assert told[-1] == ("", "[DONE]")


async def test_a_message_is_answered_whole(serve: Serve) -> None:
    async with serve("pong is here") as served:
        body = (await served.post("/v1/messages?beta=true", MESSAGES)).json()
    assert body["content"] == [{"type": "text", "text": "pong is here", "citations": None}]
    assert (body["stop_reason"], body["usage"]["output_tokens"]) == ("end_turn", 3)


async def test_a_message_is_streamed_as_blocks(serve: Serve) -> None:
    async with serve("pong is here") as served:
        told = events((await served.post("/v1/messages", {**MESSAGES, "stream": True})).text)
    names = ["message_start", "ping", "content_block_start", *3 * ["content_block_delta"]]
    names += ["content_block_stop", "message_delta", "message_stop"]
    assert [name for name, _ in told] == [data["type"] for _, data in told] == names
    assert "".join(data["delta"]["text"] for name, data in told if name == "content_block_delta") == "pong is here"
    assert told[-2][1]["delta"]["stop_reason"] == "end_turn"
