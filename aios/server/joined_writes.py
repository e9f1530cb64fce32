"""An HTTP answer's head and the first of its body leave in one system call."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD = b"HTTP/1."


class JoinedWrites:
    """A transport that holds an answer's head back until its body comes, or the event loop's next pass.

    To write costs a system call each time, and the head of an answer is followed by its body at once.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._held = b""

    def write(self, data: bytes) -> None:
        """Send bytes, after all that came before."""
        if self._held:
            data, self._held = self._held + data, b""
        elif data.startswith(HEAD):
            self._held = data
            asyncio.get_running_loop().call_soon(self._send_held)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what is held, then close."""
        self._send_held()
        self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever is held."""
        self._held = b""
        self._transport.abort()

    def _send_held(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class JoiningProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn picks the class when it is imported
    """uvicorn's HTTP protocol on such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(JoinedWrites(transport))
