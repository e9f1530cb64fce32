"""The requests that are measured, and a client that costs as little as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Self
from urllib.parse import urlsplit

from pydantic_core import to_json

TOKENS = 200
"""Of a streamed answer."""
TEXT = " ".join(f"word{number}" for number in range(TOKENS))

ASKED = {"model": "scripted", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
BODIES: Mapping[str, bytes] = {"/v1/chat/completions": to_json(ASKED), "/v1/messages": to_json(ASKED)}
STREAMED = to_json({**ASKED, "max_tokens": 2 * TOKENS, "stream": True})


def events() -> Iterator[bytes]:
    """What a route sends that streams the same text and does nothing else."""
    for word in TEXT.split():
        delta = {"index": 0, "delta": {"content": f"{word} "}, "logprobs": None, "finish_reason": None}
        yield b"data: " + to_json({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [delta]}) + b"\n\n"
    yield b"data: [DONE]\n\n"


class Connection:
    """A kept HTTP/1.1 connection, which reads no more of an answer than where it ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer, self._token = reader, writer, token

    @classmethod
    async def to(cls, url: str, token: str) -> Self:
        """A new connection."""
        where = urlsplit(url)
        return cls(*await asyncio.open_connection(where.hostname, where.port), token)

    def ask(self, path: str, body: bytes) -> None:
        """Send a request."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n"
            f"User-Agent: bench\r\nsession-id: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)

    async def answer(self) -> bytes:
        """The next answer's body. Raises RuntimeError for one that is no success."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return await self._chunks()
        at = lower.index(b"content-length: ") + 16
        return await self._reader.readexactly(int(lower[at : lower.index(b"\r\n", at)]))

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return b"".join(parts)

    def abort(self) -> None:
        """Vanish."""
        self._writer.transport.abort()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
