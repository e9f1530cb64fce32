"""Every fault of a model server, asked for a stream and for one piece: at once, after a good call and beside some."""

from __future__ import annotations

import ctypes
import json
import logging
import resource
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import psutil
import pytest

from aios.models.remote.model import RemoteModel
from aios_syscalls import AiosError, Chat, ChatReply, Message, ModelFailed, ToolSpec, ToolUse, Usage
from tests.models.remote.fault_server import (
    LAST_CHUNK,
    STRANGER,
    STREAM,
    TRUSTED,
    UNFRAMED,
    FaultServer,
    Peer,
    Script,
    answer,
    chunked,
    events,
    head,
    tls,
    unpaused,
)

pytestmark = pytest.mark.anyio

KEY = "sk-far-0123456789/secret"
KIB, MIB, GIB = 1024, 1024**2, 1024**3
STALL_S = 0.5
"""The timeout of a call that never ends by itself."""
PROMPT_S = 5.0
"""The timeout of a call that ends by itself, long before."""
SLACK_S = 10.0
"""By which a busy machine may be late."""
ATTEMPTS = 10
MAX_GROWTH = 32 * MIB

USAGE = {"prompt_tokens": 7, "completion_tokens": 2}
HELLO = ChatReply(text="Hello", model="far", usage=Usage(**USAGE))
ADD = ChatReply(text="", tool_uses=(ToolUse(id="a", name="add", arguments={"x": 1}),), finish="tool_use", model="far")

ELSEWHERE = "http://elsewhere"
"""Stands for the origin that no call may reach, in what a server sends."""

Position = Literal["cold", "warm", "beside"]


def remote(url: str, timeout_s: float, *, stream: bool) -> RemoteModel:
    """The model under test: each call is one attempt."""
    return RemoteModel(url, "served", name="far", api_key_env="FAR_KEY", timeout_s=timeout_s, stream=stream)


# -- what servers send


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}]}


def whole(finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]}


