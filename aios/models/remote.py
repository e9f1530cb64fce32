"""A model behind any OpenAI-compatible server: OpenAI, vLLM, llama-server, Ollama, LM Studio and the like."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Any, Literal, Self

import anyio
import httpx2
from pydantic import JsonValue
from pydantic_core import from_json

from aios.context import Snapshot
from aios.models.base import NO_LIKELIHOODS, NO_VECTORS, Emit, too_long
from aios.models.openai_wire import Draft, error_text, request_body
from aios.models.sse import EventReader, WireFault
from aios.models.transport import drain, endpoint, open_transport, read, retry_after_s, send, stream
from aios_syscalls import AiosError, BadRequest, Chat, ChatReply, Embed, KernelBug, LlmCall, ModelFailed, Rank

MAX_ERROR_BYTES = 64 * 1024
MAX_QUOTE = 300
"""Characters of a server's own words in an error."""

SECRETS = re.compile(
    r"""\bauthorization["']?\s*[:=]\s*["']?(\w+\s+)?[^\s"',;}]+ | \b(bearer|basic)\s+[^\s"',;}]+ | \bsk-[\w*-]+""",
    re.IGNORECASE | re.VERBOSE,
)

MAX_FAILURES = 3
COOL_DOWN_S = 5.0
"""How long a model counts as unhealthy after that many failures in a row."""

DRAIN_S = 0.1
"""How long a finished stream may take to close properly, which keeps its connection for the next call."""


