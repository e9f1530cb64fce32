"""A port over HTTP: each call is a request, whose answer comes line by line."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
from pydantic_core import from_json

from aios_syscalls import AiosError, BadRequest, Denied, NoKernel, R, Syscall
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.errors import from_wire
from aios_syscalls.port import discard
from aios_syscalls.wire import call_to_json, reply_from_object

LEAVE_S = 2.0
"""For which it may take to say that one leaves."""


class HttpPort:
    """Submits over HTTP; see `http_port`."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        data = call_to_json(call)
        if len(data) > MAX_CALL_BYTES:
            raise BadRequest(f"a call of {len(data)} bytes is over the limit of {MAX_CALL_BYTES}; send it in parts")
        async with self._opened("POST", "/aios/v1/calls", data) as answer:
            async for line in answer.aiter_lines():
                said: dict[str, Any] = from_json(line)
                if "text" not in said:
                    return reply_from_object(call, said)
                emit(said["text"])
        raise NoKernel("the daemon broke the call off: it was told to end, or has died; see why: aios logs")

    async def begin(self) -> int:
        """The pid of this session's process. Raises NoKernel, Denied."""
        async with self._opened("POST", "/aios/v1/session", b"") as answer:
            return int(from_json(await answer.aread())["pid"])

    async def leave(self) -> None:
        """Say that nothing more comes."""
        with anyio.move_on_after(LEAVE_S, shield=True), suppress(httpx2.HTTPError, AiosError):
            async with self._opened("DELETE", "/aios/v1/session", b""):
                pass

    @asynccontextmanager
    async def _opened(self, method: str, path: str, data: bytes) -> AsyncIterator[httpx2.Response]:
        """An answer that is no refusal. Raises NoKernel where nobody answers, and what the daemon refuses with."""
        try:
            async with self._http.stream(method, path, content=data) as answer:
                if answer.status_code != 200:
                    raise _refusal(answer.status_code, await answer.aread())
                yield answer
        except httpx2.TransportError as error:
            raise NoKernel(f"the daemon at {self._http.base_url} does not answer: {error}; start it: aios up") from None


@asynccontextmanager
async def http_port(url: str, token: str, name: str) -> AsyncIterator[tuple[HttpPort, int]]:
    """A port to the daemon at a URL, and the pid of the process that it is of. Raises NoKernel, Denied."""
    headers = {
        "authorization": f"Bearer {token}",
        "x-aios-session": secrets.token_hex(16),
        "user-agent": name,
        "content-type": "application/json",
    }
    # Loopback is asked directly, whatever proxy there is for the rest.
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=None, trust_env=False) as http:
        port = HttpPort(http)
        pid = await port.begin()
        try:
            yield port, pid
        finally:
            await port.leave()


def _refusal(status: int, body: bytes) -> AiosError:
    """The daemon's words for a request that it did not serve."""
    message = f"the daemon answered with status {status}"
    with suppress(ValueError, KeyError, TypeError):
        error = from_json(body)["error"]
        if "code" in error and status not in (401, 403):
            return from_wire({"code": error["code"] or "overloaded", "message": error["message"]})
        message = error["message"]
    return Denied(message) if status in (401, 403, 421) else NoKernel(message)
