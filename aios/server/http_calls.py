"""Syscalls over HTTP, for `aios.connect` with a URL: JSON lines in the answers of two kinds of requests.

POST /aios/v1/session opens a client's process, which lives as long as its answer is read: {session, pid} first, an
empty line from time to time, {error} when the process was ended. POST /aios/v1/calls submits one call of a session:
{text} any number of times, {ok} or {error} once; who hangs up cancels the call. So a lost connection needs no timer to
be noticed, and an ordinary HTTP client is enough, which cannot be said of a WebSocket.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import anyio
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from aios.hosts.held import HeldBytes
from aios.hosts.session import VALUE_BYTES, outcome_frame
from aios.link.greeting import check_greeting
from aios.link.order import RunOrder
from aios.server.client_service import OpenClient
from aios_syscalls import AiosError, BadRequest, Cancelled, Denied, NoKernel, Overloaded, Reply, Syscall
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.invalid import explain
from aios_syscalls.port import discard
from aios_syscalls.wire import call_from_object, count_values

PREFIX = "/aios/v1"
MAX_BODY_BYTES = MAX_CALL_BYTES + 1024
ALIVE_S = 15.0
"""After which a session's answer says that it is still there."""
MAX_SESSIONS = 64
"""Living ones of one principal."""
MAX_REMEMBERED = 256
"""Ended sessions whose clients are told how they ended."""

P = TypeVar("P", bound=Hashable)
Write = Callable[[bytes], Awaitable[None]]
OpenFor = Callable[[P, RunOrder, str], AbstractAsyncContextManager[OpenClient]]
"""Opens a process for a principal: of this order as far as the principal may have that, under this name."""


def make_calls_app(
    admit: Callable[[str], P | None], open_client: OpenFor[P], held: HeldBytes | None = None
) -> Starlette:
    """The application, below the prefix of its own. `admit` knows whose a token is; `held` bounds what all hold."""
    service = CallService(admit, open_client, held or HeldBytes.of_all())
    return Starlette(
        routes=[
            Route(f"{PREFIX}/session", service.open_session, methods=["POST"]),
            Route(f"{PREFIX}/calls", service.call, methods=["POST"]),
        ]
    )


@dataclass(eq=False)
class HttpSession(Generic[P]):
    """A client's process, and who may make its calls."""

    principal: P
    client: OpenClient
    held: HeldBytes
    id: str = field(default_factory=lambda: secrets.token_urlsafe(32))


