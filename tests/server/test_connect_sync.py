"""`aios.connect_sync`: the agent of a notebook or a script, whose methods block."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from pydantic import BaseModel

import aios
from aios.client.blocking import BlockingAgent
from aios.sdk import Agent
from aios_syscalls import Cancelled, Denied, NoKernel, NotFound
from tests.server.connecting import LONG, TellingModel, control, daemon_here, daemon_over_http, happens

pytestmark = pytest.mark.anyio
ANOTHER_WAY = {"stream", "conversation", "graph", "gather", "lock", "watch"}
"""Methods of `Agent` whose results are of an event loop; each has its counterpart."""


def methods(cls: type) -> dict[str, Callable[..., Any]]:
    return {name: each for name, each in inspect.getmembers(cls, callable) if not name.startswith("_")}


def test_each_public_method_of_an_agent_is_there_with_its_parameters() -> None:
    ours, theirs = methods(BlockingAgent), methods(Agent)
    assert set(theirs) - set(ours) == set()
    assert set(ours) - set(theirs) == {"close"}
    for name in set(theirs) - ANOTHER_WAY:
        assert parameters(ours[name]) == parameters(theirs[name]), name


def parameters(method: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.kind, each.default) for each in inspect.signature(method).parameters.values()]


def test_methods_have_the_documentation_of_the_agents() -> None:
    assert BlockingAgent.read_bytes.__doc__ == Agent.read_bytes.__doc__
    assert all(method.__doc__ for method in methods(BlockingAgent).values())


async def blocked(program: Callable[[], None]) -> None:
    """Run a script in a thread that has no event loop."""
    await anyio.to_thread.run_sync(program)


async def test_a_script_without_an_event_loop_asks_streams_and_keeps_files(tmp_path: Path) -> None:
    def script() -> None:
        with aios.connect_sync("my-script", root=tmp_path) as agent:
            assert agent.ask("hello") == "you said hello"
            stream = agent.stream("one two")
            assert list(stream) == ["you ", "said ", "one ", "two"]
            assert stream.reply.text == "you said one two"
            agent.write("note.txt", "kept")
            assert agent.read("note.txt") == "kept"
            assert [row.program for row in agent.ps()] == ["my-script"]
            assert agent.call("calculator", expression="2 * 3") == 6
            with pytest.raises(NotFound):
                agent.read("nothing")

    async with daemon_here(TellingModel()):
        await blocked(script)


async def test_conversations_graphs_and_many_calls_at_once_block_too(tmp_path: Path) -> None:
    def script() -> None:
        with aios.connect_sync(root=tmp_path) as agent:
            talk = agent.conversation("Be brief.")
            assert talk.ask("a") == "you said a"
            assert talk.say("b").text == "you said b"
            assert [turn.role for turn in talk.messages] == ["system", "user", "assistant", "user", "assistant"]
            graph = agent.graph()
            first = graph.chat("x")
            second = graph.chat(f"again: {first}")
            assert graph.answer(second).text == "you said again: you said x"
            assert graph.submit().keys() == {"1", "2"}
            assert agent.gather(*(agent.later.ask(text) for text in "ab")) == ["you said a", "you said b"]

    async with daemon_here(TellingModel()):
        await blocked(script)


async def test_locks_and_watches_block_too(tmp_path: Path) -> None:
    def script() -> None:
        with aios.connect_sync("a", root=tmp_path) as agent, aios.connect_sync("b", root=tmp_path) as other:
            agent.write("note.txt", "1")
            with agent.lock("note.txt"), pytest.raises(Denied, match="locked"):
                other.write("note.txt", "2")
            other.write("note.txt", "3")
            watch = agent.watch("note.txt", since=0)
            assert [next(watch).path for _ in range(2)] == ["note.txt", "note.txt"]

    async with daemon_here(TellingModel()):
        await blocked(script)


async def test_a_model_of_pydantic_is_filled_in(tmp_path: Path) -> None:
    class City(BaseModel):
        name: str

    def script() -> None:
        with aios.connect_sync(root=tmp_path) as agent:
            assert agent.extract('{"name": "Lyon"}', City).name == "Lyon"

    model = TellingModel(lambda chat: chat.messages[-1].content)
    async with daemon_here(model):
        await blocked(script)


async def test_a_stream_that_is_left_early_is_cancelled(tmp_path: Path) -> None:
    model = TellingModel()

    def script() -> None:
        with aios.connect_sync(root=tmp_path) as agent:
            with agent.stream("for ever", max_tokens=LONG) as stream:
                for _piece in stream:
                    assert model.running == 1
                    break
            assert model.idle.wait(20)
            assert agent.ask("next") == "you said next"

    async with daemon_here(model):
        await blocked(script)


async def test_it_works_where_an_event_loop_runs_already_as_in_a_notebook(tmp_path: Path) -> None:
    async def cell() -> str:
        with aios.connect_sync(root=tmp_path) as agent:
            return agent.ask("hello")

    async with daemon_here(TellingModel()):
        assert await anyio.to_thread.run_sync(asyncio.run, cell()) == "you said hello"


async def test_without_a_with_statement_it_is_closed_by_hand_and_says_so_afterwards(tmp_path: Path) -> None:
    def script() -> None:
        agent = aios.connect_sync(root=tmp_path)
        assert agent.ask("hello") == "you said hello"
        agent.close()
        agent.close()
        with pytest.raises(NoKernel, match="connect again"):
            agent.ask("more")
        with pytest.raises(NoKernel, match="connect again"):
            list(agent.stream("more"))
        with pytest.raises(NoKernel, match="connect again"), agent.lock("note.txt"):
            pass

    async with daemon_here(TellingModel()) as daemon:
        await blocked(script)
        assert daemon.config  # it has outlived its client
        assert (await control({"status": True}))["runs"] == {}


async def test_closing_ends_streams_and_locks_that_are_open(tmp_path: Path) -> None:
    def script() -> None:
        agent = aios.connect_sync(root=tmp_path)
        agent.write("note.txt", "1")
        stream = iter(agent.stream("for ever", max_tokens=LONG))
        assert next(stream) == "tick "
        with agent.lock("note.txt"):
            agent.close()
        with pytest.raises(NoKernel, match="connect again"):
            next(stream)

    async with daemon_here(TellingModel()):
        await blocked(script)


def test_where_no_daemon_runs_connecting_fails_and_leaves_no_thread() -> None:
    with pytest.raises(NoKernel, match="aios up"):
        aios.connect_sync()


async def test_several_threads_may_use_one_agent(tmp_path: Path) -> None:
    answers = []

    async with daemon_here(TellingModel()):
        agent = await anyio.to_thread.run_sync(lambda: aios.connect_sync(root=tmp_path))

        async def ask(text: str) -> None:
            answers.append(await anyio.to_thread.run_sync(agent.ask, text))

        async with anyio.create_task_group() as tasks:
            for text in "abcd":
                tasks.start_soon(ask, text)
        await anyio.to_thread.run_sync(agent.close)
    assert sorted(answers) == [f"you said {text}" for text in "abcd"]


async def test_a_killed_scripts_call_raises_and_so_does_its_next(tmp_path: Path) -> None:
    model, pids = TellingModel(), []

    def script() -> None:
        with aios.connect_sync(root=tmp_path) as agent:
            pids.append(agent.pid)
            for _ in range(2):
                with pytest.raises(Cancelled, match="killed"):
                    agent.chat("for ever", max_tokens=LONG)

    async with daemon_here(model), anyio.create_task_group() as tasks:
        tasks.start_soon(blocked, script)
        await happens(model.busy)
        await control({"kill": pids[0]})


def test_closing_in_one_thread_ends_what_another_waits_for(tmp_path: Path) -> None:
    model = TellingModel()
    with daemon_over_http(model) as daemon:
        agent = aios.connect_sync(root=tmp_path, url=daemon.url, token="token-of-ann")

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, wait)
                await happens(model.busy)
                await anyio.to_thread.run_sync(agent.close)

        def wait() -> None:
            with pytest.raises(NoKernel):
                agent.chat("for ever", max_tokens=LONG)

        anyio.run(main)
        assert model.idle.wait(20)
