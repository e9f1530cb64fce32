"""Server-sent events (WHATWG HTML 9.2) out of bytes, without I/O and within a limit."""

from __future__ import annotations

from collections.abc import Iterator

MAX_LINE_BYTES = 1024 * 1024


class WireFault(Exception):
    """What a server sent is not what its protocol allows; the message says how."""


class EventReader:
    """Cuts a byte stream into the data of its events; lines end in LF or CRLF.

    An event that the end of the stream cuts off never comes out.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that `chunk` completes. Raises WireFault for a line over 1 MiB."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line = self._join(end).removesuffix(b"\r")
            if line:
                self._keep(line)
            elif self._data:
                event, self._data = b"\n".join(self._data), []
                yield event
        self._line += rest
        self._check(len(self._line))

    def _join(self, end: bytes) -> bytes:
        if self._line:
            self._line += end
            end = bytes(self._line)
            self._line.clear()
        self._check(len(end))
        return end

    def _check(self, size: int) -> None:
        if size > MAX_LINE_BYTES:
            raise WireFault(f"it sent an event line of over {MAX_LINE_BYTES} bytes")

    def _keep(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