class CallService(Generic[P]):
    """Sessions and their calls."""

    def __init__(self, admit: Callable[[str], P | None], open_client: OpenFor[P], held: HeldBytes) -> None:
        self._admit, self._open_client, self._held = admit, open_client, held
        self._sessions: dict[str, HttpSession[P]] = {}
        self._opening: dict[P, int] = {}
        self._ended: dict[str, AiosError] = {}

    async def open_session(self, request: Request) -> Response:
        """A process for as long as the answer is read."""
        try:
            principal, said, _ = await self._read(request)
            check_greeting(said)
            order, program = _order(said), str(said.get("program") or "client")[:64]
            if self._opening.get(principal, 0) >= MAX_SESSIONS:
                raise Overloaded(f"{MAX_SESSIONS} sessions of this token live, its limit; close some")
        except AiosError as error:
            return _refusal(error)

        async def produce(write: Write) -> None:
            await self._keep(principal, order, program, write)

        return LinesResponse(produce)

    async def call(self, request: Request) -> Response:
        """One call of a session."""
        try:
            principal, said, size = await self._read(request)
            session = self._session(principal, said.get("session"))
            call = call_from_object(said.get("call"))
        except AiosError as error:
            return _refusal(error)
        size, stream = size + VALUE_BYTES * count_values(said), said.get("stream") is True

        async def produce(write: Write) -> None:
            await _HttpCall(session, write).run(call, stream, size)

        return LinesResponse(produce)

    async def _read(self, request: Request) -> tuple[P, dict[str, Any], int]:
        """Who asks, what, and in how many bytes. Raises Denied, BadRequest."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        principal = self._admit(secret.strip()) if scheme.lower() == "bearer" else None
        if principal is None:
            raise Denied("the daemon has no such token; give one as Authorization: Bearer TOKEN; see: aios token")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise BadRequest("the content type is not application/json; connect with aios.connect(url=..., token=...)")
        body = await _body(request)
        return principal, _object(body), len(body)

    def _session(self, principal: P, id: Any) -> HttpSession[P]:
        session = self._sessions.get(id) if isinstance(id, str) else None
        if session is not None and session.principal == principal:
            return session
        if isinstance(id, str) and id in self._ended:
            raise self._ended[id].with_traceback(None)
        raise NoKernel("there is no such session of this token; its connection was lost, so connect again")

    async def _keep(self, principal: P, order: RunOrder, program: str, write: Write) -> None:
        """A session, until its process has ended or its client hangs up."""
        self._opening[principal] = self._opening.get(principal, 0) + 1
        try:
            async with self._open_client(principal, order, program) as client:
                await self._tell(HttpSession(principal, client, HeldBytes(within=self._held)), write)
        except AiosError as error:
            await write(outcome_frame(error))
        finally:
            self._opening[principal] -= 1
            if not self._opening[principal]:
                del self._opening[principal]

    async def _tell(self, session: HttpSession[P], write: Write) -> None:
        self._sessions[session.id] = session
        try:
            await write(to_json({"session": session.id, "pid": session.client.pid}))
            while not session.client.ended.is_set():
                with anyio.move_on_after(ALIVE_S):
                    await session.client.ended.wait()
                await write(b"")
        finally:
            del self._sessions[session.id]
        self._remember(session.id, session.client.port.why())
        await write(outcome_frame(session.client.port.why()))

    def _remember(self, id: str, error: AiosError) -> None:
        self._ended[id] = error
        if len(self._ended) > MAX_REMEMBERED:
            del self._ended[next(iter(self._ended))]


class _HttpCall:
    """A call under way, and what of its answer was not sent yet: no more than its session may hold."""

    def __init__(self, session: HttpSession[Any], write: Write) -> None:
        self._port, self._held, self._write = session.client.port, session.held, write
        self._out, self._outgoing = anyio.create_memory_object_stream[bytes](math.inf)
        self._taken = 0

    async def run(self, call: Syscall[Any], stream: bool, size: int) -> None:
        """The call, whose text and outcome are written as they come; `size` is what it holds itself."""
        if not self._take(size):
            await self._write(outcome_frame(_full("await some calls")))
            return
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._answer, call, stream)
                with self._outgoing:
                    async for line in self._outgoing:
                        await self._write(line)
        finally:
            self._held.give(self._taken)

    async def _answer(self, call: Syscall[Any], stream: bool) -> None:
        outcome: Reply | AiosError
        with self._out:
            try:
                outcome = await self._port.submit(call, self._emit if stream else discard)
            except AiosError as error:
                outcome = error
            line = outcome_frame(outcome)
            self._out.send_nowait(line if self._take(len(line)) else outcome_frame(_full("read the answers")))

    def _emit(self, text: str) -> None:
        """Streamed text that has no room is left out: the reply holds all of it."""
        if self._take(len(line := to_json({"text": text}))):
            self._out.send_nowait(line)

    def _take(self, size: int) -> bool:
        if not self._held.take(size):
            return False
        self._taken += size
        return True


class LinesResponse(Response):
    """Lines of JSON as `produce` writes them; a client that hangs up cancels it."""

    media_type = "application/x-ndjson"

    def __init__(self, produce: Callable[[Write], Awaitable[None]], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers={"cache-control": "no-store", **(headers or {})})
        del self.headers["content-length"]
        self._produce = produce

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        async def write(line: bytes) -> None:
            await send({"type": "http.response.body", "body": line + b"\n", "more_body": True})

        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with suppress(OSError):  # the client has gone
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, receive, tasks.cancel_scope)
                await self._produce(write)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                tasks.cancel_scope.cancel()


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _body(request: Request) -> bytes:
    """A request's body. Raises BadRequest for a large one, of which no more is read."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            parts.append(part)
            if (size := size + len(part)) > MAX_BODY_BYTES:
                raise BadRequest(f"the call is over the limit of {MAX_CALL_BYTES} bytes; send it in parts, or a file")
    except ClientDisconnect:
        raise Cancelled("the client has hung up") from None
    return b"".join(parts)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = from_json(body)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadRequest(f"the body is {type(found).__name__}, no JSON object")
    return found


def _order(said: Mapping[str, Any]) -> RunOrder:
    try:
        order = RunOrder.model_validate(said.get("order"))
        order.configuration()
    except ValidationError as error:
        raise explain(error, "the order of a run") from None
    return order


def _refusal(error: AiosError) -> Response:
    """An error that was found before anything was begun."""
    status = 401 if isinstance(error, Denied) else 409 if isinstance(error, Cancelled | NoKernel) else 400
    status = 503 if isinstance(error, Overloaded) else status
    return Response(outcome_frame(error) + b"\n", status, media_type=LinesResponse.media_type)


def _full(what: str) -> Overloaded:
    return Overloaded(f"calls under way and unread answers of the session take too many bytes; {what}")
