"""One URL of a model server: exchanges with it end in time, with a typed outcome, and give no key away."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar

import anyio
import httpx2
from pydantic import JsonValue

from aios.models.remote.complaint import refused_field, refused_text
from aios.models.remote.limits import COOL_DOWN_S, MAX_FAILURES, Breaker, Entry, Rates
from aios.models.remote.shape import HINT, BodyShape, refuses_a_field
from aios.models.remote.sse import WireFault
from aios.models.remote.transport import endpoint, open_transport, read, retry_after_s, send, stream
from aios_syscalls import AiosError, BadRequest, KernelBug, ModelFailed

MAX_ERROR_BYTES = 64 * 1024
MAX_QUOTE = 300
"""Characters of a server's own words in an error."""
MAX_REST_S = 60.0
"""A server that wants to be left alone for longer has failed."""
MAX_LESSONS = 4
"""Complaints about fields that one call may answer by another request."""
HEALTHY = frozenset({"refusal", "max_tokens"})
"""Reasons of a ModelFailed by a server that does as it should."""

SECRETS = re.compile(
    r"""\bauthorization["']?\s*[:=]\s*["']?(\w+\s+)?[^\s"',;}]+ | \bx-api-key["']?\s*[:=]\s*["']?[^\s"',;}]+
    | \b(bearer|basic)\s+[^\s"',;}]+ | \bsk-[\w*-]+""",
    re.IGNORECASE | re.VERBOSE,
)
TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|maximum context|too many tokens|prompt is too long|exceeds? .{0,24}context",
    re.IGNORECASE,
)

T = TypeVar("T")
Chunks = AsyncGenerator[bytes]


class Settings(TypedDict, total=False):
    """What is said of any model behind a server.

    `name` is what users know it by, the server's own name for it unless given. `api_key_env` names the environment
    variable that holds the key, `slots` is how many calls it gets at once, `rpm` and `tpm` bound the requests and the
    tokens of a minute, `extra` adds fields to each request, `omit` and `rename` are as in `BodyShape`, and `local` says
    that it is on this machine.
    """

    name: str | None
    api_key_env: str | None
    slots: int
    timeout_s: float
    rpm: int | None
    tpm: int | None
    extra: Mapping[str, JsonValue] | None
    omit: Collection[str] | None
    rename: Mapping[str, str] | None
    local: bool


class ServerRefused(Exception):
    """A server refuses a call; `error` is what its caller gets, `said` are all of the server's words."""

    def __init__(self, error: BadRequest, said: str) -> None:
        super().__init__(error.message)
        self.error, self.said = error, said


