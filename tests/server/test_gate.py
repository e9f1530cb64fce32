"""What is refused before anything else: hosts, origins, tokens, methods, paths, bodies."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
import zlib
from typing import Any

import anyio
import httpx2
import pytest
import zstandard

from aios.server.door import killed
from aios.server.http import HttpSettings
from aios.server.http.body import unpacked
from aios.server.http.refusal import HttpRefusal
from aios_syscalls import AiosError, BudgetExceeded, Cancelled, Denied, KernelBug, ModelFailed, NotFound, Overloaded
from tests.server.conftest import TOKEN, Serve
from tests.server.published import check

pytestmark = pytest.mark.anyio

CHAT: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "ping"}]}
WIRES = ["/v1/chat/completions", "/v1/messages", "/v1/embeddings"]
JSON = {"Content-Type": "application/json"}
both = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])


def check_error(response: httpx2.Response) -> dict[str, Any]:
    """The error of a response, which is in the shape of its path's protocol."""
    body = response.json()
    anthropic = "/messages" in response.url.path
    check("anthropic" if anthropic else "openai_chat", "ErrorResponse", body)
    if anthropic:
        assert body["request_id"] == response.headers["request-id"]
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer   {TOKEN}"},
        {"x-api-key": TOKEN},
        {"Authorization": "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()},
        {"Authorization": "Bearer wrong", "x-api-key": TOKEN},
    ],
    ids=["bearer", "lower case", "x-api-key", "basic", "the second of two"],
)
async def test_the_token_comes_in_a_header(serve: Serve, headers: dict[str, str]) -> None:
    async with serve() as served:
        served.client.headers.pop("Authorization")
        assert (await served.client.get("/v1/models", headers=headers)).status_code == 200


async def test_the_token_comes_in_the_path_and_leaves_it(serve: Serve) -> None:
    scopes: list[Any] = []
    async with serve() as served:

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            await served.app(scope, receive, send)
            scopes.append(scope)

        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(watched), base_url="http://localhost") as client:
            response = await client.post(f"/t/{TOKEN}/v1/messages?beta=true", json={**CHAT, "max_tokens": 9})
            refused = await client.get("/t/wrong/v1/models")
    assert (response.status_code, refused.status_code) == (200, 401)
    assert all(TOKEN not in f"{scope['path']}{scope['raw_path']}" for scope in scopes)


@pytest.mark.parametrize("path", WIRES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer"},
        {"x-api-key": ""},
    ],
    ids=str,
)
async def test_without_a_good_token_it_is_401(serve: Serve, path: str, headers: dict[str, str]) -> None:
    async with serve() as served:
        served.client.headers.pop("Authorization")
        response = await served.post(path, CHAT, **headers)
    assert response.status_code == 401
    assert check_error(response)["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("[::1]:99", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost@evil.example", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
async def test_another_host_is_421(serve: Serve, host: str, status: int) -> None:
    async with serve() as served:
        response = await served.client.get("/v1/models", headers={"Host": host})
    assert response.status_code == status


async def test_the_port_is_exact_where_it_is_known(serve: Serve) -> None:
    async with serve(settings=HttpSettings(port=8080)) as served:
        answers = [
            (await served.client.get("/v1/models", headers={"Host": host})).status_code
            for host in ("127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1")
        ]
    assert answers == [200, 421, 421]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
        ("https://good.example", 200),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
async def test_another_origin_is_403(serve: Serve, origin: str, status: int) -> None:
    async with serve(settings=HttpSettings(origins=frozenset({"https://good.example"}))) as served:
        response = await served.client.get("/v1/models", headers={"Origin": origin})
    assert response.status_code == status
    assert not [name for name in response.headers if name.startswith(("access-control", "set-cookie"))]


@pytest.mark.parametrize("path", WIRES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_another_method_is_405(serve: Serve, path: str, method: str) -> None:
    async with serve() as served:
        response = await served.client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        check_error(response)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "/"),
        ("HEAD", "/api/hello"),
        ("POST", "/v1/nothing"),
        ("GET", "/v1/chat/completions/"),
        ("OPTIONS", "/"),
    ],
)
async def test_another_path_is_404_without_a_token(serve: Serve, method: str, path: str) -> None:
    async with serve() as served:
        response = await served.client.request(method, path, headers={"Authorization": ""})
    assert response.status_code == 404
    if method != "HEAD":
        check_error(response)


async def test_an_upgrade_of_responses_is_426_and_a_post_404(serve: Serve) -> None:
    async with serve() as served:
        upgrade = await served.client.get("/v1/responses", headers={"Upgrade": "websocket", "Connection": "Upgrade"})
        post = await served.post("/v1/responses", {"model": "any", "input": "ping"})
    assert (upgrade.status_code, post.status_code) == (426, 404)
    check_error(post)


@both
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
async def test_a_body_that_is_not_json_by_its_type_is_415(serve: Serve, path: str, kind: str) -> None:
    async with serve() as served:
        response = await served.client.post(path, content=json.dumps(CHAT), headers={"Content-Type": kind})
        good = {"Content-Type": "Application/JSON; charset=utf-8"}
        accepted = await served.client.post(path, content=json.dumps(CHAT), headers=good)
    assert (response.status_code, accepted.status_code) == (415, 200)
    check_error(response)


