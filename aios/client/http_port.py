"""The way in over HTTP: a session's answer that is read as long as the client is there, and a request for each call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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
    body = to_json(greeting("client", order=order, program=name))
    async with _http_client(url, token) as client:
        port = HttpPort(client, url)
        async with listening(port.listen, body):
            yield await port.opened(), port


class HttpPort:
    """Submits each call as a request of its own; `listen` must run meanwhile."""

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        self._client, self._url = client, url
        self.session, self._pid = "", 0
        """The session's secret id, once it is opened."""
        self._opened = anyio.Event()
        self._ended: AiosError | None = None
        self._under_way: set[anyio.CancelScope] = set()

    async def opened(self) -> int:
        """The process. Raises what the daemon refuses it with, NoKernel where none is."""
        await self._opened.wait()
        if not self.session:
            raise self._ended or daemon_gone()
        return self._pid

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        data = call_to_json(call)
        if len(data) > MAX_CALL_BYTES:
            raise BadRequest(f"a call of {len(data)} bytes is over the limit of {MAX_CALL_BYTES}; send it in parts")
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        stream = b"false" if emit is discard else b"true"
        body = b'{"session":%b,"stream":%b,"call":%b}' % (to_json(self.session), stream, data)
        with anyio.CancelScope() as scope:
            self._under_way.add(scope)
            try:
                return reply_from_object(call, await self._outcome(body, emit))
            finally:
                self._under_way.discard(scope)
        raise self._ended or daemon_gone()

    async def listen(self, body: bytes) -> None:
        """Open the session and wait for its end, which is that of its calls."""
        timeout = httpx2.Timeout(None, connect=CONNECT_S, read=SILENT_S)
        error: AiosError = daemon_gone()
        try:
            async with self._client.stream("POST", SESSION, content=body, timeout=timeout) as response:
                await _read_lines(response, self._hear)
        except httpx2.TransportError as failure:
            if not self.session:
                error = NoKernel(f"no daemon answers at {self._url} ({failure}); start one: aios up")
        except ValueError:
            error = self._stranger()
        finally:
            self._ended = self._ended or error
            self._opened.set()
            for scope in self._under_way:
                scope.cancel()

    def _hear(self, frame: dict[str, Any]) -> None:
        if "error" in frame:
            self._ended = from_wire(frame["error"])
            return
        self.session, self._pid = str(frame["session"]), int(frame["pid"])
        self._opened.set()

    def _stranger(self) -> NoKernel:
        return NoKernel(f"what answers at {self._url} is no daemon of aios; give the URL of: aios token --url")

    async def _outcome(self, body: bytes, emit: Callable[[str], None]) -> dict[str, Any]:
        outcome: dict[str, Any] = {}

        def hear(frame: dict[str, Any]) -> None:
            if "text" in frame:
                emit(frame["text"])
            else:
                outcome.update(frame)

        try:
            async with self._client.stream("POST", CALLS, content=body) as response:
                await _read_lines(response, hear)
        except (httpx2.TransportError, ValueError):
            pass  # it hung up, which is the daemon's end too
        if not outcome:
            raise self._ended or daemon_gone()
        return outcome


def _http_client(url: str, token: str) -> httpx2.AsyncClient:
    """A client of this URL alone: no proxy of the environment's, no redirection, as many connections as calls."""
    if not str(url).startswith(("http://", "https://")):
        raise BadRequest(f"the url {url!r:.80} is none of http or https; give that of: aios token --url", "url")
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


async def _read_lines(response: httpx2.Response, hear: Callable[[dict[str, Any]], None]) -> None:
    """Hand on the JSON of each line; an empty one is nothing. Raises ValueError for what is none of ours."""
    parts: list[bytes] = []
    wrong: Exception | None = None
    with anyio.CancelScope() as scope:
        async for piece in response.aiter_raw():
            *lines, rest = piece.split(b"\n")
            try:
                for line in lines:
                    whole, parts = b"".join([*parts, line]), []
                    if whole:
                        hear(from_json(whole))
            except (ValueError, KeyError, TypeError) as error:
                # Not raised here: the generators below would be left where they are, which Trio warns of.
                wrong = error
                scope.cancel()
            parts.append(rest)
    if wrong is not None or any(parts):
        raise ValueError("a line that is none of ours") from wrong
