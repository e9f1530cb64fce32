"""Programs of durable runs that send what no program sends: each is ended, and keeps nothing of the kernel's."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import pytest

from aios.frames import Frames
from aios.hosts.session import MAX_UNANSWERED, NotAFrame, Session
from aios.kernel.durable import DurableProcess
from aios.record import AskedCall, Heard, ReplayScript
from aios_syscalls import AiosError, ChatReply, Note, ReplayMismatch, Syscall
from aios_syscalls.wire import call_to_json

pytestmark = pytest.mark.anyio
NOTE = call_to_json(Note(value=1)).decode()


class Kernel:
    """Answers everything, and keeps what is reported."""

    def __init__(self) -> None:
        self.reported: list[Any] = []

    async def submit(self, call: Syscall[Any], emit: Callable[[str], None], *, pid: int, n: int) -> Any:
        return ChatReply(text="fine")

    def report(self, kind: Any, pid: int, data: Mapping[str, Any], n: int) -> None:
        self.reported.append((kind, n))


async def ended(frames: Sequence[str], script: ReplayScript | None = None) -> tuple[AiosError | str, DurableProcess]:
    """How the session ends of a program that sends these frames, and its log."""
    kernel = Kernel()
    log = DurableProcess(7, kernel, kernel.report, lambda call: call, script)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    async with Frames.over(ours, whole=False) as mine, Frames.over(theirs) as agent, anyio.create_task_group() as tasks:

        async def send() -> None:
            for frame in frames:
                await agent.send(frame.encode())

        tasks.start_soon(send)
        try:
            with anyio.fail_after(10):
                found: AiosError | str = await Session(mine, Silent(), anyio.Event(), log=log).serve()
        except AiosError as error:
            found = error
        tasks.cancel_scope.cancel()
    return found, log


class Silent:
    async def submit(self, call: Any, emit: Any = None) -> Any:
        raise AssertionError("a durable program's calls have numbers")


@pytest.mark.parametrize(
    "heard", ["[-1]", "[true]", '"x"', "{}", "[1.5]", "[1e30]", "[[1]]", "[1]", str([1] * 50)], ids=str
)
async def test_times_that_are_none_or_of_what_it_was_not_sent_end_it(heard: str) -> None:
    found, log = await ended([f'{{"cancel":1,"heard":{heard}}}'])
    assert isinstance(found, NotAFrame)
    assert log.take() == {}


async def test_a_flood_of_cancellations_leaves_nothing_in_the_kernel() -> None:
    flood = [f'{{"cancel":{n},"rang":{n + 1}}}' for n in range(5_000)]
    found, log = await ended([*flood, '{"result":"done"}'])
    assert found == "done"
    assert log.take() == {"heard": [-5_000]}


@pytest.mark.parametrize("numbers", [(2, 1), (3, 3), (1, 0)])
async def test_numbers_that_do_not_rise_end_it(numbers: tuple[int, int]) -> None:
    found, _ = await ended([f'{{"id":{n},"stream":false,"call":{NOTE}}}' for n in numbers])
    assert isinstance(found, NotAFrame)


def waiting() -> ReplayScript:
    """That of a program that had asked one thing, which it does not ask again."""
    script = ReplayScript(calls={1: AskedCall("process.note", {"value": 1}, ended=True)})
    script.inputs.append(Heard(1, {"ok": {"value": 1}}, 5))
    return script


async def test_a_resumed_program_that_asks_ever_more_else_is_ended() -> None:
    flood = [f'{{"id":{n},"stream":false,"call":{NOTE}}}' for n in range(2, MAX_UNANSWERED + 10)]
    found, _ = await ended(flood, waiting())
    assert isinstance(found, ReplayMismatch)


async def test_a_resumed_program_that_ends_too_early_is_none() -> None:
    found, _ = await ended(['{"result":"done"}'], waiting())
    assert isinstance(found, ReplayMismatch)
    assert "ended before it had asked" in found.message