def tool(index: int | None, id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


def piece(body: bytes | dict[str, Any], *headers: str) -> bytes:
    """A response that leaves its connection open."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    return head(200, "Content-Type: application/json", f"Content-Length: {len(body)}", *headers) + body


def sse(*payloads: dict[str, Any] | str) -> bytes:
    return STREAM + chunked(events(*payloads)) + LAST_CHUNK


HEL, LO, STOP, COUNT = delta("Hel"), delta("lo"), delta(finish="stop"), {"choices": [], "usage": USAGE}
WHOLE = whole(content="Hello") | {"usage": USAGE}
LATE = delta("late")
GOOD_STREAM, GOOD_PIECE = sse(HEL, LO, STOP, COUNT, "[DONE]"), piece(WHOLE)
JSON_CHUNKED = head(200, "Content-Type: application/json", "Transfer-Encoding: chunked")
JSON_UNFRAMED = head(200, "Content-Type: application/json", "Connection: close")
CUT = json.dumps(WHOLE).encode()[:-9]


def drip(start: bytes, part: bytes) -> Script:
    return lambda peer: peer.drip(start, *10_000 * [part])


def flood(start: bytes, block: bytes, size: int = GIB) -> Script:
    def script(peer: Peer) -> None:
        peer.send(start)
        for _ in range(size // len(block)):
            peer.send(block)

    return script


# -- the matrix


def no_fault(server: FaultServer) -> AbstractContextManager[None]:
    return nullcontext()


def other_greeting(certificate: Path | None) -> Callable[[FaultServer], AbstractContextManager[None]]:
    """New connections meet that certificate, or plain text."""

    @contextmanager
    def met(server: FaultServer) -> Iterator[None]:
        kept = server.tls, server.greeting
        server.tls = tls(certificate) if certificate else None
        server.greeting = b"" if certificate else answer(400, "speak TLS? no")
        yield
        server.tls, server.greeting = kept

    return met


@dataclass(frozen=True)
class Fault:
    """`stream` and `piece` are what the server sends to a call that asks for either, or None where it gets no call.

    The call ends with `reply` or else with a ModelFailed that says `why` and has `data`; two reasons where a
    stream fails otherwise than one piece.
    """

    kind: str
    name: str
    stream: Script | None = None
    piece: Script | None = None
    why: str | tuple[str, str] = ""
    reply: ChatReply | None = None
    data: dict[str, Any] = field(default_factory=dict)
    timeout_s: float = PROMPT_S
    breaks: Callable[[FaultServer], AbstractContextManager[None]] = no_fault
    secure: bool = False
    closes: bool = False
    """Whether the server ends the connection after what it sends."""

    @property
    def of_connect(self) -> bool:
        return self.stream is None


NO_ANSWER = f"no answer within {STALL_S:g} s"
BROKE = "the exchange broke off"
TOO_BIG = "answer is over 16777216 bytes"
EVENT_BLOCK = chunked(events(delta(64 * KIB * "x")))
BLANKS = 64 * KIB * b" "
TOOL = delta(tool_calls=[tool(0, "a", "add", '{"x":1}')])
TOOL_HEAD = delta(tool_calls=[tool(0, "a", "add", "")])
TOOL_REST = delta(tool_calls=[tool(0, "a", None, '{"x":1}')])
TOOL_END = delta(finish="tool_calls")
TOOL_USE = tool(None, "a", "add", '{"x":1}')


def status(kind: str, name: str, code: int, why: str, *headers: str, **data: Any) -> Fault:
    response = answer(code, f"<html>{KEY} Bearer {KEY}", *headers)
    return Fault(kind, name, response, response, f"HTTP {code}: <html>[secret]{why}", data={"status": code, **data})


def redirect(code: int) -> Fault:
    response = answer(code, b"", f"Location: {ELSEWHERE}/v1")
    return Fault(
        "redirect",
        f"redirect_{code}",
        response,
        response,
        f"HTTP {code}; it redirects, which is not followed",
        data={"status": code, "permanent": True},
    )


FAULTS = (
    Fault("refuse", "refuse", why="cannot connect", breaks=FaultServer.away),
    Fault("tls", "tls_untrusted", why="cannot connect", breaks=other_greeting(STRANGER), secure=True),
    Fault("tls", "tls_plain", why="cannot connect", breaks=other_greeting(None), secure=True),
    Fault("stall", "stall_syn", why=NO_ANSWER, timeout_s=STALL_S, breaks=lambda server: server.deaf(0)),
    Fault("stall", "stall_tls", why=NO_ANSWER, timeout_s=STALL_S, breaks=lambda server: server.deaf(64), secure=True),
    Fault(
        "header_drip",
        "header_drip",
        drip(head(200)[:-2] + b"X: ", b"x"),
        drip(head(200)[:-2] + b"X: ", b"x"),
        NO_ANSWER,
        timeout_s=STALL_S,
    ),
    Fault(
        "token_drip",
        "token_drip",
        drip(STREAM, chunked(events(delta("x")))),
        drip(JSON_CHUNKED + chunked(b'{"choices":[{"message":{"content":"'), chunked(b"x")),
        NO_ANSWER,
        timeout_s=STALL_S,
    ),
    status("429", "429", 429, " [secret]; try again later"),
    status("429", "429_retry_after", 429, " [secret]; try again later", "Retry-After: 0.04", retry_after_s=0.04),
    status("5xx", "500", 500, " [secret]; try again later"),
    status("5xx", "502", 502, " [secret]; try again later"),
    status("5xx", "503", 503, " [secret]; try again later", "Retry-After: 0.02", retry_after_s=0.02),
    redirect(302),
    redirect(308),
    Fault("invalid_json", "invalid_json", sse(HEL, "{nonsense"), piece(b"{nonsense"), "body: Invalid JSON"),
    Fault(
        "invalid_json",
        "invalid_utf8",
        STREAM + chunked(b'data: {"choices":[{"delta":{"content":"\xff"},"finish_reason":"stop"}]}\n\n') + LAST_CHUNK,
        piece(b'{"choices":[{"message":{"content":"\xff"},"finish_reason":"stop"}]}'),
        reply=HELLO.model_copy(update={"text": "\ufffd", "usage": Usage()}),
    ),
    Fault(
        "wrong_schema",
        "wrong_schema",
        sse(HEL, {"choices": [{"delta": {"content": 42}}]}),
        piece({"choices": [{"message": {"content": 42}, "finish_reason": "stop"}]}),
        ("choices.0.delta.content: Input should be a valid string", "choices.0.message.content: Input should be"),
    ),
    Fault(
        "wrong_schema",
        "no_choices",
        sse(HEL, {"answer": 42}),
        piece({"answer": 42}),
        ("the answer was cut off", "choices: Field required"),
    ),
    Fault("cut", "cut_chunked", STREAM + chunked(events(HEL)), JSON_CHUNKED + chunked(CUT), BROKE, closes=True),
    Fault(
        "cut",
        "cut_in_chunk",
        STREAM + chunked(events(HEL, STOP))[:-9],
        JSON_CHUNKED + chunked(CUT)[:-9],
        BROKE,
        closes=True,
    ),
    Fault(
        "cut",
        "cut_ended_chunks",
        STREAM + chunked(events(HEL)) + LAST_CHUNK,
        JSON_CHUNKED + chunked(CUT) + LAST_CHUNK,
        ("the answer was cut off", "Invalid JSON: EOF"),
    ),
    Fault(
        "cut",
        "cut_unframed",
        UNFRAMED + events(HEL),
        JSON_UNFRAMED + CUT,
        ("the answer was cut off", "Invalid JSON: EOF"),
        closes=True,
    ),
    Fault(
        "cut",
        "cut_in_event",
        UNFRAMED + events(HEL, STOP)[:-1],
        JSON_UNFRAMED + CUT[:30],
        ("the answer was cut off", "Invalid JSON: EOF"),
        closes=True,
    ),
    Fault(
        "cut",
        "cut_short_of_length",
        head(200, "Content-Type: text/event-stream", "Content-Length: 9999") + events(HEL),
        answer(200, WHOLE)[:-9],
        BROKE,
        closes=True,
    ),
    Fault(
        "cut",
        "cut_after_the_answer",
        head(200, "Content-Type: text/event-stream", "Content-Length: 9999") + events(HEL, LO, STOP, COUNT),
        head(200, "Content-Type: application/json", "Content-Length: 9999") + json.dumps(WHOLE).encode(),
        reply=HELLO,
        closes=True,
    ),
    Fault(
        "huge_body",
        "huge_body",
        flood(STREAM, EVENT_BLOCK),
        flood(head(200, "Content-Type: application/json", f"Content-Length: {GIB}"), BLANKS),
        TOO_BIG,
    ),
    Fault(
        "huge_body",
        "huge_chunks",
        flood(UNFRAMED, b":" + BLANKS + b"\n"),
        flood(JSON_CHUNKED, chunked(BLANKS)),
        TOO_BIG,
    ),
    Fault(
        "huge_body",
        "huge_error",
        flood(head(500, "Transfer-Encoding: chunked"), chunked(BLANKS)),
        flood(head(500, f"Content-Length: {GIB}"), BLANKS),
        TOO_BIG,
    ),
    Fault(
        "endless_line",
        "endless_line",
        flood(UNFRAMED + b"data: ", BLANKS),
        flood(JSON_UNFRAMED + b'{"choices":[{"message":{"content":"', 64 * KIB * b"x"),
        ("line of over 1048576 bytes", TOO_BIG),
    ),
    Fault(
        "endless_line", "endless_header", flood(head(200)[:-2] + b"X: ", BLANKS), flood(b"HTTP/1.1 200 ", BLANKS), BROKE
    ),
    Fault(
        "repeats",
        "repeated_finish",
        sse(HEL, LO, STOP, STOP, COUNT, "[DONE]"),
        piece({"choices": [*WHOLE["choices"], LATE["choices"][0] | {"index": 1}], "usage": USAGE}),
        reply=HELLO,
    ),
    Fault(
        "repeats",
        "finish_takes_length_back",
        sse(HEL, LO, delta(finish="length"), STOP, COUNT, "[DONE]"),
        sse(HEL, LO, delta(finish="length"), STOP, COUNT, "[DONE]"),
        reply=HELLO.model_copy(update={"finish": "length"}),
    ),
    Fault(
        "repeats",
        "finish_takes_a_filter_back",
        sse(HEL, LO, delta(finish="content_filter"), STOP, "[DONE]"),
        sse(HEL, LO, delta(finish="content_filter"), STOP, "[DONE]"),
        "finish reason 'content_filter'",
    ),
    Fault(
        "repeats",
        "after_done",
        sse(HEL, LO, STOP, COUNT, "[DONE]", LATE, {"error": "late"}, "{nonsense", "[DONE]"),
        sse(HEL, LO, STOP, COUNT, "[DONE]", LATE, {"error": "late"}, "{nonsense", "[DONE]"),
        reply=HELLO,
    ),
    Fault(
        "repeats",
        "after_the_end",
        GOOD_STREAM + sse(LATE, STOP, "[DONE]"),
        GOOD_PIECE + piece(whole(content="late")),
        reply=HELLO,
    ),
    Fault(
        "repeats",
        "repeated_tool",
        sse(TOOL, TOOL, TOOL_END, "[DONE]"),
        piece(whole("tool_calls", tool_calls=[TOOL_USE, tool(None, "a", "add", '{"x":1}{"x":1}')])),
        "'add' has broken arguments",
    ),
    Fault(
        "repeats",
        "repeated_tool_head",
        sse(TOOL_HEAD, TOOL_HEAD, TOOL_REST, TOOL_HEAD, TOOL_END, TOOL_END, TOOL_HEAD, "[DONE]"),
        piece(whole("tool_calls", tool_calls=[TOOL_USE, TOOL_USE])),
        reply=ADD,
    ),
    Fault(
        "repeats",
        "late_usage",
        sse(HEL, LO, {"choices": [], "usage": {"prompt_tokens": 1}}, STOP, COUNT, "[DONE]", COUNT),
        piece(json.dumps(WHOLE).replace("{", '{"usage": {"prompt_tokens": 1}, ', 1).encode()),
        reply=HELLO,
    ),
)

POSITIONS: tuple[Position, ...] = ("cold", "warm", "beside")
CASES = [
    pytest.param(fault, stream, position, id=f"{fault.name}-{'stream' if stream else 'piece'}-{position}")
    for fault in FAULTS
    for stream in (True, False)
    for position in POSITIONS
]


@dataclass
class Desk:
    """Gives good answers, except to a call that says "bad"; lets a call that says "wait" wait until `go` is set."""

    fault: Fault
    stream: bool
    elsewhere: str
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, peer: Peer) -> bool | None:
        if b"bad" in peer.asked.body:
            return self._misbehave(peer)
        if b"wait" in peer.asked.body:
            self.came.release()
            self.go.wait(PROMPT_S)
        peer.send(GOOD_STREAM if self.stream else GOOD_PIECE)
        return True

    def _misbehave(self, peer: Peer) -> bool | None:
        script = self.fault.stream if self.stream else self.fault.piece
        assert script is not None
        if not isinstance(script, bytes):
            return script(peer)
        peer.send(script.replace(ELSEWHERE.encode(), self.elsewhere.encode()))
        return not self.fault.closes


async def ask(model: RemoteModel, says: str) -> ChatReply:
    chat = Chat(messages=(Message(role="user", content=says),), tools=(ToolSpec(name="add"),))
    pieces: list[str] = []
    reply = await unpaused(model, chat, pieces.append)
    assert "".join(pieces) == reply.text
    return reply


async def good(model: RemoteModel, says: str = "good") -> int:
    """A good call, and how many attempts it took: `STALL_S`, for all calls of a model, is short for a busy machine."""
    for attempt in range(1, ATTEMPTS):
        try:
            assert await ask(model, says) == HELLO
            return attempt
        except ModelFailed as error:
            if NO_ANSWER not in error.message:
                raise
    assert await ask(model, says) == HELLO
    return ATTEMPTS


async def outcome(model: RemoteModel, timeout_s: float) -> ChatReply | AiosError:
    """What the bad call ends with, in time."""
    began = anyio.current_time()
    with anyio.fail_after(timeout_s + SLACK_S):
        try:
            return await ask(model, "bad")
        except AiosError as error:
            return error
        finally:
            assert anyio.current_time() - began < timeout_s + SLACK_S


async def beside(
    model: RemoteModel, desk: Desk, breaks: AbstractContextManager[None], timeout_s: float
) -> ChatReply | AiosError:
    """The outcome of the bad call, while two others have a connection each and one good call after the other."""
    over = False

    async def good_calls() -> None:
        await good(model, "wait")
        while not over:
            await good(model)

    async with anyio.create_task_group() as group:
        try:
            for _ in range(2):
                group.start_soon(good_calls)
            for _ in range(2):
                assert await anyio.to_thread.run_sync(desk.came.acquire, True, PROMPT_S)
            with breaks:
                async with anyio.create_task_group() as bad:
                    ended: list[ChatReply | AiosError] = []

                    async def bad_call() -> None:
                        ended.append(await outcome(model, timeout_s))

                    bad.start_soon(bad_call)
                    await anyio.wait_all_tasks_blocked()
                    desk.go.set()
                over = True
        finally:
            over = True
            desk.go.set()
    return ended[0]


def resident_peak() -> Callable[[], int]:
    """The highest resident size of this process since now, in bytes, where the system can say; else since ever."""
    with suppress(AttributeError):
        # What earlier tests freed and the allocator kept would hide as much growth.
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return lambda: KIB * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    return lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else KIB)


def check_secret(error: AiosError) -> None:
    texts = [repr(error), json.dumps(error.to_wire())]
    links: list[BaseException] = [error]
    for link in links:
        texts += ["".join(traceback.format_exception(link, chain=False)), repr(vars(link))]
        links += [each for each in (link.__cause__, link.__context__) if each is not None]
    # A reporter may show locals, but not those below a link that `from None` cut off.
    texts += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    assert not [text for text in texts if KEY in text]


@pytest.mark.parametrize(("fault", "stream", "position"), CASES)
async def test_fault(
    fault: Fault, stream: bool, position: Position, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FAR_KEY", KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(TRUSTED))
    peak = resident_peak()
    before = psutil.Process().memory_info().rss
    with FaultServer([b""]) as other:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, other.origin)
        desk = Desk(fault, stream, other.origin)
        with FaultServer([desk], tls=tls(TRUSTED) if fault.secure else None) as server:
            async with remote(server.url, fault.timeout_s, stream=stream) as model:
                if position == "beside":
                    ended = await beside(model, desk, fault.breaks(server), fault.timeout_s)
                else:
                    attempts = await good(model) if position == "warm" else 1
                    with fault.breaks(server):
                        if fault.of_connect:
                            server.drop()
                        ended = await outcome(model, fault.timeout_s)
                    assert server.connections == attempts or fault.of_connect
                await good(model)
                shown = repr(model)
        assert peak() - before <= MAX_GROWTH
        assert other.connections == 0
    if fault.reply is not None:
        assert ended == fault.reply
    else:
        why = fault.why[not stream] if isinstance(fault.why, tuple) else fault.why
        assert isinstance(ended, ModelFailed)
        assert type(ended) is ModelFailed
        assert ended.message.startswith(f"model 'far' at {server.origin}: ")
        assert why in ended.message
        assert ended.data == fault.data
        check_secret(ended)
    asked = [seen for seen in server.seen if seen.line.startswith("POST")]
    assert {seen.line for seen in asked} == {"POST /v1/chat/completions HTTP/1.1"}
    assert {seen.headers["authorization"] for seen in asked} == {f"Bearer {KEY}"}
    assert {seen.json()["stream"] for seen in asked} == {stream}
    assert sum(b"bad" in seen.body for seen in asked) == (not fault.of_connect)
    assert KEY not in shown
    assert KEY not in caplog.text


def test_the_matrix_is_whole() -> None:
    assert len({fault.kind for fault in FAULTS}) == 14
    assert len({case.id for case in CASES}) == len(CASES) == len(FAULTS) * 6 >= 84
