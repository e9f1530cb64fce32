"""What an agent sends, whatever it is: it ends its own session at worst, with an error of the ABI."""

from __future__ import annotations

import json
import socket
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios.frames import Frames
from aios.hosts.session import MAX_ERRORS, MAX_MESSAGE, Session
from aios_syscalls import AiosError, Budget, BudgetExceeded, ChatReply, NotFound, ProcessInfo, ProcessState, WaitReply
from aios_syscalls.table import TABLE

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["process.list", "llm.chat", "result", "NaN", "\ud800", "a\0b", "\x1b[2J", 2**64, -(2**64), 1e308]
    )
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
CALLS = st.builds(
    lambda name, fields: {**fields, "call": name},
    st.sampled_from(sorted(TABLE)),
    st.dictionaries(
        st.sampled_from(
            ["pid", "to", "body", "messages", "path", "program", "task", "max_tokens", "deadline_s", "texts"]
        ),
        JSON,
    ),
)
FRAMES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers() | JSON,
        "call": CALLS | JSON,
        "stream": st.booleans() | JSON,
        "cancel": st.integers() | JSON,
        "result": st.text() | JSON,
        "error": st.dictionaries(st.sampled_from(["code", "message", "field", "at", "self", "data"]), JSON) | JSON,
        "at": JSON,
    },
)
LINES = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    FRAMES.map(lambda frame: json.dumps(frame).encode()),
    FRAMES.map(lambda frame: json.dumps(frame, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.integers(1, 3000).map(lambda depth: b'{"id":1,"stream":false,"call":' + b"[" * depth + b"]" * depth + b"}"),
    st.integers(1, 6000).map(lambda digits: b'{"id":' + b"9" * digits + b',"stream":false,"call":{}}'),
)


class Port:
    """Answers every call, or refuses it."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    async def submit(self, call: Any, emit: Any = None) -> Any:
        if isinstance(self._outcome, AiosError):
            raise self._outcome
        return self._outcome


async def serve(data: bytes, outcome: Any) -> str | AiosError | anyio.EndOfStream:
    """How the session of an agent ends that sends these bytes and exits."""
    ours, theirs = socket.socketpair()
    exited = anyio.Event()

    async def send() -> None:
        async with Frames.over(theirs) as frames:
            await frames.send(data)
        exited.set()

    try:
        async with Frames.over(ours, 1 << 20, whole=False) as frames, anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            ended: str | AiosError | anyio.EndOfStream
            try:
                ended = await Session(frames, Port(outcome), exited).serve()
            except (AiosError, anyio.EndOfStream) as error:
                ended = error
            await frames.__aexit__(None, None, None)
            tasks.cancel_scope.cancel()
    except* (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # its session ended before it had sent everything
    return ended


@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, max_size=6), st.sampled_from([ChatReply(text="\ud800 \0 \x1b"), NotFound("no \udcff")]))
def test_no_bytes_of_an_agent_raise_anything_but_an_error_of_the_abi(lines: list[bytes], outcome: Any) -> None:
    ended = anyio.run(serve, b"\n".join(lines), outcome)
    assert isinstance(ended, str | AiosError | anyio.EndOfStream)
    if isinstance(ended, AiosError):
        assert len(ended.message) <= MAX_MESSAGE + 250
        json.dumps(ended.to_wire(), allow_nan=False)


CALL = b'{"id":1,"stream":false,"call":{"call":"llm.chat","messages":[{"role":"user","content":"x"}]}}\n'
SPENT = BudgetExceeded("all used up", "tokens", 0, 7)
CHILD = WaitReply(
    process=ProcessInfo(
        pid=2, parent=1, program="x", task="", state=ProcessState.FAILED, error=SPENT.to_wire(), left=Budget()
    )
)


def error(code: str, message: str, **fields: Any) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, **fields}}).encode()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("outcome", "sent", "code", "data"),
    [
        (SPENT, error("budget_exceeded", "all used up"), "budget_exceeded", SPENT.data),
        (SPENT, error("budget_exceeded", "all used up", left=99), "budget_exceeded", SPENT.data),
        (SPENT, error("budget_exceeded", "other words"), "agent_failed", {"cause": "budget_exceeded"}),
        (SPENT, error("denied", "all used up"), "agent_failed", {"cause": "denied"}),
        (CHILD, error("budget_exceeded", "all used up"), "budget_exceeded", SPENT.data),
        (ChatReply(text="ok"), error("budget_exceeded", "all used up"), "agent_failed", {"cause": "budget_exceeded"}),
        (ChatReply(text="ok"), error("cancelled", "killed"), "agent_failed", {"cause": "cancelled"}),
        (ChatReply(text="ok"), error("kernel_bug", "x"), "agent_failed", {"cause": "kernel_bug"}),
        (ChatReply(text="ok"), error("agent_failed", "x", pid=3), "agent_failed", {}),
    ],
)
async def test_an_error_is_the_kernels_only_where_the_kernel_gave_it(
    outcome: Any, sent: bytes, code: str, data: dict[str, Any]
) -> None:
    ours, theirs = socket.socketpair()
    async with Frames.over(ours) as frames, Frames.over(theirs) as agent, anyio.create_task_group() as tasks:
        ended: list[AiosError] = []

        async def session() -> None:
            with pytest.raises(AiosError) as caught:
                await Session(frames, Port(outcome), anyio.Event()).serve()
            ended.append(caught.value)

        tasks.start_soon(session)
        await agent.send(CALL.rstrip())
        await agent.receive()
        await agent.send(sent)
    assert (ended[0].code, ended[0].data) == (code, data)


def test_the_errors_that_are_remembered_are_bounded() -> None:
    session = Session(None, None, None)  # type: ignore[arg-type]
    for number in range(3 * MAX_ERRORS):
        session._remember(NotFound(f"no file {number}"))
    session._remember(NotFound("x" * (MAX_MESSAGE + 1)))
    assert len(session._errors) == MAX_ERRORS
    session._out.close()
    session._outgoing.close()


@pytest.mark.anyio
async def test_a_call_that_is_refused_as_its_agent_ends_raises_nothing() -> None:
    wrong = b'{"id": 1, "stream": true, "call": {"call": "process.wait", "pid": "x"}}\n{"result": "on"}'
    for _ in range(100):  # whether the call or the writer is ended first is the event loop's to choose
        assert await serve(wrong, ChatReply(text="x")) == "on"