class RemoteModel:
    """Sends each call to `base_url`/chat/completions, for the server's model `model`, within `timeout_s` seconds.

    `api_key_env` names the environment variable that holds the key; it is read for each request and never kept.
    `extra` adds fields to each request, and a None in it removes one:
    `{"max_tokens": None, "max_completion_tokens": 1024}`. What the server's model can do is what is said here:
    `context` in tokens, whether it calls `tools`, whether it keeps to `schemas`, whether it can `stream`.
    `schemas="json_object"` sends a schema the way of llama-cpp-python's server, which knows no other.

    Raises BadRequest for a base_url that is none.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        name: str | None = None,
        api_key_env: str | None = None,
        slots: int = 8,
        timeout_s: float = 120.0,
        extra: Mapping[str, JsonValue] | None = None,
        context: int | None = None,
        tools: bool = True,
        schemas: bool | Literal["json_object"] = True,
        stream: bool = True,
    ) -> None:
        self.name = name or model
        self.slots = slots
        self._model, self._api_key_env, self._timeout_s = model, api_key_env, timeout_s
        self._extra, self._stream = dict(extra or {}), stream
        self._context, self._tools, self._schemas = context, tools, schemas
        self._url = endpoint(base_url, "/chat/completions")
        self._origin = f"{self._url.scheme}://{self._url.netloc.decode()}"
        self._transport: httpx2.AsyncHTTPTransport | None = None
        self._failures = 0
        self._rest_until = 0.0

    @property
    def healthy(self) -> bool:
        """False for `COOL_DOWN_S` seconds after `MAX_FAILURES` failures in a row, and after each one more."""
        return self._failures < MAX_FAILURES or anyio.current_time() >= self._rest_until

    def refusal(self, call: LlmCall) -> str:
        """As `Backend.refusal`."""
        if isinstance(call, Embed):
            return NO_VECTORS
        if isinstance(call, Rank):
            return NO_LIKELIHOODS
        if call.tools and not self._tools:
            return "calls no tools, as configured"
        if call.response_schema is not None and not self._schemas:
            return "keeps to no response schema, as configured"
        return too_long(call, self._context) if self._context else ""

    async def __aenter__(self) -> Self:
        self._transport = open_transport(self._url, self.slots)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def generate(
        self,
        chat: Chat,
        snapshot: Snapshot | None,
        budget: int | None,  # noqa: ARG002 - a server cannot be paused: every slice runs to the end
        emit: Emit,
    ) -> ChatReply:
        """Run `chat` to its end, whatever the budget; never a Snapshot.

        Raises BadRequest when the server refuses the call, ModelFailed for all else, at the latest at the deadline.
        """
        if snapshot is not None:
            raise KernelBug(f"model {self.name!r} pauses nothing, so it has no snapshot to continue from")
        json_object = self._schemas == "json_object"
        content = request_body(chat, self._model, self._extra, stream=self._stream, json_object=json_object)
        with self._watch():
            try:
                with anyio.fail_after(self._timeout_s):
                    return await self._exchange(content, emit)
            except TimeoutError:
                hint = "raise its timeout_s, lower max_tokens or try again"
                raise self._failed(f"no answer within {self._timeout_s:g} s; {hint}") from None

    @contextmanager
    def _watch(self) -> Iterator[None]:
        try:
            yield
        except ModelFailed:
            self._failures += 1
            self._rest_until = anyio.current_time() + COOL_DOWN_S
            raise
        except BadRequest:
            self._failures = 0
            raise
        self._failures = 0

    async def _exchange(self, content: bytes, emit: Emit) -> ChatReply:
        if self._transport is None:
            raise KernelBug(f"model {self.name!r} was called before it was entered")
        try:
            response = await send(self._transport, self._request(content))
            try:
                return await self._answer(response, emit)
            finally:
                await response.aclose()
        except WireFault as fault:
            raise self._failed(self._quote(str(fault))) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            hint = "check that it runs and that base_url is right"
            raise self._failed(f"cannot connect: {self._quote(str(error))}; {hint}") from None
        except (httpx2.RequestError, OSError) as error:
            raise self._failed(f"the exchange broke off: {self._quote(str(error))}; try again") from None

    def _request(self, content: bytes) -> httpx2.Request:
        headers = {
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "aios",
        }
        request = httpx2.Request("POST", self._url, headers=headers, content=content)
        if self._api_key_env is not None:
            if not re.fullmatch(r"[!-~]+", self._key()):
                raise self._failed(f"environment variable {self._api_key_env} holds no API key; set it and try again")
            request.headers["Authorization"] = f"Bearer {self._key()}"
        return request

    def _key(self) -> str:
        # Called where the key is needed rather than held in a variable, where a traceback with locals would show it.
        return os.environ.get(self._api_key_env or "", "").strip()

    async def _answer(self, response: httpx2.Response, emit: Emit) -> ChatReply:
        async with aclosing(stream(response)) as chunks:
            if not response.is_success:
                raise self._refused(response, await read(chunks))
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise WireFault("its answer is compressed, which it was asked not to be")
            draft = Draft()
            if response.headers.get("Content-Type", "").lower().startswith("text/event-stream"):
                await _follow(chunks, draft, emit)
            elif piece := draft.add(await read(chunks)):
                emit(piece)
            return draft.reply(self.name)

    def _refused(self, response: httpx2.Response, content: bytes) -> AiosError:
        content = content[:MAX_ERROR_BYTES]
        try:
            said = self._quote(error_text(from_json(content)))
        except ValueError:
            said = self._quote(content.decode("utf-8", "replace"))
        status = response.status_code
        why = f"HTTP {status}{': ' if said else ''}{said}"
        if status in (400, 413, 422):
            return BadRequest(
                f"model {self.name!r} at {self._origin} refused the call: {why}; change it", status=status
            )
        if 300 <= status < 400:
            hint = "it redirects, which is not followed; set base_url to the final address"
        elif status in (401, 403):
            hint = f"check the API key in {self._api_key_env or 'an environment variable named by api_key_env'}"
        elif status == 404:
            hint = f"check that base_url ends in the API's prefix, such as /v1, and that it serves {self._model!r}"
        else:
            hint = "try again later"
        return self._failed(f"{why}; {hint}", status=status, retry_after_s=retry_after_s(response))

    def _failed(self, why: str, **data: Any) -> ModelFailed:
        return ModelFailed(f"model {self.name!r} at {self._origin}: {why}", **data)

    def _quote(self, text: str) -> str:
        return scrub(text, self._key())


async def _follow(chunks: AsyncGenerator[bytes], draft: Draft, emit: Emit) -> None:
    reader = EventReader()
    async for chunk in chunks:
        for data in reader.feed(chunk):
            if data == b"[DONE]":
                return await drain(chunks, within_s=DRAIN_S)
            if piece := draft.add(data):
                emit(piece)


def scrub(text: str, key: str) -> str:
    """A server's words on one line of at most `MAX_QUOTE` characters, without control characters, `key` or the like."""
    # The key goes before anything is cut: half a key is a secret too.
    text = (text.replace(key, "[secret]") if key else text)[:MAX_ERROR_BYTES]
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return SECRETS.sub("[secret]", line)[:MAX_QUOTE]
