"""The routes: each admits, reads, asks the kernel and answers, in the shape of its wire."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from aios.server.door import ClientPort, Door, ModelInfo, Principal
from aios.server.http.body import BodyParser, Disconnected, encoding_of, read_body
from aios.server.http.client_key import client_key
from aios.server.http.context_fit import ContextFit
from aios.server.http.embeddings import EmbeddingsRequest, embeddings_body, read_embeddings
from aios.server.http.error_body import error_body
from aios.server.http.gate import Headers, admitted
from aios.server.http.leaving import CancelledOnLeave
from aios.server.http.models import list_body, model_body
from aios.server.http.refusal import HttpRefusal, refused
from aios.server.http.request import WireRequest
from aios.server.http.running import StreamedCalls, choices_of, submit_all
from aios.server.http.settings import HttpSettings
from aios.server.http.turns import SentTurns, TurnsOf
from aios.server.http.wire import ReplyContext, Wire
from aios_syscalls import AiosError, Chat, ChatReply, Embed, EmbedReply, KernelBug, NotFound

JSON = (b"content-type", b"application/json")
EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
MAX_TOLD = 20
"""Places of what was left out that a header names."""


class HttpServing:
    """What every route shares."""

    def __init__(self, door: Door, settings: HttpSettings) -> None:
        self.door, self.settings = door, settings
        self.parser = BodyParser(settings.max_body)
        self.turns = SentTurns()
        self.fit = ContextFit(door, settings.max_tokens)


class RequestState:
    """One request on its way through a route."""

    def __init__(self, serving: HttpServing, scope: Scope, receive: Receive, send: Send) -> None:
        self.serving, self.scope, self.receive, self.send = serving, scope, receive, send
        self.headers: Headers = scope["aios.headers"]
        self.id = f"{random.getrandbits(96):024x}"
        self.started = False

    def admit(self) -> Principal:
        """Who asks. Raises HttpRefusal."""
        return admitted(self.headers, self.scope["aios.token"], self.serving.door)

    async def answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Send a whole answer."""
        length = (b"content-length", b"%d" % len(body))
        self.started = True
        start = {"status": status, "headers": [JSON, length, *self.ids(), *headers]}
        await self.send({"type": "http.response.start", **start})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, refusal: HttpRefusal) -> None:
        """Send the answer of a request that is not served."""
        headers = [(name.encode(), value.encode("latin-1")) for name, value in refusal.headers.items()]
        await self.answer(refusal.status, to_json(error_body(self.scope, refusal, self.id)), headers)

    def ids(self) -> list[tuple[bytes, bytes]]:
        """The headers that name the request."""
        id = b"req_" + self.id.encode()
        return [(b"request-id", id), (b"x-request-id", id)]


class Route:
    """A route's ASGI application: what it cannot serve is told in its wire's shape."""

    def __init__(self, serving: HttpServing, *methods: str) -> None:
        self.serving, self.methods = serving, methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = RequestState(self.serving, scope, receive, send)
        try:
            if scope["method"] not in self.methods:
                allowed = ", ".join(self.methods)
                raise HttpRefusal(405, f"{scope['method'][:20]} is not for this path; use {allowed}", allow=allowed)
            await self.serve(state)
        except HttpRefusal as refusal:
            if not state.started:
                await state.refuse(refusal)
        except AiosError as error:
            if not state.started:
                await state.refuse(refused(error))
        except Disconnected:
            pass

    async def serve(self, state: RequestState) -> None:
        """Answer one request with a method of the route's."""
        raise NotImplementedError


class ChatRoute(Route):
    """A route on which a model answers a conversation."""

    def __init__(self, serving: HttpServing, wire: Wire) -> None:
        super().__init__(serving, "POST")
        self.wire = wire

    async def serve(self, state: RequestState) -> None:
        principal = state.admit()
        turns = TurnsOf(self.serving.turns, principal.name)
        request = await _read(state, lambda body: self.wire.read(body, turns))
        chat, info = _chat(self.serving, request)
        port = await self.serving.door.caller(principal, client_key(state.headers, request.body, chat))
        chat, tokens = await self.serving.fit.fitted(chat, info, request.max_tokens is None, self.wire.too_long)
        if (error := port.refusal(chat)) is not None:
            raise error
        context = _context(state, request, turns, info, tokens)
        if request.stream:
            await self._stream(state, port, chat, context)
        else:
            await self._whole(state, port, chat, context)

    async def _whole(self, state: RequestState, port: ClientPort, chat: Chat, context: ReplyContext) -> None:
        began = time.monotonic()
        with CancelledOnLeave(state.receive):
            replies = await submit_all(port, choices_of(chat, context.request.choices))
            await self._reply(state, context, replies, time.monotonic() - began)

    async def _reply(
        self, state: RequestState, context: ReplyContext, replies: Sequence[ChatReply], waited_s: float
    ) -> None:
        context.model = replies[0].model or context.model
        body = self.wire.whole(context, replies, waited_s)
        calls = ",".join(reply.call for reply in replies)
        await state.answer(
            200, body, [(b"x-aios-call", calls.encode("latin-1", "replace")), *_left_out(context.request)]
        )

    async def _stream(self, state: RequestState, port: ClientPort, chat: Chat, context: ReplyContext) -> None:
        calls = StreamedCalls(port, choices_of(chat, context.request.choices), self.serving.settings)
        whole, early = False, None
        with CancelledOnLeave(state.receive):
            async with anyio.create_task_group() as tasks:
                calls.start(tasks)
                await calls.settle()
                early = calls.failure
                if early is None:
                    await self._begin(state, calls, context)
                    tasks.start_soon(calls.keep_alive, state.send)
                    whole = await calls.send_all(self.wire.stream(context), state.send)
                tasks.cancel_scope.cancel()
        if early is not None:
            raise early
        # Without its last part the server resets the connection: no client may take half an answer for a whole one.
        if whole:
            await state.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, state: RequestState, calls: StreamedCalls, context: ReplyContext) -> None:
        state.started = True
        told = [(b"x-aios-call", calls.ids.encode("latin-1", "replace")), *_left_out(context.request)]
        headers = [*EVENTS, *state.ids(), *told]
        await state.send({"type": "http.response.start", "status": 200, "headers": headers})


