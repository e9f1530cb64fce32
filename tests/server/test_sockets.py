"""The application on a real socket, under the server that the daemon runs it with."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn

from aios.models.scripted import ScriptedModel
from aios.server.http import HttpSettings
from tests.server.conftest import TOKEN, Serve, Served

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 10_000}
PATHS = ["/v1/chat/completions", "/v1/messages"]
HEADERS = {"x-api-key": TOKEN}
LONG = "word " * 5_000


@asynccontextmanager
async def listening(served: Served) -> AsyncIterator[str]:
    """The address of a server that runs the application."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        settings = uvicorn.Config(served.app, log_level="critical", lifespan="off", ws="none", access_log=False)
        server = uvicorn.Server(settings)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [sock])
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
            server.should_exit = server.force_exit = True


async def raw(address: str, *pieces: bytes) -> bytes:
    """What a server answers to bytes, until it closes the connection."""
    host, _, port = address.removeprefix("http://").partition(":")
    answer = b""
    async with await anyio.connect_tcp(host, int(port)) as stream:
        for piece in pieces:
            await stream.send(piece)
        with anyio.move_on_after(5):
            async for chunk in stream:
                answer += chunk
    return answer


def head(path: str, body: bytes, *lines: str, version: str = "1.1") -> bytes:
    told = [f"POST {path} HTTP/{version}", "Host: 127.0.0.1", f"x-api-key: {TOKEN}", "Content-Type: application/json"]
    return "\r\n".join([*told, f"Content-Length: {len(body)}", *lines, "", ""]).encode() + body


@pytest.mark.parametrize("path", PATHS)
async def test_a_stream_that_fails_is_cut_off_and_one_that_ends_is_not(serve: Serve, path: str) -> None:
    model = ScriptedModel([LONG, "pong"], slots=1, delay_s=0.001)
    async with serve(model, settings=HttpSettings(keep_alive_s=0.01, grace_s=0.01)) as served:
        async with listening(served) as address, httpx2.AsyncClient(base_url=address, headers=HEADERS) as client:
            asked = {**BODY, "stream": True}
            async with client.stream("POST", path, json=asked) as before:
                words = before.aiter_bytes()
                while b"word" not in await anext(words):
                    pass
                async with client.stream("POST", path, json=asked) as fine:
                    async with client.stream("POST", path, json=asked) as broken:
                        assert (fine.status_code, broken.status_code) == (200, 200)
                        await before.aclose()  # then one is answered, and for the other no reply is left
                        assert b"pong" in await fine.aread()
                        with pytest.raises(httpx2.RemoteProtocolError):
                            await broken.aread()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_connection_that_closes_cancels_its_call(serve: Serve, stream: bool) -> None:
    async with serve(ScriptedModel([LONG, "pong"], slots=1, delay_s=0.001)) as served, listening(served) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        async with await anyio.connect_tcp(host, int(port)) as connection:
            await connection.send(head(PATHS[0], json.dumps({**BODY, "stream": stream}).encode()))
            while not served.model.calls:
                await anyio.lowlevel.checkpoint()
        async with httpx2.AsyncClient(base_url=address, headers=HEADERS) as client:
            response = await client.post(PATHS[0], json=BODY)
    assert response.json()["choices"][0]["message"]["content"] == "pong"
    assert [event.kind.value for event in served.events if event.n == 1][-1] == "cancelled"


async def test_requests_of_one_connection_are_answered_in_their_order(serve: Serve) -> None:
    texts = iter(["one", "two"])
    body = json.dumps(BODY).encode()
    async with serve(lambda _: next(texts)) as served, listening(served) as address:
        answer = await raw(address, head(PATHS[0], body) + head(PATHS[0], body, "Connection: close"))
    assert answer.count(b"200 OK") == 2
    assert answer.index(b'"one"') < answer.index(b'"two"')


async def test_an_old_client_is_answered_too(serve: Serve) -> None:
    async with serve("pong") as served, listening(served) as address:
        answer = await raw(address, head(PATHS[0], json.dumps(BODY).encode(), version="1.0"))
    assert b"200 OK" in answer
    assert b'"pong"' in answer


async def test_two_lengths_of_one_body_are_refused(serve: Serve) -> None:
    body = json.dumps(BODY).encode()
    async with serve("pong") as served, listening(served) as address:
        answer = await raw(address, head(PATHS[0], body, "Content-Length: 3", "Connection: close"))
    assert b" 400 " in answer
    assert not served.model.calls


async def test_a_body_that_is_too_large_is_refused_before_it_has_come(serve: Serve) -> None:
    async with serve("pong", settings=HttpSettings(max_body=100)) as served, listening(served) as address:
        answer = await raw(address, head(PATHS[1], b"", "Connection: close").replace(b"Length: 0", b"Length: 999999"))
    assert b" 413 " in answer
    assert b'"type":"error"' in answer


async def test_an_upgrade_is_426(serve: Serve) -> None:
    request = "GET /v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
    keys = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    async with serve("pong") as served, listening(served) as address:
        answer = await raw(address, (request + keys).encode())
    assert b" 426 " in answer
