"""The way in over HTTP: a session's answer that is read as long as the client is there, and a request for each call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import httpx2
from pydantic_core import from_json, to_json

from aios.client.gone import daemon_gone, listening
from aios.link.greeting import greeting
from aios_syscalls import AiosError, BadRequest, NoKernel, R, Syscall
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.errors import from_wire
from aios_syscalls.port import Port, discard
from aios_syscalls.wire import call_to_json, reply_from_object

SESSION = "/aios/v1/session"
CALLS = "/aios/v1/calls"
CONNECT_S = 10.0
SILENT_S = 60.0
"""For which a daemon may be silent before it counts as gone; it says every 15 s that it is there."""


@asynccontextmanager
async def connected_over_http(order: Any, name: str, url: str, token: str) -> AsyncIterator[tuple[int, Port]]:
    """A process of the daemon at a URL, and its port."""
    async with _http_client(url, token) as client:
        body = to_json(greeting("client", order=order, program=name))
        timeout = httpx2.Timeout(None, connect=CONNECT_S, read=SILENT_S)
        try:
            response = await client.send(
                client.build_request("POST", SESSION, content=body, timeout=timeout), stream=True
            )
        except httpx2.TransportError as error:
            raise NoKernel(f"no daemon answers at {url} ({error}); start one: aios up") from None
        try:
            async with aclosing(_lines(response)) as said:
                session, pid = await _opened(said, url)
                port = HttpPort(client, session)
                async with listening(port.listen, said):
                    yield pid, port
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()


class HttpPort:
    """Submits each call as a request of its own; `listen` must run meanwhile."""

    def __init__(self, client: httpx2.AsyncClient, session: str) -> None:
        self._client, self._session = client, session
        self._ended: AiosError | None = None
        self._under_way: set[anyio.CancelScope] = set()

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        data = call_to_json(call)
        if len(data) > MAX_CALL_BYTES:
            raise BadRequest(f"a call of {len(data)} bytes is over the limit of {MAX_CALL_BYTES}; send it in parts")
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        stream = b"false" if emit is discard else b"true"
        body = b'{"session":%b,"stream":%b,"call":%b}' % (to_json(self._session), stream, data)
        with anyio.CancelScope() as scope:
            self._under_way.add(scope)
            try:
                return reply_from_object(call, await self._outcome(body, emit))
            finally:
                self._under_way.discard(scope)
        raise self._ended or daemon_gone()

    async def listen(self, said: AsyncIterator[Any]) -> None:
        """Wait for the session's end, which is that of its calls."""
        error: AiosError = daemon_gone()
        try:
            async for frame in said:
                if "error" in frame:
                    error = from_wire(frame["error"])
        except (httpx2.TransportError, ValueError):
            pass
        finally:
            self._ended = error
            for scope in self._under_way:
                scope.cancel()

    async def _outcome(self, body: bytes, emit: Callable[[str], None]) -> dict[str, Any]:
        try:
            async with (
                self._client.stream("POST", CALLS, content=body) as response,
                aclosing(_lines(response)) as frames,
            ):
                async for frame in frames:
                    if "text" not in frame:
                        return dict(frame)
                    emit(frame["text"])
        except (httpx2.TransportError, ValueError):
            pass  # it hung up, which is the daemon's end too
        raise self._ended or daemon_gone()


def _http_client(url: str, token: str) -> httpx2.AsyncClient:
    """A client of this URL alone: no proxy of the environment's, no redirection, as many connections as calls."""
    try:
        return httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=8),
            trust_env=False,
        )
    except (httpx2.InvalidURL, UnicodeError, TypeError, AttributeError) as error:
        raise BadRequest(f"url and token cannot be used: {error}; see: aios token --url", "url") from None


async def _opened(said: AsyncIterator[Any], url: str) -> tuple[str, int]:
    """The session and its process. Raises what the daemon refuses with, NoKernel for what is no daemon."""
    try:
        frame = await anext(said)
        if "error" in frame:
            raise from_wire(frame["error"])
        return str(frame["session"]), int(frame["pid"])
    except (StopAsyncIteration, httpx2.TransportError, ValueError, KeyError, TypeError):
        raise NoKernel(f"what answers at {url} is no daemon of aios; give the URL of: aios token --url") from None


async def _lines(response: httpx2.Response) -> AsyncGenerator[Any]:
    """The JSON of each line; an empty one is nothing. Raises ValueError."""
    parts: list[bytes] = []
    async with aclosing(response.aiter_raw()) as pieces:
        async for piece in pieces:
            *lines, rest = piece.split(b"\n")
            for line in lines:
                whole, parts = b"".join([*parts, line]), []
                if whole:
                    yield from_json(whole)
            parts.append(rest)
    if whole := b"".join(parts):
        yield from_json(whole)
