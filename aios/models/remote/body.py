"""Tells a stream of events from an answer in one piece by what comes, since the Content-Type is often wrong."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import httpx2

from aios.models.remote.sse import BOM

MIN_BEGINNING = 8
"""Bytes by which a body is told."""

FIELD = re.compile(rb"(?:data|event|id|retry)?:|(?:data|event|id|retry)[\r\n]")
NO_EVENTS = (b"{", b"[", b'"', b"<")
"""JSON, or a page."""


async def beginning(chunks: AsyncGenerator[bytes]) -> bytes:
    """The first bytes of a body, without what may stand in front of JSON or events: blanks and a byte order mark."""
    head = b""
    async for chunk in chunks:
        head = _without_mark(head + chunk)
        if len(head) >= MIN_BEGINNING:
            break
    return head


def _without_mark(head: bytes) -> bytes:
    return head.lstrip().removeprefix(BOM).lstrip()


def are_events(head: bytes, response: httpx2.Response) -> bool:
    """Whether a body that begins so is a stream of events; its Content-Type decides where nothing else does."""
    if FIELD.match(head):
        return True
    declared = response.headers.get("Content-Type", "").lower().lstrip().startswith("text/event-stream")
    return declared and not head.startswith(NO_EVENTS)


def vouches_for_its_end(response: httpx2.Response) -> bool:
    """Whether a clean end of the body is the end that the server meant, and not a connection that broke."""
    return "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