async def _read(state: RequestState, read: Callable[[dict[str, Any]], Any]) -> Any:
    settings, encoding = state.serving.settings, encoding_of(state.headers)
    body = await read_body(state.receive, state.headers, settings.max_body, settings.body_s)
    return await state.serving.parser.parse(body, encoding, read)


def _chat(serving: HttpServing, request: WireRequest) -> tuple[Chat, ModelInfo | None]:
    info = serving.door.resolve(request.model, "chat")
    return request.chat(info, serving.settings), info


def _context(
    state: RequestState, request: WireRequest, turns: TurnsOf, info: ModelInfo | None, tokens: int
) -> ReplyContext:
    model = info.name if info else request.model
    return ReplyContext(request, turns, state.id, model, int(time.time()), tokens)


def _left_out(request: WireRequest) -> list[tuple[bytes, bytes]]:
    """The header that tells what was left out, if anything was."""
    if not request.left_out:
        return []
    return [(b"x-aios-left-out", ", ".join(request.left_out[:MAX_TOLD]).encode("latin-1", "replace"))]


class CountRoute(Route):
    """`POST /v1/messages/count_tokens`: answered by the tokenizer, never by a model."""

    def __init__(self, serving: HttpServing, wire: Wire) -> None:
        super().__init__(serving, "POST")
        self.wire = wire

    async def serve(self, state: RequestState) -> None:
        turns = TurnsOf(self.serving.turns, state.admit().name)
        request = await _read(state, lambda body: self.wire.read(body, turns))
        chat, _ = _chat(self.serving, request)
        tokens = await self.serving.fit.count(chat)
        await state.answer(200, to_json({"input_tokens": tokens}), _left_out(request))


class EmbeddingsRoute(Route):
    """`POST /v1/embeddings`."""

    def __init__(self, serving: HttpServing) -> None:
        super().__init__(serving, "POST")

    async def serve(self, state: RequestState) -> None:
        principal = state.admit()
        request: EmbeddingsRequest = await _read(state, read_embeddings)
        info = self.serving.door.resolve(request.model, "embed")
        port = await self.serving.door.caller(principal, client_key(state.headers, request.body, None))
        replies: list[EmbedReply] = []
        with CancelledOnLeave(state.receive):
            for texts in request.batches():
                call = Embed(texts=texts, model=info.name if info else None)
                if (error := port.refusal(call)) is not None:
                    raise error
                replies.append(await port.submit(call))
            await state.answer(200, embeddings_body(request, replies), [])


class ModelsRoute(Route):
    """`GET /v1/models` and one of them, in both wires' shapes at once."""

    def __init__(self, serving: HttpServing) -> None:
        super().__init__(serving, "GET", "HEAD")

    async def serve(self, state: RequestState) -> None:
        state.admit()
        models = self.serving.door.models()
        name = state.scope.get("path_params", {}).get("model")
        if name is None:
            await state.answer(200, to_json(list_body(models)), [])
            return
        found = next((model for model in models if model.name == name), None)
        if found is None:
            raise NotFound(f"there is no model {name[:80]!r}; GET /v1/models lists those that there are")
        await state.answer(200, to_json(model_body(found)), [])


class ResponsesRoute(Route):
    """`/v1/responses`, which is not served: a client that would upgrade is told so that it posts at once."""

    async def serve(self, state: RequestState) -> None:
        if state.scope["method"] == "GET" and state.headers.get(b"upgrade"):
            raise HttpRefusal(426, "there are no WebSockets here; post to the path instead", upgrade="HTTP/1.1")
        raise HttpRefusal(404, "the Responses API is not served; use /v1/chat/completions or /v1/messages")


def unforeseen(error: Exception) -> HttpRefusal:
    """The answer to what nobody foresaw; the log of the server has the rest."""
    return refused(KernelBug(f"{type(error).__name__} in the HTTP server; its log says more, please report it"))
