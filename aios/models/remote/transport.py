"""A bounded HTTP exchange with one origin, over httpx2; sizes in bytes, times in seconds."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx2
from anyio.lowlevel import checkpoint

from aios.models.remote.sse import WireFault
from aios_syscalls import BadRequest

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_PIECE_BYTES = 4 * 1024

KEEP_ALIVE_S = 3.0
"""How long an idle connection is kept: less than the 5 s after which common servers drop it, perhaps as we send."""


def endpoint(base_url: str, path: str) -> httpx2.URL:
    """`path` below `base_url`. Raises BadRequest for a base_url that is none, or that holds a password."""
    try:
        url = httpx2.URL(base_url)
        url.raw_host.decode().encode("idna")
    except (httpx2.InvalidURL, UnicodeError):
        url = httpx2.URL()
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or not 0 <= (url.port or 0) < 65536:
        # Not quoted: a URL with a password in it would be.
        raise BadRequest("base_url is not like https://host/v1: http or https, a host, no user or password", "base_url")
    return url.copy_with(path=url.path.rstrip("/") + path, fragment=None)


def open_transport(url: httpx2.URL, connections: int) -> httpx2.AsyncHTTPTransport:
    """A transport to the origin of `url` that keeps so many idle connections.

    Not a client, so that nothing stands between us and the origin: no redirects, cookies, proxies, netrc or logs.
    """
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=connections, keepalive_expiry=KEEP_ALIVE_S)
    # Reading the certificates takes 50 ms, and plain HTTP has no use for them.
    return httpx2.AsyncHTTPTransport(verify=url.scheme == "https", limits=limits)


async def send(transport: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
    """The response to `request`, headers only; the caller closes it. Raises WireFault for headers over 64 KiB."""
    response: httpx2.Response | None = None
    async with AsyncExitStack() as opened:

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                opened.push_async_callback(info["return_value"].aclose)
            if event == "http11.response_closed.started" and response is not None:
                _spoil_if_more_came(response)

        # The transport forgets the socket of a TLS handshake that is cancelled.
        request.extensions["trace"] = trace
        response = await transport.handle_async_request(request)
        opened.pop_all()
    if sum(len(name) + len(value) for name, value in response.headers.raw) > MAX_HEADER_BYTES:
        await response.aclose()
        raise WireFault(f"its headers are over {MAX_HEADER_BYTES} bytes")
    return response


def _spoil_if_more_came(response: httpx2.Response) -> None:
    """Keep a connection from being used again when bytes came after its answer: the next call would take them for its.

    The transport neither tells of them nor drops them, so they are looked for in its insides; where those have changed,
    which a test notices, all goes on without.
    """
    body: Any = response.stream
    with suppress(AttributeError):
        h11 = body._httpcore_stream._stream._connection._h11_state
        if h11.trailing_data[0]:
            h11.send_failed()


async def stream(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """The bytes of a response as they come. Raises WireFault for over 16 MiB of them."""
    size = 0
    chunks = response.aiter_raw()
    try:
        async for chunk in chunks:
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise WireFault(f"its answer is over {MAX_BODY_BYTES} bytes")
            for at in range(0, len(chunk), MAX_PIECE_BYTES):
                yield chunk[at : at + MAX_PIECE_BYTES]
                # Nothing above waits for as long as the last read lasts: let others run, and deadlines bind.
                await checkpoint()
    finally:
        # aclose() would abandon the generators below httpx2's, which trio warns of; a cancelled read ends them all.
        await drain(chunks, within_s=0)


async def drain(chunks: AsyncGenerator[bytes], within_s: float) -> None:
    """Read and ignore the rest of a body, for a while: a connection that was read to its end can be used again."""
    with anyio.move_on_after(within_s, shield=True), suppress(httpx2.RequestError, OSError, WireFault):
        async for _ in chunks:
            pass


async def read(chunks: AsyncGenerator[bytes]) -> bytes:
    """All of a body."""
    return b"".join([chunk async for chunk in chunks])


def retry_after_s(response: httpx2.Response) -> float | None:
    """When the server wants to be asked again, in seconds from now; None when it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
