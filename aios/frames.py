"""JSON objects over a byte stream, one a line: how processes of ours talk to each other."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic_core import from_json, to_json

MAX_FRAME_BYTES = 32 * 1024 * 1024


def encode(frame: bytes | dict[str, Any]) -> bytes:
    """A frame as it is sent, given as an object or as JSON without a newline."""
    return (to_json(frame) if isinstance(frame, dict) else frame) + b"\n"


def send_blocking(sock: socket.socket, frame: dict[str, Any]) -> None:
    """Send one object where there is no event loop; waits while the other side does not read. Raises OSError."""
    sock.sendall(encode(frame))


class Frames:
    """Both directions of a stream of frames.

    Any task may send; one task at a time receives. A closed or broken stream raises anyio.EndOfStream from
    `receive` and anyio.BrokenResourceError or anyio.ClosedResourceError from `send`.
    """

    def __init__(self, stream: ByteStream, max_bytes: int = MAX_FRAME_BYTES, *, whole: bool = True) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self.received_bytes = 0
        """Of the object received last."""
        self._whole = whole
        self._buffer = BufferedByteReceiveStream(stream)
        self._sending = anyio.Lock(fast_acquire=True)

    @classmethod
    def over(cls, sock: socket.socket, max_bytes: int = MAX_FRAME_BYTES, *, whole: bool = True) -> Self:
        """Frames over a connected Unix socket, which they own from now on.

        With `whole`, a cancelled send is completed first, so that the stream stays usable; without, it is not, so
        that a peer that does not read can hold up nobody.
        """
        return cls(_SocketStream(sock), max_bytes, whole=whole)

    def limit(self, max_bytes: int, *, whole: bool) -> None:
        """From here on take objects of so many bytes at most; `whole` as in `over`."""
        self._max_bytes, self._whole = max_bytes, whole

    async def send(self, frame: bytes | dict[str, Any]) -> None:
        """Send one object, given as such or as JSON without a newline."""
        line = encode(frame)
        async with self._sending:
            with anyio.CancelScope(shield=self._whole):
                await self._stream.send(line)

    async def receive(self) -> Any:
        """The next object.

        Raises anyio.EndOfStream, ValueError for a line that is no JSON, anyio.DelimiterNotFound for one too long.
        """
        try:
            line = await self._buffer.receive_until(b"\n", self._max_bytes)
        except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise anyio.EndOfStream from None
        self.received_bytes = len(line)
        return from_json(line)

    def end_input(self) -> None:
        """The peer can send no more; what it has sent already is received still, then anyio.EndOfStream is raised.

        Of sockets, and on Linux: elsewhere the system would drop what has arrived, and the peer's own end must do.
        """
        if isinstance(self._stream, _SocketStream):
            self._stream.end_input()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await anyio.aclose_forcefully(self._stream)


class _SocketStream(ByteStream):
    """A connected socket. anyio's own Unix stream breaks the loop when data come as its reader is cancelled."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = self._sock.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._sock)
            except OSError as error:
                raise anyio.BrokenResourceError from error
            else:
                if not data:
                    raise anyio.EndOfStream
                return data

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        left = memoryview(item)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._sock)
            except OSError as error:
                raise anyio.BrokenResourceError from error

    def end_input(self) -> None:
        if sys.platform == "linux":
            with suppress(OSError):  # closed already
                self._sock.shutdown(socket.SHUT_RD)

    async def send_eof(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        if self._sock.fileno() >= 0:
            anyio.notify_closing(self._sock)
            self._sock.close()
        await anyio.lowlevel.checkpoint()
