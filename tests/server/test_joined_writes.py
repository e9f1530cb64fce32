"""An answer's head waits for its body, and never longer than one pass of the event loop."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import anyio
import pytest

from aios.server.joined_writes import JoinedWrites

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the server's own


class Wire:
    """Notes what a transport is told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")

    def get_extra_info(self, name: str) -> str:
        return name


def joined() -> tuple[JoinedWrites, Wire]:
    wire = Wire()
    return JoinedWrites(cast(asyncio.Transport, wire)), wire


async def test_a_head_and_its_body_are_one_write() -> None:
    writes, wire = joined()
    writes.write(HEAD)
    assert wire.told == []
    writes.write(b"ok")
    writes.write(b"more")
    await anyio.lowlevel.checkpoint()
    assert wire.told == [HEAD + b"ok", b"more"]


async def test_a_head_alone_leaves_at_the_next_pass() -> None:
    writes, wire = joined()
    writes.write(HEAD)
    await anyio.lowlevel.checkpoint()
    assert wire.told == [HEAD]
    writes.write(b"later")
    assert wire.told == [HEAD, b"later"]


async def test_two_heads_leave_in_their_order() -> None:
    writes, wire = joined()
    for part in (HEAD, HEAD, b"a", HEAD, b"b"):
        writes.write(part)
    await anyio.lowlevel.checkpoint()
    assert b"".join(part for part in wire.told if isinstance(part, bytes)) == HEAD + HEAD + b"a" + HEAD + b"b"


async def test_a_close_sends_what_is_held_and_an_abort_does_not() -> None:
    writes, wire = joined()
    writes.write(HEAD)
    writes.close()
    await anyio.lowlevel.checkpoint()
    assert wire.told == [HEAD, "close"]
    writes, wire = joined()
    writes.write(HEAD)
    writes.abort()
    await anyio.lowlevel.checkpoint()
    assert wire.told == ["abort"]


async def test_all_else_is_the_transports_own() -> None:
    writes, _ = joined()
    assert cast(Any, writes).get_extra_info("peername") == "peername"