@both
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"model": NaN}', b"\xff", b"[" * 100_000, b'{"a":' * 5000], ids=repr
)
async def test_a_body_that_is_not_an_object_is_400(serve: Serve, path: str, body: bytes) -> None:
    async with serve() as served:
        response = await served.client.post(path, content=body, headers=JSON)
    assert response.status_code == 400
    check_error(response)


@both
async def test_a_body_over_the_limit_is_413_however_it_comes(serve: Serve, path: str) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 100

    async with serve(settings=HttpSettings(max_body=1000)) as served:
        whole = await served.client.post(path, content=b" " * 1001, headers=JSON)
        chunked = await served.client.post(path, content=chunks(), headers=JSON)
        within = await served.client.post(path, content=json.dumps(CHAT).ljust(1000), headers=JSON)
    assert (whole.status_code, chunked.status_code, within.status_code) == (413, 413, 200)
    check_error(whole)


@both
async def test_a_body_that_does_not_come_is_408(serve: Serve, path: str) -> None:
    async def never() -> Any:
        yield b"{"
        await anyio.sleep_forever()

    async with serve(settings=HttpSettings(body_s=0.01)) as served:
        response = await served.client.post(path, content=never(), headers=JSON)
    assert response.status_code == 408
    check_error(response)


def _without_size(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return packer.compress(data) + packer.flush()


async def test_a_zstd_body_that_grows_a_thousandfold_is_refused_before_it_has(serve: Serve) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(b" " * 400_000_000)
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(HttpRefusal):
            unpacked(bomb, "zstd", 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def _raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", _raw),
        ("zstd", zstandard.compress),
        ("zstd", _without_size),
        ("identity", bytes),
    ],
    ids=["gzip", "x-gzip", "deflate", "raw deflate", "zstd", "zstd without its size", "identity"],
)
async def test_a_packed_body_is_read(serve: Serve, encoding: str, pack: Any) -> None:
    async with serve("pong", settings=HttpSettings(max_body=100_000)) as served:
        headers = {**JSON, "Content-Encoding": encoding}
        response = await served.client.post(WIRES[0], content=pack(json.dumps(CHAT).encode()), headers=headers)
        wrong = await served.client.post(WIRES[0], content=b"\x00 no", headers=headers)
        bomb = await served.client.post(WIRES[0], content=pack(b" " * 100_001), headers=headers)
        cut = await served.client.post(WIRES[0], content=pack(json.dumps(CHAT).encode())[:-3], headers=headers)
    assert response.json()["choices"][0]["message"]["content"] == "pong"
    assert (wrong.status_code, bomb.status_code, cut.status_code) == (400, 413, 400)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "compress"])
async def test_another_encoding_is_415(serve: Serve, encoding: str) -> None:
    async with serve() as served:
        headers = {**JSON, "Content-Encoding": encoding}
        response = await served.client.post(WIRES[0], content=b"{}", headers=headers)
    assert response.status_code == 415
    check_error(response)


async def test_a_large_body_is_read_in_a_thread_all_the_same(serve: Serve) -> None:
    async with serve("pong") as served:
        large = {**CHAT, "messages": [{"role": "user", "content": "x" * 1_000_000}]}
        assert (await served.post(WIRES[0], large)).status_code == 200
        many = {**CHAT, "messages": [{"role": "user", "content": ""}] * 100_001}
        refused = await served.post(WIRES[0], many)
    assert refused.status_code == 400
    assert "100001" in check_error(refused)["message"]


REFUSALS = [
    (BudgetExceeded("the budget is spent", "tokens"), 402, "billing_error"),
    (Overloaded("the queue is full", 2.2), 429, "rate_limit_error"),
    (Denied("not yours"), 403, "permission_error"),
    (killed("the session was killed"), 400, "invalid_request_error"),
    (Cancelled("the kernel stops"), 503, "overloaded_error"),
    (ModelFailed("it broke"), 502, "api_error"),
    (NotFound("no model"), 404, "not_found_error"),
    (KernelBug("oh"), 500, "api_error"),
]


@both
@pytest.mark.parametrize(("error", "status", "kind"), REFUSALS, ids=lambda value: getattr(value, "code", str(value)))
@pytest.mark.parametrize("where", ["fails", "refuses", "model"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_what_the_kernel_refuses_has_a_status_of_its_own(
    serve: Serve, path: str, error: AiosError, status: int, kind: str, where: str, stream: bool
) -> None:
    behind: dict[str, Any] = {} if where == "model" else {where: error}
    async with serve(error if where == "model" else "pong", **behind) as served:
        response = await served.post(path, {**CHAT, "stream": stream})
    assert response.status_code == status
    told = check_error(response)
    assert told["message"] == error.message
    if "/messages" in path:
        assert told["type"] == kind
    if status in (429, 503):
        assert int(response.headers["retry-after"]) == (3 if status == 429 else 5)


async def test_a_fault_of_ours_is_500_in_the_shape_of_the_path(serve: Serve) -> None:
    async with serve() as served:
        served.door.models = None  # type: ignore[assignment,method-assign]
        transport = httpx2.ASGITransport(served.app, raise_app_exceptions=False)
        headers = {"x-api-key": TOKEN, "anthropic-version": "2023-06-01"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            response = await client.get("/v1/models")
    assert response.status_code == 500
    check("anthropic", "ErrorResponse", response.json())
