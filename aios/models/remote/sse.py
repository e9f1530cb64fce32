"""Server-sent events (WHATWG HTML 9.2.6) out of bytes, without I/O and within a limit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

MAX_LINE_BYTES = 1024 * 1024
BOM = b"\xef\xbb\xbf"

_LINE_END = re.compile(rb"\r\n|\r|\n")


class WireFault(Exception):
    """What a server sent is not what its protocol allows; the message says how, `data` what programs can read."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.data = data


class EventNotJson(WireFault):
    """What came is no JSON, perhaps since it is only the beginning of some."""


class NoObject(EventNotJson):
    """What came is no object, nor begins one: in a stream that is no part of an answer, but a sign of life."""


class EventReader:
    """Cuts a byte stream into the data of its events; lines end in CR LF, LF or CR, and one byte order mark may lead.

    An event of one line need not end in a blank one, where it and the next line cannot be one JSON value.

    `name` is what the last event's `event` field said. An event that the end of the stream cuts off never comes out,
    unless `rest` is asked for it.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._event = self._next = ""
        self._begun = self._cr = False
        self.name = ""
        self.stray = b""
        """The last line that is of no event, but looks like JSON: some servers end a stream with an error as such."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that `chunk` completes. Raises WireFault for a line over 1 MiB."""
        chunk = self._without_mark(chunk)
        if self._cr and chunk:
            chunk, self._cr = chunk.removeprefix(b"\n"), False  # the other half of a CR LF
        *ends, rest = _LINE_END.split(chunk) if b"\r" in chunk else chunk.split(b"\n")
        for end in ends:
            yield from self._take(self._join(end))
        self._line += rest
        self._cr = self._cr or chunk.endswith(b"\r")
        self._check(len(self._line))

    def rest(self) -> Iterator[bytes]:
        """The data of an event that lacks its blank line: for streams whose end the transport vouches for."""
        yield from self._take(self._join(b""))
        yield from self._take(b"")

    def _without_mark(self, chunk: bytes) -> bytes:
        if self._begun:
            return chunk
        chunk = bytes(self._line) + chunk
        self._line.clear()
        if len(chunk) < len(BOM) and BOM.startswith(chunk):
            self._line += chunk
            return b""
        self._begun = True
        return chunk.removeprefix(BOM)

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

    def _take(self, line: bytes) -> Iterator[bytes]:
        if line:
            yield from self._keep(line)
            return
        self._event, self._next = self._next or self._event, ""
        yield from self._end()

    def _end(self) -> Iterator[bytes]:
        data, self._data = self._data, []
        self.name, self._event, self._next = self._event, self._next, ""
        if data:
            yield b"\n".join(data)

    def _keep(self, line: bytes) -> Iterator[bytes]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            if len(self._data) == 1 and _is_another(self._data[0], value):
                yield from self._end()
            self._data.append(value)
        elif field == b"event" and self._data:
            self._next = value.decode("utf-8", "replace")
        elif field == b"event":
            self._event = value.decode("utf-8", "replace")
        elif line.startswith(b"{"):
            self.stray = line


def _is_another(line: bytes, value: bytes) -> bool:
    """Whether a line of data is of another event than the one before it: that is a whole object, or this begins one."""
    line, value = line.strip(), value.strip()
    if not line.startswith((b"{", b"[")):
        return bool(line) and value.startswith(b"{")
    if not value or not line.endswith((b"}", b"]")):
        return False
    try:
        from_json(line)
    except ValueError:
        return False
    return True
