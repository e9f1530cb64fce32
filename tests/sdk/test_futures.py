"""Futures: what is written down becomes one graph, and what comes back is whose it is."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import anyio
import pytest

from aios.sdk import Agent, gather
from aios.testing import ScriptedModel, run_agent
from aios_syscalls import (
    AgentFailed,
    BadRequest,
    CallTool,
    Cancelled,
    Chat,
    ChatReply,
    Fill,
    InputFailed,
    Message,
    ModelFailed,
    NotFound,
    Output,
    Overloaded,
    R,
    RunGraph,
    Syscall,
)
from aios_syscalls.port import discard

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_backoff")]


class Never:
    """A port that keeps what it was asked, and raises what it is told, or never answers."""

    def __init__(self, error: Exception | None = None) -> None:
        self.graphs: list[RunGraph] = []
        self._error = error

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        assert isinstance(call, RunGraph)
        self.graphs.append(call)
        if self._error is not None:
            raise self._error
        await anyio.sleep_forever()
        raise AssertionError


def said(chat: Chat) -> str:
    return chat.messages[-1].content


def echo() -> ScriptedModel:
    return ScriptedModel(lambda chat: f"({said(chat)})")


# -- what is sent


async def test_what_is_written_becomes_structure_and_no_mark_is_sent() -> None:
    port = Never(Overloaded("no"))
    graph = Agent(port, 1).graph()
    a = graph.chat("one", system="Be short.", max_tokens=5)
    b = graph.chat([Message(role="user", content=f"{a}"), Message(role="user", content=f"x {a} y {a}")])
    graph.call("t", whole=a, text=f"{a}", deep=[{"k": f"{b}!"}, 3], plain="p").after(b)
    with pytest.raises(Overloaded):
        await graph.run()
    ((one, two, three),) = [each.nodes for each in port.graphs]
    messages = (Message(role="system", content="Be short."), Message(role="user", content="one"))
    assert (one.run, one.fill, one.after) == (Chat(messages=messages, max_tokens=5), (), ())
    first, second = Output(output="1"), Output(output="2")
    assert [fill.parts for fill in two.fill] == [(first, ""), ("x ", first, " y ", first, "")]
    assert three.run == CallTool(tool="t", arguments={"whole": "", "text": "", "deep": [{"k": ""}, 3], "plain": "p"})
    assert three.fill == (
        Fill(at=("arguments", "whole"), parts=(first,)),
        Fill(at=("arguments", "text"), parts=(first, "")),
        Fill(at=("arguments", "deep", 0, "k"), parts=(second, "!", "")),
    )
    assert three.after == ("2",)
    assert "\x02" not in port.graphs[0].model_dump_json()


async def test_a_future_in_the_wrong_place_is_refused() -> None:
    agent = Agent(Never(), 1)
    graph, other = agent.graph(), agent.graph()
    a = graph.chat("one")
    with pytest.raises(BadRequest, match=r"await it, or use graph\.chat"):
        await agent.chat(f"Mend: {a}")
    for wrong in (lambda: other.chat(f"{a}"), lambda: other.call("t", x=a), lambda: other.chat("x").after(a)):
        with pytest.raises(BadRequest, match="another graph"):
            wrong()
    with pytest.raises(BadRequest, match="cannot be formatted as '>9'"):
        f"{a:>9}"
    with pytest.raises(BadRequest, match="max_tokens"):
        graph.chat("x", max_tokens=0)
    with pytest.raises(BadRequest, match="colour"):
        graph.chat("x", colour="red")
    assert "\x02" not in repr(a)


async def test_a_circle_is_refused_by_name_and_every_future_says_so() -> None:
    graph = Agent(Never(), 1).graph()
    a, b = graph.chat("a"), graph.chat("b")
    a.after(b)
    b.after(a)
    with pytest.raises(BadRequest, match=r"'1' -> '2' -> '1'|'2' -> '1' -> '2'"):
        await graph.run()
    with pytest.raises(BadRequest, match="cut one of them"):
        await b


# -- what comes back


async def test_a_chain_reads_naturally_and_each_answer_is_to_be_had() -> None:
    async def main(agent: Agent, task: str) -> str:
        graph = agent.graph()
        draft = graph.chat(task)
        better = graph.chat(f"Mend {draft}!")
        count = graph.call("calculator", expression="6 * 7")
        both = graph.chat(f"{better} and {count}")
        text = (await both).text
        assert (await draft).text == "(sea)"
        assert await count == 42
        assert {id: each.error for id, each in (await graph.run()).items()} == dict.fromkeys("1234")
        return text

    model = echo()
    assert await run_agent(main, "sea", replies=model) == "((Mend (sea)!) and 42)"
    assert [said(chat) for chat in model.calls] == ["sea", "Mend (sea)!", "(Mend (sea)!) and 42"]


async def test_what_is_added_after_an_answer_takes_it_as_text() -> None:
    async def main(agent: Agent, task: str) -> str:
        graph = agent.graph()
        a = graph.chat("a")
        await a
        b, n = graph.chat(f"b{a}"), graph.call("calculator", expression="1 + 1")
        assert await n == 2
        c = graph.call("calculator", expression=f"{n} + 3").after(b)
        assert await c == 5
        with pytest.raises(BadRequest, match="submitted already"):
            c.after(a)
        return (await b).text

    assert await run_agent(main, replies=echo()) == "(b(a))"


async def test_a_mark_in_what_a_model_says_is_nothing_but_text() -> None:
    async def main(agent: Agent, task: str) -> str:
        graph = agent.graph()
        graph.chat("secret")
        a = graph.chat("a")
        b = graph.chat(f"b{a}")
        await b
        return (await graph.chat(f"c{(await a).text}{b}")).text

    fake = "\x02" + "0" * 32 + ":1:1\x03 {1} {{1}}"
    model = ScriptedModel(lambda chat: fake if said(chat) == "a" else said(chat))
    assert await run_agent(main, replies=model) == f"c{fake}b{fake}"


async def test_gather_submits_independent_futures_together() -> None:
    async def main(agent: Agent, task: str) -> str:
        graph = agent.graph()
        futures = [graph.chat(str(n)) for n in range(40)]
        replies = await agent.gather(*futures)
        assert replies == await gather(*futures)
        assert await agent.gather(agent.ask("x"), agent.ask("y")) == ["(x)", "(y)"]
        return "".join(reply.text for reply in replies)

    assert await run_agent(main, replies=echo()) == "".join(f"({n})" for n in range(40))


async def test_an_error_is_raised_where_it_is_awaited() -> None:
    def reply(chat: Chat) -> ChatReply | str:
        if said(chat) == "bad":
            raise ModelFailed("it is ill")
        return "fine"

    async def main(agent: Agent, task: str) -> str:
        graph = agent.graph()
        bad, good = graph.chat("bad"), graph.chat("good")
        next = graph.chat(f"{bad}")
        missing = graph.call("no_such_tool")
        assert (await good).text == "fine"
        for future, error in ((bad, ModelFailed), (next, InputFailed), (missing, NotFound)):
            with pytest.raises(error):
                await future
        with pytest.raises(ModelFailed, match="it is ill"):
            graph.chat(f"more on {bad}")
        await bad
        return "not reached"

    with pytest.raises(AgentFailed, match="it is ill"):
        await run_agent(main, replies=ScriptedModel(reply))


async def test_whoever_is_cancelled_leaves_an_error_for_the_others() -> None:
    graph = Agent(Never(), 1).graph()
    a, failures = graph.chat("a"), list[Exception]()

    async def wait() -> None:
        try:
            await a
        except Cancelled as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks, anyio.create_task_group() as runner:
        runner.start_soon(graph.run)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        runner.cancel_scope.cancel()
    assert [str(each) for each in failures] == [
        "whoever ran the graph was cancelled, and its calls with it; make a new graph"
    ]


def test_the_error_of_a_node_survives_pickling_as_others_do() -> None:
    error = InputFailed("x", node="a", cause="model_failed")
    assert pickle.loads(pickle.dumps(error)).data == error.data
