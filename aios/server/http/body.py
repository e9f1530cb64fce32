"""Reads the body of a request: bounded, unpacked, parsed; a large one away from the event loop."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import zstandard
from pydantic_core import from_json
from starlette.types import Receive

from aios.server.http.gate import Headers
from aios.server.http.refusal import HttpRefusal

T = TypeVar("T")

LARGE = 256 * 1024
"""Bytes of a body from which on it is parsed in a thread."""
BODY_S = 60.0
"""For which a body may take to come."""
THREADS = 4
"""Bodies that are parsed at once."""
GZIP, ZLIB, RAW = 31, 15, -15
"""Forms that zlib reads, as its `wbits`."""
ZSTD_WINDOW = 8 * 1024 * 1024
"""Bytes that a body may have its reader keep: what RFC 8878 asks every reader to take."""
ZSTD_PIECE = 1024
"""Bytes that are unpacked at once, before what comes out is counted: 32 MiB at worst, four bytes being a block."""


class Disconnected(Exception):
    """The client has left before its request was whole."""


async def read_body(receive: Receive, headers: Headers, most: int, within_s: float = BODY_S) -> bytes:
    """The body as it came. Raises HttpRefusal for one that is too large or too slow, Disconnected."""
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 18:
        raise HttpRefusal(400, "the Content-Length is not a number", connection="close")
    if int(declared) > most:
        raise _too_large(most)
    with anyio.move_on_after(within_s):
        return await _whole(receive, most)
    raise HttpRefusal(408, f"the body has not come within {within_s:g} s; send it faster", connection="close")


async def _whole(receive: Receive, most: int) -> bytes:
    pieces, size, more = [], 0, True
    while more:
        event = await receive()
        pieces.append(_piece(event))
        size += len(pieces[-1])
        if size > most:
            raise _too_large(most)
        more = event.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _piece(event: Any) -> bytes:
    if event["type"] == "http.disconnect":
        raise Disconnected
    piece: bytes = event.get("body", b"")
    return piece


def _too_large(most: int) -> HttpRefusal:
    why = f"the body has more than {most} bytes; send less, such as fewer or smaller attachments"
    return HttpRefusal(413, why, connection="close")


class BodyParser:
    """Turns bodies into what they ask for; `read` does that with the JSON object, in a thread where that takes long."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads = anyio.CapacityLimiter(THREADS)

    async def parse(self, body: bytes, encoding: str, read: Callable[[dict[str, Any]], T]) -> T:
        """What `read` makes of the body. Raises HttpRefusal, and what `read` raises."""
        if len(body) < LARGE and not encoding:
            return read(_object(body))

        def work() -> T:
            return read(_object(unpacked(body, encoding, self._most) if encoding else body))

        return await anyio.to_thread.run_sync(work, limiter=self._threads)


def encoding_of(headers: Headers) -> str:
    """How the body is packed, empty if it is not. Raises HttpRefusal for one that is not JSON by its type."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise HttpRefusal(415, "the Content-Type is not application/json; send the body as JSON and say so")
    encoding = headers.get(b"content-encoding", b"").strip().lower().decode("latin-1")
    if encoding in ("", "identity"):
        return ""
    if encoding not in ("gzip", "x-gzip", "deflate", "zstd"):
        raise HttpRefusal(415, "the Content-Encoding is not one of gzip, deflate and zstd; send the body without one")
    return encoding


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """A compressed body, as far as it is not larger than `most`. Raises HttpRefusal."""
    if encoding == "zstd":
        return _unpacked_zstd(body, most)
    form = GZIP if encoding != "deflate" else ZLIB if body[:1] and body[0] & 0x0F == 8 else RAW
    reader = zlib.decompressobj(form)
    try:
        plain = reader.decompress(body, most + 1)
        if len(plain) > most:
            raise _too_large(most)
    except zlib.error:
        raise HttpRefusal(400, f"the body is not {encoding}; send it as its Content-Encoding says") from None
    if not reader.eof or reader.unused_data:
        raise HttpRefusal(400, f"the body is not whole, or goes on after its end; send it in one piece of {encoding}")
    return plain


def _unpacked_zstd(body: bytes, most: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
    pieces, size = [], 0
    try:
        for at in range(0, len(body), ZSTD_PIECE):
            pieces.append(reader.decompress(body[at : at + ZSTD_PIECE]))
            size += len(pieces[-1])
            if size > most:
                raise _too_large(most)
    except zstandard.ZstdError:
        raise HttpRefusal(400, "the body is not zstd; send it as its Content-Encoding says") from None
    if not reader.eof or reader.unused_data:
        raise HttpRefusal(400, "the body is not whole, or goes on after its end; send it in one piece of zstd")
    return b"".join(pieces)


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise HttpRefusal(400, f"the body is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise HttpRefusal(400, "the body is not a JSON object; send one")
    return parsed