class Endpoint:
    """Posts to `base_url` + `path`, for what the server knows as `model`; the other settings are as in `Settings`.

    The key is read from its environment variable for each request and never kept; `headers` makes headers of it.

    Raises BadRequest for a base_url that is none.
    """

    def __init__(
        self,
        base_url: str,
        path: str,
        model: str,
        headers: Callable[[str], Mapping[str, str]],
        *,
        name: str | None = None,
        api_key_env: str | None = None,
        slots: int = 8,
        timeout_s: float = 120.0,
        rpm: int | None = None,
        tpm: int | None = None,
        extra: Mapping[str, JsonValue] | None = None,
        omit: Collection[str] | None = None,
        rename: Mapping[str, str] | None = None,
        local: bool = False,
    ) -> None:
        self.name, self.slots, self.local = name or model, slots, local
        self._model, self._headers, self._extra = model, headers, dict(extra or {})
        self._api_key_env, self._timeout_s = api_key_env, timeout_s
        self._shape = BodyShape(model, omit, rename, self.name)
        self._url = endpoint(base_url, path)
        self._origin = f"{self._url.scheme}://{self._url.netloc.decode()}"
        self._transport: httpx2.AsyncHTTPTransport | None = None
        self._rates, self._breaker = Rates(rpm, tpm), Breaker()

    @property
    def healthy(self) -> bool:
        """Whether a call sent now has a chance."""
        return self._breaker.healthy

    @property
    def wait_s(self) -> float:
        """How long a call made now has to wait for the rate limits, or because the server asked for a rest."""
        return self._rates.queue_s

    async def __aenter__(self) -> Self:
        self._transport = open_transport(self._url, self.slots)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def post(
        self,
        content: Callable[[], bytes],
        take: Callable[[httpx2.Response, Chunks], Awaitable[T]],
        *,
        most: int,
        used: Callable[[T], int],
    ) -> T:
        """What `take` makes of the answer to `content()`, which takes `most` tokens at most and `used` of its result.

        Where the server refuses it for a field that it can do without, it is asked again, and later calls spare that.

        Raises BadRequest when the server refuses the call, ModelFailed for all else, at the latest at the deadline.
        """
        entry: Entry | None = None
        ticket: object | None = None
        failed: bool | None = None
        try:
            with anyio.fail_after(self._timeout_s):
                self._check()
                entry = await self._rates.admit(most)
                self._check()  # others may have found out meanwhile, or may be about to
                ticket = self._breaker.begin()
                for lessons in range(MAX_LESSONS, -1, -1):
                    revision = self._shape.revision
                    try:
                        taken = await self._exchange(content(), take)
                        break
                    except ServerRefused as refused:
                        learnt = self._shape.revision > revision or self._shape.learn(refused.said)
                        if not (lessons and learnt):
                            raise refused.error from None
                    self._rates.settle(entry, 0)
                    entry = await self._rates.admit(most)
            failed = False
            self._rates.settle(entry, used(taken))
            return taken
        except TimeoutError:
            if entry is None:
                why = f"its rate limits left no room within {self._timeout_s:g} s; call it less often"
                raise self.failure(why, retry_after_s=round(self.wait_s, 1)) from None
            failed = True
            hint = "raise its timeout_s, lower max_tokens or try again"
            raise self.failure(f"no answer within {self._timeout_s:g} s; {hint}") from None
        except (BadRequest, ModelFailed) as error:
            # Having too much to do is no failure: it says so itself, and when to come again.
            status = error.data.get("status")
            failed = (
                None if status == 429 else isinstance(error, ModelFailed) and error.data.get("reason") not in HEALTHY
            )
            if entry is not None and (status is not None or ticket is None):
                self._rates.settle(entry, 0)
            raise
        finally:
            if ticket is not None:
                self._breaker.end(ticket, failed=failed)

    def _check(self) -> None:
        """Raises ModelFailed where only a probe has a chance, and one is under way or it is too early for it."""
        if not self._breaker.healthy:
            raise self.failure(f"it failed {MAX_FAILURES} times in a row; try again in {COOL_DOWN_S:g} s")

    def failure(self, why: str, **data: Any) -> ModelFailed:
        """The error of a model that failed, `why` being already without secrets."""
        return ModelFailed(f"model {self.name!r} at {self._origin}: {why}", **data)

    async def _exchange(self, content: bytes, take: Callable[[httpx2.Response, Chunks], Awaitable[T]]) -> T:
        if self._transport is None:
            raise KernelBug(f"model {self.name!r} was called before it was entered")
        try:
            response = await send(self._transport, self._request(content))
            try:
                async with aclosing(stream(response)) as chunks:
                    if not response.is_success:
                        raise self._refused(response, await read(chunks))
                    if response.headers.get("Content-Encoding", "identity") != "identity":
                        raise WireFault("its answer is compressed, which it was asked not to be")
                    return await take(response, chunks)
            finally:
                await response.aclose()
        except WireFault as fault:
            raise self.failure(self._quote(str(fault)), **fault.data) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            hint = "check that it runs and that base_url is right"
            raise self.failure(f"cannot connect: {self._quote(str(error))}; {hint}") from None
        except (httpx2.RequestError, OSError) as error:
            said = self._quote(str(error)) or type(error).__name__
            raise self.failure(f"the exchange broke off: {said}; try again") from None

    def _request(self, content: bytes) -> httpx2.Request:
        headers = {
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "aios",
        }
        request = httpx2.Request("POST", self._url, headers=headers, content=content)
        if self._api_key_env is not None and not re.fullmatch(r"[!-~]+", self._key()):
            why = f"environment variable {self._api_key_env} holds no API key; set it and try again"
            raise self.failure(why, permanent=True)
        request.headers.update(self._headers(self._key()))
        return request

    def _key(self) -> str:
        # Called where the key is needed rather than held in a variable, where a traceback with locals would show it.
        return os.environ.get(self._api_key_env or "", "").strip()

    def _refused(self, response: httpx2.Response, content: bytes) -> AiosError | ServerRefused:
        words = refused_text(content[:MAX_ERROR_BYTES])
        said = self._quote(words)
        status = response.status_code
        why = f"HTTP {status}{': ' if said else ''}{said}"
        if status in (400, 413, 422):
            reason = "context_length" if status == 413 or TOO_LONG.search(said) else None
            hint = HINT if reason is None and refuses_a_field(words) else "; change it"
            message = f"model {self.name!r} at {self._origin} refused the call: {why}{hint}"
            told = "" if reason else f"{refused_field(content[:MAX_ERROR_BYTES])}\n{words}"
            return ServerRefused(BadRequest(message, status=status, reason=reason), told)
        permanent = True
        if 300 <= status < 400:
            hint = "it redirects, which is not followed; set base_url to the final address"
        elif status in (401, 403):
            hint = f"check the API key in {self._api_key_env or 'an environment variable named by api_key_env'}"
        elif status == 404:
            hint = f"check that base_url ends in the API's prefix, such as /v1, and that it serves {self._model!r}"
        else:
            hint, permanent = "try again later", False
        after = retry_after_s(response)
        if after is not None and not permanent:
            permanent = after > MAX_REST_S
            self._rates.rest(min(after, MAX_REST_S))
        return self.failure(f"{why}; {hint}", status=status, retry_after_s=after, permanent=permanent or None)

    def _quote(self, text: str) -> str:
        return scrub(text, self._key())


def scrub(text: str, key: str) -> str:
    """A server's words on one line of at most `MAX_QUOTE` characters, without control characters, `key` or the like."""
    # The key goes before anything is cut: half a key is a secret too.
    text = (text.replace(key, "[secret]") if key else text)[:MAX_ERROR_BYTES]
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return SECRETS.sub("[secret]", line)[:MAX_QUOTE]
