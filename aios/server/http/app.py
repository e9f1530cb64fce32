"""The HTTP application: OpenAI's and Anthropic's protocols over one kernel."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from aios.server.door import Door
from aios.server.http.chat_reply import ChatWire
from aios.server.http.endpoints import (
    ChatRoute,
    CountRoute,
    EmbeddingsRoute,
    HttpServing,
    ModelsRoute,
    RequestState,
    ResponsesRoute,
    unforeseen,
)
from aios.server.http.error_body import error_body
from aios.server.http.gate import check_sender, headers_of, take_path_token
from aios.server.http.messages_reply import MessagesWire
from aios.server.http.refusal import HttpRefusal
from aios.server.http.settings import HttpSettings

CALLS = "/aios/"
"""Where syscalls themselves are taken, for `aios.connect`."""


def make_app(door: Door, settings: HttpSettings | None = None, calls: ASGIApp | None = None) -> ASGIApp:
    """The ASGI application, with one for `CALLS` beside the wires.

    The server needs `ws="none"`, and resets a connection whose answer is not completed.
    """
    return _Front(HttpServing(door, settings or HttpSettings()), calls)


class _Front:
    """Decides for every path who may send at all, before Starlette looks for its route."""

    def __init__(self, serving: HttpServing, calls: ASGIApp | None) -> None:
        self._serving, self._calls = serving, calls
        self._chat, self._messages = ChatWire(serving.settings.max_choices), MessagesWire()
        self._app = Starlette(
            routes=self._routes(),
            exception_handlers={HTTPException: self._no_route, Exception: self._unforeseen},
        )
        self._app.router.redirect_slashes = False

    def _routes(self) -> list[Path]:
        serving = self._serving
        return [
            Path("/v1/chat/completions", ChatRoute(serving, self._chat)),
            Path("/v1/messages", ChatRoute(serving, self._messages)),
            Path("/v1/messages/count_tokens", CountRoute(serving, self._messages)),
            Path("/v1/embeddings", EmbeddingsRoute(serving)),
            Path("/v1/models", ModelsRoute(serving)),
            Path("/v1/models/{model:path}", ModelsRoute(serving)),
            Path("/v1/responses", ResponsesRoute(serving, "GET", "POST")),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["aios.token"], scope["aios.headers"] = take_path_token(scope), headers_of(scope)
        try:
            check_sender(scope["aios.headers"], self._serving.settings)
        except HttpRefusal as refusal:
            state = RequestState(self._serving, scope, receive, send)
            await state.refuse(refusal)
            return
        app = self._calls if self._calls is not None and scope["path"].startswith(CALLS) else self._app
        await app(scope, receive, send)

    async def _no_route(self, request: Request, _error: Exception) -> Response:
        why = f"there is nothing at {request.url.path[:200]}; the paths begin with /v1"
        return self._refusal(request, HttpRefusal(404, why))

    async def _unforeseen(self, request: Request, error: Exception) -> Response:
        return self._refusal(request, unforeseen(error))

    def _refusal(self, request: Request, refusal: HttpRefusal) -> Response:
        state = RequestState(self._serving, request.scope, request.receive, _nowhere)
        body = error_body(request.scope, refusal, state.id)
        headers = {name.decode(): value.decode() for name, value in state.ids()}
        return Response(to_json(body), refusal.status, headers, "application/json")


async def _nowhere(_message: Any) -> None:
    """Takes no answer."""
