"""`aios.connect` over the daemon's socket: the same agent in any process."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

import aios
from aios.client.order import client_order
from aios.frames import Frames
from aios.link.greeting import greeted, greeting
from aios.link.place import Place
from aios.sdk import Agent
from aios.terminal.exit import Code, code_of
from aios_syscalls import (
    BadRequest,
    Budget,
    BudgetExceeded,
    Cancelled,
    Chat,
    Denied,
    Message,
    NoKernel,
    NotFound,
    ReadFile,
    Syscall,
)
from aios_syscalls.wire import call_to_object
from tests.server.connecting import LONG, TellingModel, control, daemon_here, happens

pytestmark = pytest.mark.anyio
FOR_EVER = Chat(messages=(Message(role="user", content="for ever"),), max_tokens=100_000)


async def test_a_connected_script_asks_the_daemons_model_and_keeps_files_in_its_root(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()):
        async with aios.connect("my-script", root=tmp_path) as agent:
            assert await agent.ask("hello") == "you said hello"
            await agent.write("note.txt", "kept")
            (row,) = await agent.ps()
            assert (row.pid, row.program) == (agent.pid, "my-script")
    assert (tmp_path / "note.txt").read_text() == "kept"


async def test_an_answer_comes_piece_by_piece(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()), aios.connect(root=tmp_path) as agent:
        async with agent.stream("one two") as stream:
            pieces = [piece async for piece in stream]
        assert pieces == ["you ", "said ", "one ", "two"]
        assert stream.reply.text == "you said one two"


async def test_calls_that_name_no_priority_have_that_of_the_connection(tmp_path: Path) -> None:
    model = TellingModel()
    async with daemon_here(model), aios.connect(root=tmp_path, priority=7) as agent:
        await agent.ask("mine")
        await agent.ask("its own", priority=3)
    assert [call.priority for call in model.calls] == [7, 3]


async def test_the_budget_is_for_all_calls_together(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()), aios.connect(root=tmp_path, budget=Budget(calls=1)) as agent:
        await agent.ask("one")
        with pytest.raises(BudgetExceeded):
            await agent.ask("two")


async def test_two_clients_see_neither_each_others_processes_nor_files(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    async with daemon_here(TellingModel()), aios.connect("a", root=ours) as a, aios.connect("b", root=theirs) as b:
        await a.write("a.txt", "a")
        assert await b.list() == ()
        assert [row.program for row in await b.ps()] == ["b"]


async def test_where_no_daemon_runs_the_error_says_how_to_start_one() -> None:
    with pytest.raises(NoKernel, match="aios up") as caught:
        async with aios.connect():
            pass
    assert code_of(caught.value.code) is Code.NO_KERNEL


async def test_a_root_that_is_not_there_is_refused_as_such(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()):
        with pytest.raises(NotFound, match="no directory"):
            async with aios.connect(root=tmp_path / "nowhere"):
                pass


async def test_wrong_arguments_are_refused_before_anybody_is_asked() -> None:
    with pytest.raises(BadRequest, match="priority"):
        async with aios.connect(priority=1000):
            pass
    with pytest.raises(BadRequest, match="token"):
        async with aios.connect(url="http://127.0.0.1:1"):
            pass


async def test_a_program_cannot_be_started_where_nobody_hosts_it(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()), aios.connect("a", root=tmp_path) as agent:
        for program in ("summarise", "a"):
            with pytest.raises(Denied, match="aios run"):
                await agent.spawn(program)


async def test_an_error_of_the_script_comes_out_as_it_is(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()):
        with pytest.raises(ZeroDivisionError):
            async with aios.connect(root=tmp_path):
                raise ZeroDivisionError


async def test_a_call_of_more_than_a_mebibyte_is_refused_and_the_next_is_served(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()), aios.connect(root=tmp_path) as agent:
        with pytest.raises(BadRequest, match="limit of 1048576"):
            await agent.ask("x" * 1_100_000)
        assert await agent.ask("small") == "you said small"


async def test_a_client_that_sends_such_a_call_all_the_same_is_hung_up_on_and_others_are_not(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()), aios.connect(root=tmp_path) as agent, raw_client(tmp_path) as frames:
        with anyio.fail_after(20), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await frames.send({"id": 1, "stream": False, "call": {"call": "chat", "x": "x" * 3_000_000}})
            await frames.receive()
        assert await agent.ask("still here") == "you said still here"


async def test_a_client_of_another_protocol_is_told_to_start_the_daemon_anew() -> None:
    async with daemon_here(TellingModel()):
        sock = Place.of_home().dial()
        assert sock is not None
        async with Frames.over(sock) as frames:
            await frames.send(greeting("client") | {"aios": 99, "version": "9.9"})
            answer = await frames.receive()
    assert answer["error"]["code"] == "conflict"
    assert "9.9" in answer["error"]["message"]
    assert "aios restart" in answer["error"]["message"]


async def test_a_killed_clients_calls_are_cancelled_and_another_clients_go_on(tmp_path: Path) -> None:
    model, told = TellingModel(), []

    async def ask(agent: Agent) -> None:
        with pytest.raises(Cancelled, match="killed") as caught:
            await agent.chat("for ever", max_tokens=LONG)
        told.append(caught.value.message)

    async with daemon_here(model), aios.connect(root=tmp_path) as killed, aios.connect(root=tmp_path) as other:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask, killed)
            await reach(model, 3)
            async with other.stream("for ever", max_tokens=LONG) as stream:
                assert await anext(stream) == "tick "
                assert await control({"kill": killed.pid}) == [killed.pid]
                await reach(model, 1)
                assert await anext(stream) == "tick "  # the control: nobody killed this one
        assert len(told) == 3
        with pytest.raises(Cancelled, match="killed"):
            await killed.ask("again")
        assert await other.ask("me?") == "you said me?"


async def test_a_lost_connection_cancels_what_was_asked_over_it_and_nothing_else(tmp_path: Path) -> None:
    model = TellingModel()
    async with daemon_here(model), aios.connect(root=tmp_path) as other, raw_client(tmp_path) as lost:
        await lost.send(call_frame(1, FOR_EVER))
        await reach(model, 1)
        async with other.stream("for ever", max_tokens=LONG) as stream:
            assert await anext(stream) == "tick "
            assert model.running == 2  # the control: as long as it is connected, its call runs
            await lost.__aexit__(None, None, None)
            await reach(model, 1)
            assert await anext(stream) == "tick "
        while len((await control({"status": True}))["runs"]) > 1:
            await anyio.lowlevel.checkpoint()


async def test_a_cancelled_call_is_cancelled_in_the_daemon_too(tmp_path: Path) -> None:
    model = TellingModel()
    async with daemon_here(model), aios.connect(root=tmp_path) as agent:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.ask, "for ever")
            await happens(model.busy)
            tasks.cancel_scope.cancel()
        await happens(model.idle)
        assert await agent.ask("next") == "you said next"


async def test_when_the_daemon_goes_each_call_ends_once_and_says_so(tmp_path: Path) -> None:
    ends: list[str] = []

    async def ask(agent: Agent, what: str) -> None:
        with pytest.raises(NoKernel, match="aios up") as caught:
            await agent.ask(what)
        ends.append(f"{what}: {type(caught.value).__name__}")

    async with dying_daemon(calls=2), aios.connect(root=tmp_path) as agent:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, agent, "one")
            tasks.start_soon(ask, agent, "two")
        await ask(agent, "three")
    assert sorted(ends) == ["one: NoKernel", "three: NoKernel", "two: NoKernel"]


async def test_a_client_that_does_not_read_holds_up_neither_others_nor_the_daemons_end(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1_000_000)
    with anyio.fail_after(30):
        async with daemon_here(TellingModel()), aios.connect(root=tmp_path) as other, raw_client(tmp_path) as deaf:
            for id in range(1, 21):
                await deaf.send(call_frame(id, ReadFile(path="large")))
            assert await other.ask("me") == "you said me"
            await control({"stop": True})
            with pytest.raises((NoKernel, Cancelled)):  # it takes no more calls, or is gone already
                while True:
                    await other.list()


async def test_programs_with_event_loops_of_their_own_are_clients_of_their_own(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    async def main(name: str) -> tuple[int, str]:
        async with aios.connect(name, root=tmp_path) as agent:
            both.wait(20)
            return agent.pid, await agent.ask(name)

    found: dict[str, tuple[int, str]] = {}

    def program(backend: str) -> None:
        found[backend] = anyio.run(main, backend, backend=backend)

    async with daemon_here(TellingModel()), anyio.create_task_group() as tasks:
        for backend in ("asyncio", "trio"):
            tasks.start_soon(anyio.to_thread.run_sync, program, backend)
    assert found["asyncio"][1] == "you said asyncio"
    assert found["trio"][1] == "you said trio"
    assert found["asyncio"][0] != found["trio"][0]


async def test_an_agent_used_in_another_event_loop_says_where_it_belongs(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()), aios.connect(root=tmp_path) as agent:
        with pytest.raises(BadRequest, match="another event loop"):
            await anyio.to_thread.run_sync(anyio.run, agent.ps)


async def test_a_run_that_is_open_cannot_be_taken_over_by_its_id(tmp_path: Path) -> None:
    order = client_order(tmp_path, None, None, 0)
    async with daemon_here(TellingModel()):
        first, _ = await greeted(Place.of_home(), "client", order=order)
        async with first:
            assert "pid" in await first.receive()
            second, _ = await greeted(Place.of_home(), "client", order=order)
            async with second:
                assert (await second.receive())["error"]["code"] == "conflict"


async def test_one_bad_frame_ends_its_own_client_alone(tmp_path: Path) -> None:
    async with daemon_here(TellingModel()), aios.connect(root=tmp_path) as agent:
        for garbage in (b"no json", b"[]", b'{"id":-1}', b'{"id":1,"stream":1,"call":{}}'):
            async with raw_client(tmp_path) as frames:
                await frames.send(garbage)
                with anyio.fail_after(20), pytest.raises(anyio.EndOfStream):
                    await frames.receive()
        assert await agent.ask("me") == "you said me"


@asynccontextmanager
async def raw_client(root: Path) -> AsyncIterator[Frames]:
    """A client that does what it likes."""
    frames, _ = await greeted(Place.of_home(), "client", order=client_order(root, None, None, 0), program="raw")
    async with frames:
        assert (await frames.receive())["pid"] > 0
        yield frames


def call_frame(id: int, call: Syscall[Any]) -> dict[str, Any]:
    return {"id": id, "stream": False, "call": call_to_object(call)}


async def reach(model: TellingModel, running: int) -> None:
    """Wait until so many calls run."""
    with anyio.fail_after(20):
        while model.running != running:
            await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def dying_daemon(calls: int) -> AsyncIterator[None]:
    """What answers as a daemon does, and dies once it has heard so many calls."""
    place = Place.of_home()
    place.make()
    with place.listen() as sock:
        sock.setblocking(False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_die, sock, calls)
            yield


async def _die(listening: socket.socket, calls: int) -> None:
    await anyio.wait_readable(listening)
    async with Frames.over(listening.accept()[0]) as frames:
        assert (await frames.receive())["for"] == "client"
        await frames.send({"ok": {}})
        await frames.send({"pid": 1})
        for _ in range(calls):
            await frames.receive()
