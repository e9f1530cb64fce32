"""`aios.connect`: an agent in any process, over the daemon's socket and over HTTP, in code that awaits or blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import aios
from aios.link.place import Place
from aios.sdk import Agent
from aios.server.daemon import Daemon
from aios.server.tokens import home_token
from aios_syscalls import Budget, BudgetExceeded, Cancelled, Denied, NoKernel, ProcessState
from tests.daemon.conftest import Serving

pytestmark = pytest.mark.anyio


async def token_and_url(daemon: Daemon) -> dict[str, Any]:
    return {"url": await daemon.listen(), "token": home_token(Place.of_home().token)}


async def opened_by(way: str, daemon: Daemon) -> dict[str, Any]:
    return {} if way == "socket" else await token_and_url(daemon)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # as the daemon in this process


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_an_agent_asks_streams_and_has_a_process(serving: Serving, way: str) -> None:
    async with serving("one two three") as served:
        options = await opened_by(way, served.daemon)
        async with aios.connect("me", **options) as agent:
            assert await agent.ask("hi") == "one two three"
            async with agent.stream("hi") as pieces:
                assert [piece async for piece in pieces] == ["one ", "two ", "three"]
            (process,) = [each for each in await agent.ps() if each.pid == agent.pid]
            assert (process.program, process.state.alive) == ("me", True)
            assert await agent.call("calculator", expression="6 * 7") == 42


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_a_client_that_leaves_ends_its_process_and_what_it_asked_for(serving: Serving, way: str) -> None:
    async with serving("word " * 10_000, delay_s=0.01) as served:
        options = await opened_by(way, served.daemon)

        async def ask() -> None:
            async with aios.connect(**options) as agent:
                await agent.chat("hi", max_tokens=10_000)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not (await served.ask(status=True))["running"]:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        while (await served.ask(status=True))["calls"]:
            await anyio.lowlevel.checkpoint()
        assert served.model.held == 0


@pytest.mark.parametrize("way", ["socket", "http"])
async def test_a_killed_client_hears_that_it_was_killed(serving: Serving, way: str) -> None:
    async with serving("word " * 10_000, delay_s=0.01) as served:
        options = await opened_by(way, served.daemon)
        async with aios.connect(**options) as agent:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_kill_once_it_runs, served, agent)
                with pytest.raises(Cancelled, match="killed"):
                    await agent.chat("hi", max_tokens=10_000)
            with pytest.raises((Cancelled, NoKernel)):
                await agent.ask("again")


async def test_control_who_is_not_killed_gets_its_answer(serving: Serving) -> None:
    async with serving("fine") as served, aios.connect() as first, aios.connect() as second:
        await served.ask(kill=first.pid)
        assert await second.ask("hi") == "fine"


async def _kill_once_it_runs(served: Any, agent: Agent) -> None:
    while not (await served.ask(status=True))["running"]:
        await anyio.lowlevel.checkpoint()
    await served.ask(kill=agent.pid)


async def test_each_has_its_root_its_budget_and_nothing_of_others(serving: Serving, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    async with serving("x") as served:
        assert served
        async with aios.connect(root=tmp_path / "a") as one, aios.connect(root=tmp_path / "b") as two:
            await one.write("mine.txt", "secret")
            assert [each.path for each in await two.list()] == []
            assert {each.pid for each in await one.ps()} == {one.pid}
        async with aios.connect(budget=Budget(calls=1)) as bounded:
            await bounded.ask("hi")
            with pytest.raises(BudgetExceeded):
                await bounded.ask("hi")
    assert (tmp_path / "a" / "mine.txt").read_text() == "secret"


async def test_without_a_daemon_it_says_how_to_start_one() -> None:
    with pytest.raises(NoKernel, match="aios up"):
        async with aios.connect():
            pass
    with pytest.raises(NoKernel, match="aios up"):
        async with aios.connect(url="http://127.0.0.1:9", token="x"):
            pass


async def test_a_wrong_token_is_denied(serving: Serving) -> None:
    async with serving() as served:
        options = await token_and_url(served.daemon)
        with pytest.raises(Denied):
            async with aios.connect(url=options["url"], token="wrong"):
                pass
        async with aios.connect(**options) as agent:
            assert agent.pid


async def test_blocking_code_has_every_method_and_a_plain_iterator(serving: Serving) -> None:
    def use() -> tuple[str, list[str], Any, ProcessState]:
        with aios.connect_sync("blocks") as agent:
            with agent.stream("hi") as pieces:
                heard = list(pieces)
            return agent.ask("hi"), heard, agent.call("calculator", expression="1 + 1"), agent.ps()[0].state

    async with serving("one two"):
        # From a thread, as the daemon's event loop is this one.
        text, heard, value, state = await anyio.to_thread.run_sync(use)
    assert (text, heard, value) == ("one two", ["one ", "two"], 2)
    assert state.alive


def in_thread(work: Callable[[], Any]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_the_package_is_imported_without_what_connects() -> None:
    assert aios.connect is aios.connect
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = aios.nothing
