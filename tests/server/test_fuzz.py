"""Every route with bodies, headers and paths that nobody has thought of: no fault of ours, every error in its shape."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.conftest import TOKEN, Serve, Served
from tests.server.published import check

CASES = settings(
    max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TOOL = {
    "name": "add",
    "description": "Add.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}
PIXEL = {"url": "data:image/png;base64,AAAA"}
CALL = {"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CHAT: dict[str, Any] = {
    "model": "any",
    "messages": [
        {"role": "system", "content": "x"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": PIXEL}],
        },
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "y"},
        {"role": "tool", "tool_call_id": "c", "content": "z"},
    ],
    "tools": [{"type": "function", "function": TOOL}],
    "tool_choice": {"type": "function", "function": {"name": "add"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "max_tokens": 5,
    "max_completion_tokens": 6,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 3,
    "min_p": 0.1,
    "seed": 1,
    "n": 2,
    "stop": ["q"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "prompt_cache_key": "k",
}
BLOCKS = [
    {"type": "text", "text": "a"},
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "later"}]},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "b"}]}, "title": "t"},
    {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "c"}]},
]
SAID = [
    {"type": "thinking", "thinking": "h", "signature": "s"},
    {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}},
]
MESSAGES: dict[str, Any] = {
    "model": "any",
    "system": [{"type": "text", "text": "x-anthropic-billing-header: a"}, {"type": "text", "text": "b"}],
    "messages": [{"role": "assistant", "content": SAID}, {"role": "user", "content": BLOCKS}],
    "tools": [
        {"name": "add", "input_schema": {"type": "object"}},
        {"name": "later", "input_schema": {"type": "object"}, "defer_loading": True},
    ],
    "tool_choice": {"type": "tool", "name": "add"},
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    "metadata": {"user_id": '{"session_id": "s"}'},
    "thinking": {"type": "enabled", "budget_tokens": 9},
    "max_tokens": 5,
    "temperature": 0.5,
    "stop_sequences": ["q"],
    "stream": False,
}
EMBEDDINGS: dict[str, Any] = {"model": "any", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 3}
BODIES = [
    ("/v1/chat/completions", CHAT),
    ("/v1/messages", MESSAGES),
    ("/v1/messages/count_tokens", MESSAGES),
    ("/v1/embeddings", EMBEDDINGS),
]

leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "text", "user", "tool_result", "image", "function", "none", "tool", "data:image/png;base64,%"]
    ),
    st.text(max_size=6),
)
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a body, as a container and a key of it."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(entries):
        yield value, key
        yield from places(inner)


def spoil(data: st.DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """A copy of a good body with some places changed or taken out."""
    spoilt = copy.deepcopy(body)
    for _ in range(data.draw(st.integers(0, 3))):
        found = list(places(spoilt))
        if not found:
            break
        container, key = found[data.draw(st.integers(0, len(found) - 1))]
        if isinstance(container, dict) and data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = data.draw(anything)
    return spoilt


Post = Callable[..., httpx2.Response]


@pytest.fixture
def post(serve: Serve) -> Iterator[Post]:
    """Sends requests to one application, from a test that is no coroutine."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Served]:
        async with serve("pong") as served:
            yield served

    def portal_post(portal: BlockingPortal, served: Served) -> Post:
        async def send(method: str, path: str, content: bytes, headers: dict[str, str]) -> httpx2.Response:
            return await served.client.request(method, path, content=content, headers=headers)

        return lambda *request: portal.call(send, *request)

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opened()) as served:
        yield portal_post(portal, served)


def check_answer(path: str, response: httpx2.Response) -> None:
    """Fails for a fault of ours, and for an error in another shape than its protocol's."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400 and response.request.method != "HEAD":
        check(
            *("anthropic", "ErrorResponse") if "/messages" in path else ("openai_chat", "ErrorResponse"),
            response.json(),
        )


@CASES
@pytest.mark.parametrize(("path", "body"), BODIES, ids=[path for path, _ in BODIES])
@given(data=st.data())
def test_a_spoilt_body_is_answered_or_refused(post: Post, path: str, body: Any, data: st.DataObject) -> None:
    sent = json.dumps(spoil(data, body)).encode()
    check_answer(path, post("POST", path, sent, {"Content-Type": "application/json"}))


@pytest.mark.parametrize(("path", "body"), BODIES, ids=[path for path, _ in BODIES])
def test_a_body_that_is_not_spoilt_is_answered(post: Post, path: str, body: Any) -> None:
    response = post("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    assert response.status_code == 200, response.text


header = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
names = ["Host", "Origin", "Authorization", "x-api-key", "Content-Type", "Content-Encoding", "User-Agent", "session-id"]
values = st.sampled_from(["gzip", "deflate", "Basic x", f"Bearer {TOKEN}", "application/json", "localhost", "null"])
methods = st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "TRACE"])
paths = st.sampled_from(
    ["/v1/models", "/v1/models/x", "/v1/responses", "/v1/messages", "/v1/embeddings", "/t/x/v1/models"]
)


@CASES
@given(
    method=methods,
    path=paths,
    content=st.binary(max_size=30),
    headers=st.dictionaries(st.sampled_from(names), header | values, max_size=3),
)
def test_any_request_is_answered_in_a_shape(
    post: Post, method: str, path: str, content: bytes, headers: dict[str, str]
) -> None:
    try:
        response = post(method, path, content, headers)
    except httpx2.InvalidURL:
        return
    check_answer(response.url.path if "/t/" not in path else path, response)
