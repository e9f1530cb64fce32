"""Syscalls over HTTP, for `aios.connect` where there is no Unix socket to the daemon: one request a call.

`POST /aios/v1/calls` takes a call as JSON, and answers with a line of JSON for each piece of text, {text}, and one for
the outcome, {ok} or {error}. `POST /aios/v1/session` tells the caller's pid, `DELETE` on it that the caller has left.
"""

from __future__ import annotations

import math
from typing import Any

import anyio
from pydantic_core import to_json

from aios.server.door import ClientKey, ClientPort
from aios.server.http.body import read_body
from aios.server.http.client_key import client_key
from aios.server.http.endpoints import RequestState, Route
from aios.server.http.leaving import CancelledOnLeave
from aios.server.http.refusal import HttpRefusal
from aios_syscalls import AiosError, Syscall
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.wire import call_from_json, outcome_to_json

SESSION = b"x-aios-session"
LINES = (b"content-type", b"application/x-ndjson")


class SessionRoute(Route):
    """`POST /aios/v1/session`, and its `DELETE`."""

    async def serve(self, state: RequestState) -> None:
        principal, client = state.admit(), _client(state)
        if state.scope["method"] == "DELETE":
            self.serving.door.leave(principal, client)
            await state.answer(200, b"{}", [])
            return
        port = await self.serving.door.caller(principal, client)
        await state.answer(200, to_json({"pid": int(port.next_call().partition(".")[0])}), [])


class CallsRoute(Route):
    """`POST /aios/v1/calls`."""

    async def serve(self, state: RequestState) -> None:
        principal, client = state.admit(), _client(state)
        body = await read_body(state.receive, state.headers, MAX_CALL_BYTES)
        call = await anyio.to_thread.run_sync(call_from_json, body)
        port = await self.serving.door.caller(principal, client)
        with CancelledOnLeave(state.receive):
            state.started = True
            start = {"status": 200, "headers": [LINES, *state.ids()]}
            await state.send({"type": "http.response.start", **start})
            await _answer(state, port, call)
            await state.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer(state: RequestState, port: ClientPort, call: Syscall[Any]) -> None:
    """Send what a call emits, and its outcome."""
    out, lines = anyio.create_memory_object_stream[bytes](math.inf)

    def tell(text: str) -> None:
        out.send_nowait(to_json({"text": text}))

    async def run() -> None:
        with out:
            try:
                outcome = outcome_to_json(
                    await port.submit(call, lambda text: out.send_nowait(to_json({"text": text})))
                )
            except AiosError as error:
                outcome = outcome_to_json(error)
            out.send_nowait(outcome)

    async with lines, anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        async for line in lines:
            await state.send({"type": "http.response.body", "body": line + b"\n", "more_body": True})


def _client(state: RequestState) -> ClientKey:
    """The session that the client names. Raises HttpRefusal without one."""
    session = state.headers.get(SESSION, b"").decode("latin-1")[:128]
    if not session:
        raise HttpRefusal(400, "the header x-aios-session names no session; aios.connect() makes one")
    return ClientKey(client_key(state.headers, {}, None).program, session)
