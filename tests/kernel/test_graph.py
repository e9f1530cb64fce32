"""Graphs of calls through the one syscall: who runs when, on what, and what becomes of the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from aios.cores.chat_meter import ChatMeter
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Limits, RoutedCall, Turn, by_family, lone_run
from aios.kernel.graph import fill
from aios.kernel.request import AcceptedCall, Request
from aios.record import Event, Kind, SqliteJournal
from aios.scheduler import Fifo, ProgramFcfs, SchedulingPolicy
from aios.sdk import Agent
from aios_syscalls import (
    BadRequest,
    Budget,
    BudgetExceeded,
    CallId,
    CallTool,
    CallToolReply,
    Cancelled,
    Chat,
    ChatReply,
    Expired,
    Fill,
    InputFailed,
    Kill,
    Message,
    ModelFailed,
    Node,
    Output,
    Reply,
    RunGraph,
    RunGraphReply,
    Spawn,
    Usage,
    Wait,
)
from aios_syscalls.base import MAX_CALL_BYTES, MAX_REPLY_BYTES
from aios_syscalls.errors import from_wire

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])

CONTENT = ("messages", 0, "content")


def node(id: str, *parts: str | Output, after: tuple[str, ...] = (), **fields: Any) -> Node:
    """A chat that asks for the parts, joined; without any, for its own id."""
    chat = Chat(messages=(Message(role="user", content="" if parts else id),), **fields)
    return Node(id=id, run=chat, fill=(Fill(at=CONTENT, parts=parts),) if parts else (), after=after)


def of(id: str) -> Output:
    return Output(output=id)


def graph(*nodes: Node, **fields: Any) -> RunGraph:
    return RunGraph(nodes=nodes, **fields)


def chain(length: int) -> RunGraph:
    return graph(node("0"), *(node(str(n), f"{n}<", of(str(n - 1)), ">") for n in range(1, length)))


class Answers:
    """Answers each prompt by `reply`, after a second; notes who began and ended, and how many ran."""

    def __init__(self, reply: Callable[[str], str] = str.upper, delay_s: float = 1.0) -> None:
        self.log: list[str] = []
        self.times: dict[str, float] = {}
        self.running = self.most = 0
        self._reply, self._delay_s = reply, delay_s

    async def run(self, turn: Turn) -> Reply:
        assert isinstance(turn.call, Chat)
        prompt = turn.call.messages[0].content
        self.log.append(f"+{prompt}")
        self.times[prompt] = anyio.current_time()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await anyio.sleep(self._delay_s)
            reply = self._reply(prompt)
        finally:
            self.running -= 1
        self.log.append(f"-{prompt}")
        return ChatReply(text=reply, usage=Usage(completion_tokens=1))


def texts(reply: RunGraphReply) -> dict[str, str]:
    """What each node said, or the code of its error."""
    return {
        id: each.ok.text if isinstance(each.ok, ChatReply) else str((each.error or {})["code"])
        for id, each in reply.outcomes.items()
    }


def accepted(events: list[Event]) -> list[Event]:
    return [event for event in events if event.kind is Kind.ACCEPTED and event.data["name"] != "process.graph"]


# -- who runs when


@VIRTUAL
async def test_a_chain_hands_each_answer_to_the_next(opened: Any) -> None:
    core = Answers()
    async with opened(core, width=4) as bench:
        reply = await bench.run.submit(chain(10))
    assert texts(reply)["2"] == "2<1<0>>"
    assert texts(reply)["9"] == "".join(f"{n}<" for n in range(9, 0, -1)) + "0" + ">" * 9
    assert core.most == 1
    assert bench.history.ended_once()


@VIRTUAL
async def test_siblings_overlap_and_a_join_waits_for_the_last(opened: Any) -> None:
    core = Answers()
    call = graph(node("join", of("l"), "+", of("r")), node("l", of("top"), "l"), node("r", of("top"), "r"), node("top"))
    async with opened(core, width=4) as bench:
        reply = await bench.run.submit(call)
    assert list(texts(reply)) == ["join", "l", "r", "top"]
    assert texts(reply)["join"] == "TOPL+TOPR"
    assert core.log[:2] == ["+top", "-top"]
    assert core.log[6:] == ["+TOPL+TOPR", "-TOPL+TOPR"]
    assert core.times["TOPl"] == core.times["TOPr"]
    assert core.most == 2


@VIRTUAL
async def test_after_orders_without_handing_anything_over(opened: Any) -> None:
    core = Answers()
    async with opened(core, width=4) as bench:
        await bench.run.submit(graph(node("c", after=("b",)), node("b", after=("a",)), node("a")))
    assert core.log == ["+a", "-a", "+b", "-b", "+c", "-c"]


@VIRTUAL
async def test_nodes_are_calls_of_their_own_with_gang_and_depth(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, tuple[int, int]] = {}

    class Watching(Fifo):
        def add(self, job: Any, now: int = 0) -> None:
            seen[job.accepted.call.messages[0].content] = (job.graph_id, job.critical_path_depth)
            super().add(job)

    async with opened(Answers(), Watching(), width=4) as bench:
        await bench.run.submit(graph(node("a"), node("b", after=("a",)), node("c", after=("b",)), node("d")))
        await bench.run.submit(Chat(messages=(Message(role="user", content="alone"),)))
    assert seen == {"a": (2, 3), "b": (2, 2), "c": (2, 1), "d": (2, 1), "alone": (0, 0)}
    told = {event.data["call"].messages[0].content: event for event in accepted(bench.events)}
    assert len({event.id for event in told.values()}) == 5
    assert (told["b"].id, told["b"].data["depth"]) == (CallId(0, 1, "b"), 2)
    assert told["alone"].id == CallId(0, 2)
    assert bench.history.ended_once()


@VIRTUAL
@pytest.mark.parametrize(
    ("policy", "place"),
    # A slot that falls free is given away before what comes after its call is there: that goes first the next time.
    [(ProgramFcfs, 3), (Fifo, 5)],
)
async def test_a_policy_of_programs_lets_the_longest_way_to_an_end_pass_those_that_came_before(
    opened: Any, policy: Callable[[], SchedulingPolicy], place: int
) -> None:
    core = Answers()

    async def main(agent: Agent, task: str) -> None:
        path = node("start"), node("mid", after=("start",)), node("end", after=("mid",))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.ask, "first")
            await anyio.sleep(0.5)
            tasks.start_soon(agent.port.submit, graph(*path, *(node(each) for each in "abc")))

    async with opened(core, policy(), width=1, main=main) as bench:
        pid = (await bench.run.submit(Spawn(program="main"))).pid
        await bench.run.submit(Wait(pid=pid))
    order = [each[1:] for each in core.log if each[0] == "+"]
    assert order.index("mid") == place
    assert order[1] == "start" or policy is Fifo


@VIRTUAL
async def test_a_large_graph_leaves_its_process_room_for_other_calls(opened: Any) -> None:
    async def main(agent: Agent, task: str) -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.port.submit, graph(*(node(str(n)) for n in range(99))))
            await anyio.sleep(0.5)
            text = await agent.ask("now")
            tasks.cancel_scope.cancel()
        return text

    async with opened(Answers(), width=100, limits=Limits(calls_per_process=8), main=main) as bench:
        pid = (await bench.run.submit(Spawn(program="main"))).pid
        assert (await bench.run.submit(Wait(pid=pid))).process.result == "NOW"


@VIRTUAL
async def test_where_there_is_one_place_the_longest_way_goes_first(opened: Any) -> None:
    core = Answers()
    call = graph(node("short"), node("end", after=("mid",)), node("mid", after=("start",)), node("start"))
    async with opened(core, width=4, limits=Limits(calls=1)) as bench:
        await bench.run.submit(call)
    assert [each for each in core.log if each[0] == "+"] == ["+start", "+mid", "+short", "+end"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_is_ready_at_once_queues_by_the_way_that_is_left(opened: Any) -> None:
    core = Answers(delay_s=0)
    call = graph(
        *(node(f"leaf{n}") for n in range(3)),
        node("c", after=("b",)),
        node("b", after=("a",)),
        node("a"),
        node("d", after=("a",)),
    )
    async with opened(core) as bench:
        await bench.run.submit(call)
    assert [each[1:] for each in core.log if each[0] == "+"] == ["a", "leaf0", "leaf1", "leaf2", "b", "d", "c"]


@VIRTUAL
async def test_a_process_shows_what_its_nodes_wait_for(opened: Any) -> None:
    async def main(agent: Agent, task: str) -> str:
        await agent.port.submit(graph(node(task)))
        return ""

    async with opened(Answers(), main=main) as bench:
        for task in ("first", "second"):
            await bench.run.submit(Spawn(program="main", task=task))
        await anyio.sleep(0.5)
        assert sorted(process.doing() for process in bench.history.processes.values()) == ["llm", "queued"]
        call = next(each for each in bench.history.calls.values() if each.name == "llm.chat")
        assert call.id.node in ("first", "second")
        assert bench.history.calls[call.graph].name == "process.graph"


# -- how many


def runs(call: RunGraph, replies: list[RunGraphReply]) -> Any:
    async def main(agent: Agent, task: str) -> str:
        async with anyio.create_task_group() as tasks:
            for _ in range(int(task)):
                tasks.start_soon(one, agent)
        return "done"

    async def one(agent: Agent) -> None:
        replies.append(await agent.port.submit(call))

    return main


@VIRTUAL
@pytest.mark.parametrize(("graphs", "most"), [(1, 6), (2, 6), (8, 8)])
async def test_a_process_has_no_more_calls_under_way_than_it_may(opened: Any, graphs: int, most: int) -> None:
    core, replies = Answers(), list[RunGraphReply]()
    call = graph(node("top"), *(node(str(n), after=("top",)) for n in range(20)))
    async with opened(core, width=100, limits=Limits(calls_per_process=8), main=runs(call, replies)) as bench:
        pid = (await bench.run.submit(Spawn(program="main", task=str(graphs)))).pid
        assert (await bench.run.submit(Wait(pid=pid))).process.result == "done"
    assert core.most == most
    assert [set(texts(reply).values()) for reply in replies] == [{"TOP", *map(str, range(20))}] * graphs
    assert bench.history.ended_once()


# -- failure


def failing(*prompts: str) -> Callable[[str], str]:
    def reply(prompt: str) -> str:
        if prompt in prompts:
            raise ModelFailed(f"the model cannot say {prompt}", tried=("small", "big"))
        return prompt.upper()

    return reply


@VIRTUAL
async def test_who_needs_a_node_that_failed_is_not_run_and_the_others_go_on(opened: Any) -> None:
    call = graph(
        node("bad"),
        node("b", of("bad")),
        node("c", of("b")),
        node("d", of("c"), of("good")),
        node("good"),
        node("e", of("good")),
    )
    core = Answers(failing("bad"))
    async with opened(core, width=4) as bench:
        reply = await bench.run.submit(call)
    skipped = dict.fromkeys(("b", "c", "d"), "input_failed")
    assert texts(reply) == {"bad": "model_failed", **skipped, "good": "GOOD", "e": "GOOD"}
    error = from_wire(reply.outcomes["d"].error or {})
    assert isinstance(error, InputFailed)
    assert error.data == {"node": "bad", "cause": "model_failed"}
    assert error.message == "node 'd' was not run: 'bad', which it needs, failed: the model cannot say bad"
    with pytest.raises(ModelFailed) as caught:
        reply.outcomes["bad"].reply()
    assert caught.value.data == {"tried": ["small", "big"]}
    assert len(accepted(bench.events)) == 3
    assert [event.kind for event in bench.events if event.id == CallId(0, 1)] == [
        Kind.ACCEPTED,
        Kind.STARTED,
        Kind.DONE,
    ]
    assert bench.history.ended_once()


@VIRTUAL
async def test_a_budget_that_ends_midway_ends_the_rest_of_the_chain(opened: Any) -> None:
    async with opened(Answers(), budget=Budget(calls=4)) as bench:
        reply = await bench.run.submit(chain(6))
        with pytest.raises(BudgetExceeded):
            await bench.run.submit(Chat(messages=(Message(role="user", content="x"),)))
    assert [*texts(reply).values()][3:] == ["3<2<1<0>>>", "budget_exceeded", "input_failed"]
    assert (reply.outcomes["5"].error or {})["cause"] == "budget_exceeded"
    assert bench.history.ended_once()


@VIRTUAL
async def test_a_bug_in_a_core_is_the_node_s_error_alone(opened: Any) -> None:
    def broken(prompt: str) -> str:
        return prompt if prompt == "b" else str(1 // 0)

    async with opened(Answers(broken), width=2) as bench:
        reply = await bench.run.submit(graph(node("a"), node("b")))
    assert texts(reply) == {"a": "kernel_bug", "b": "b"}


# -- cancellation


@VIRTUAL
async def test_cancelling_the_caller_frees_every_slot_and_starts_nobody(opened: Any, counting: Any) -> None:
    core = counting(tick_s=1)
    call = graph(*(node(str(n), max_tokens=10) for n in range(8)), node("end", after=("0",)))
    async with opened(core, width=3) as bench:
        with anyio.move_on_after(5):
            await bench.run.submit(call)
        assert (core.running, bench.lane.running, bench.lane.waiting) == (0, 0, 0)
        assert bench.history.ended_once()
        ends = [event.kind for event in bench.events if event.kind in (Kind.DONE, Kind.CANCELLED)]
        assert ends == [Kind.CANCELLED] * 9
        reply = await bench.run.submit(graph(node("0", max_tokens=1)))
    assert texts(reply) == {"0": "done"}


@VIRTUAL
async def test_a_deadline_ends_the_whole_once(opened: Any, counting: Any) -> None:
    core = counting(tick_s=1)
    async with opened(core) as bench:
        with pytest.raises(Expired, match=r"process\.graph did not end within its deadline of 15 s"):
            await bench.run.submit(graph(*chain(3).nodes, deadline_s=15))
        assert (core.running, bench.lane.running) == (0, 0)
    assert bench.history.ended_once()


@VIRTUAL
async def test_a_node_has_a_deadline_of_its_own(opened: Any, counting: Any) -> None:
    call = graph(node("slow", max_tokens=9, deadline_s=5), node("next", of("slow")), node("quick", max_tokens=1))
    async with opened(counting(tick_s=1), width=2) as bench:
        reply = await bench.run.submit(call)
    assert texts(reply) == {"slow": "expired", "next": "input_failed", "quick": "done"}


@VIRTUAL
async def test_killing_a_process_takes_its_graph_along(opened: Any, counting: Any) -> None:
    core = counting(tick_s=1)
    replies: list[RunGraphReply] = []
    call = graph(*(node(str(n), max_tokens=100) for n in range(9)))
    limits = Limits(calls_per_process=4)
    async with opened(core, width=2, limits=limits, main=runs(call, replies)) as bench:
        pid = (await bench.run.submit(Spawn(program="main", task="2"))).pid
        await anyio.sleep(5)
        await bench.run.submit(Kill(pid=pid))
        assert (core.running, bench.lane.running, bench.lane.waiting) == (0, 0, 0)
        process = (await bench.run.submit(Wait(pid=pid))).process
        assert isinstance(from_wire(dict(process.error or {})), Cancelled)
    assert not replies
    assert bench.history.ended_once()


# -- what is put in


@VIRTUAL
async def test_what_a_model_says_is_put_in_once_and_never_read_as_a_reference(opened: Any) -> None:
    evil = '{"output": "secret"} {secret} ${secret} ["messages", 0, "content"]'
    core = Answers(lambda prompt: evil if prompt == "a" else prompt)
    async with opened(core, width=4) as bench:
        reply = await bench.run.submit(graph(node("secret"), node("a"), node("b", "Repeat: ", of("a"))))
    assert texts(reply)["b"] == f"Repeat: {evil}"


def test_a_tool_gets_values_as_they_are_and_texts_with_json_in_them() -> None:
    call = CallTool(tool="t", arguments={"n": "", "deep": [{"x": ""}], "text": "", "kept": {"output": "a"}})
    parts = (
        Fill(at=("arguments", "n"), parts=(of("a"),)),
        Fill(at=("arguments", "deep", 0, "x"), parts=(of("b"),)),
        Fill(at=("arguments", "text"), parts=("n is ", of("a"), " and ", of("b"))),
    )
    outputs = {"a": CallToolReply(value={"k": [1, None]}), "b": ChatReply(text="é")}
    filled = fill(Node(id="t", run=call, fill=parts), outputs)
    assert isinstance(filled, CallTool)
    assert filled.arguments == {
        "n": {"k": [1, None]},
        "deep": [{"x": "é"}],
        "text": 'n is {"k":[1,null]} and é',
        "kept": {"output": "a"},
    }
    assert call.arguments["deep"] == [{"x": ""}]


@VIRTUAL
async def test_what_gets_too_large_is_refused_by_name_of_the_node(opened: Any) -> None:
    core = Answers(lambda _prompt: "x" * (MAX_CALL_BYTES // 2 + 1))
    async with opened(core, width=4) as bench:
        reply = await bench.run.submit(graph(node("a"), node("b", of("a"), of("a")), node("c", of("a"))))
    assert texts(reply)["b"] == "bad_request"
    assert str((reply.outcomes["b"].error or {})["message"]).startswith("node 'b' takes 1048578 bytes of other nodes")
    assert texts(reply)["c"][:2] == "xx"


@VIRTUAL
async def test_the_reply_of_a_graph_stays_within_that_of_a_call(opened: Any) -> None:
    core = Answers(lambda prompt: "x" * (MAX_REPLY_BYTES * 3 // 4) if prompt != "small" else "s")
    async with opened(core, width=4) as bench:
        reply = await bench.run.submit(graph(node("a"), node("b"), node("small")))
    assert [text[:11] for text in texts(reply).values()] == ["x" * 11, "bad_request", "s"]


async def test_tools_and_chats_mix_over_their_own_lanes(tmp_path: Path) -> None:
    class Adds:
        async def run(self, turn: Turn) -> Reply:
            assert isinstance(turn.call, CallTool)
            return CallToolReply(value=sum(turn.call.arguments.values()))

    calls = defaultdict[str, list[str]](list)

    async def route(passage: RoutedCall) -> Reply:
        calls[passage.call.name].append(str(passage.id))
        return await by_family(passage)

    lanes = [Lane("llm", Answers(delay_s=0), Fifo(), meter=ChatMeter()), Lane("tool", Adds(), Fifo())]
    first = Node(id="add", run=CallTool(tool="add", arguments={"a": 1, "b": 2}))
    second = Node(
        id="more",
        run=CallTool(tool="add", arguments={"a": "", "b": 4}),
        fill=(Fill(at=("arguments", "a"), parts=(of("add"),)),),
    )
    async with SqliteJournal(tmp_path / "j.db") as journal, lone_run(lanes, route, TaskHost(), journal) as kernel:
        reply = await kernel.submit(graph(first, second, node("say", "is it ", of("more"), "?")))
    assert reply.outcomes["more"].ok == CallToolReply(value=7)
    assert texts(RunGraphReply(outcomes={"say": reply.outcomes["say"]})) == {"say": "IS IT 7?"}
    assert calls == {"process.graph": ["0.1"], "tool.call": ["0.1:add", "0.1:more"], "llm.chat": ["0.1:say"]}


# -- at the border


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ((node("a", after=("c",)), node("b", of("a")), node("c", of("b"))), "'a' -> 'b' -> 'c' -> 'a'"),
        ((node("a", of("a")),), "'a' -> 'a'"),
        ((node("a", of("z")),), "node 'a' needs 'z', which is no node"),
        ((node("a"), node("b"), node("a")), "more than one node is called 'a'"),
        (tuple(node(str(n)) for n in range(257)), "at most 256 items"),
        ((), "at least 1 item"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_by_name(nodes: tuple[Node, ...], says: str) -> None:
    from aios_syscalls.wire import call_from_object

    wire = {"call": "process.graph", "nodes": [each.model_dump(mode="json") for each in nodes]}
    with pytest.raises(BadRequest, match=says) as refused:
        call_from_object(wire)
    assert refused.value.field == "nodes"


def test_a_request_outside_of_graphs_has_no_gang() -> None:
    accepted = AcceptedCall(number=1, call_id=CallId(0, 1), call=node("a").run, emit=lambda _text: None)
    request = Request(accepted)
    assert (request.graph_id, request.critical_path_depth) == (0, 0)


def test_a_large_output_that_is_named_very_often_is_refused_before_it_is_joined() -> None:
    often = node("b", *[of("a")] * 30_000)
    with pytest.raises(BadRequest, match="node 'b' takes 491520000000 bytes"):
        fill(often, {"a": ChatReply(text="x" * 16_384_000)})
