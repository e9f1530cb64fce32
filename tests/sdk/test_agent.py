"""The SDK against a port that records: sugar must build exactly the call it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel, Field

from aios.sdk import Agent, gather, rank_tools, solve
from aios.sdk.tool_choice import NO_TOOL
from aios_syscalls import (
    AgentFailed,
    BadRequest,
    Budget,
    CallTool,
    CallToolReply,
    Chat,
    ChatReply,
    Embed,
    EmbedReply,
    GiveFeedback,
    GiveFeedbackReply,
    ListProcessesReply,
    ListTools,
    ListToolsReply,
    Message,
    ModelFailed,
    NotFound,
    ProcessInfo,
    ProcessState,
    Rank,
    Ranked,
    RankReply,
    ReadFile,
    ReadFileReply,
    Reply,
    Sampling,
    Spawn,
    SpawnReply,
    Syscall,
    ToolFailed,
    ToolSpec,
    ToolUse,
    Wait,
    WaitReply,
    WriteFile,
    WriteFileReply,
)
from aios_syscalls.port import discard

pytestmark = pytest.mark.anyio
ADD = ToolSpec(name="add")


class Script:
    """A port that answers from a list, and keeps what it was asked."""

    def __init__(self, *answers: Reply | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[Syscall[Any]] = []

    async def submit(self, call: Any, emit: Callable[[str], None] = discard) -> Any:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, ChatReply):
            for piece in answer.text.split():
                emit(piece)
                await anyio.lowlevel.checkpoint()
        return answer


def ranking(*options: str) -> RankReply:
    """A reply with the options in falling order of score, the last one named first."""
    ranked = [Ranked(option=each, log_likelihood=-1.0, score=-float(n)) for n, each in enumerate(options)]
    return RankReply(options=tuple(ranked[::-1]), best=len(ranked) - 1)


def agent_of(*answers: Reply | Exception) -> tuple[Agent, Script]:
    port = Script(*answers)
    return Agent(port, 7), port


async def test_chat_builds_one_frozen_call() -> None:
    agent, port = agent_of(ChatReply(text=" hi "))
    text = await agent.ask("hello", system="be brief", sampling=Sampling(seed=1), stop=["\n"], max_tokens=9, priority=2)
    assert text == "hi"
    assert port.calls == [
        Chat(
            messages=(Message(role="system", content="be brief"), Message(role="user", content="hello")),
            sampling=Sampling(seed=1),
            stop=("\n",),
            max_tokens=9,
            priority=2,
        )
    ]


async def test_embed_gives_a_vector_for_each_text() -> None:
    vectors = ((1.0, 0.0), (0.6, 0.8))
    agent, port = agent_of(EmbedReply(vectors=vectors, dimension=2, model="m"))
    assert await agent.embed(["a", "b"], model="m", deadline_s=5) == vectors
    assert port.calls == [Embed(texts=("a", "b"), model="m", deadline_s=5)]


class City(BaseModel):
    name: str
    people: int = Field(ge=0)


async def test_extract_returns_the_model_and_explains_what_is_none() -> None:
    agent, port = agent_of(
        ChatReply(text='{"name": "Oslo", "people": 7}'),
        ChatReply(text='{"name": "Oslo", "peo', finish="length"),
        ChatReply(text='{"name": "Oslo", "people": -1}'),
    )
    assert await agent.extract("?", City) == City(name="Oslo", people=7)
    assert isinstance(port.calls[0], Chat)
    assert port.calls[0].response_schema == City.model_json_schema()
    with pytest.raises(ModelFailed, match="max_tokens cut it off"):
        await agent.extract("?", City)
    with pytest.raises(ModelFailed, match="greater than or equal to 0"):
        await agent.extract("?", City)


async def test_there_is_nothing_to_pick_from_no_options() -> None:
    agent, port = agent_of()
    with pytest.raises(BadRequest, match="no options to pick from") as caught:
        await agent.pick("colour?", [])
    assert caught.value.field == "options"
    assert port.calls == []


async def test_pick_is_constrained_to_its_options() -> None:
    agent, port = agent_of(ChatReply(text='"red"'))
    assert await agent.pick("colour?", ["red", "blue"]) == "red"
    assert isinstance(port.calls[0], Chat)
    assert port.calls[0].response_schema == {"type": "string", "enum": ["red", "blue"]}


async def test_rank_builds_one_frozen_call() -> None:
    agent, port = agent_of(ranking("b", "a"))
    reply = await agent.rank("?", ["a", "b"], system="be brief", prefix='"', evidence="e", neutral=["n"], model="m")
    assert reply.choice == "b"
    assert port.calls == [
        Rank(
            messages=(Message(role="system", content="be brief"), Message(role="user", content="?")),
            options=("a", "b"),
            prefix='"',
            evidence="e",
            neutral=("n",),
            model="m",
        )
    ]


async def test_a_stream_gives_pieces_then_the_reply() -> None:
    agent, _ = agent_of(ChatReply(text="one two three"))
    async with agent.stream("count") as stream:
        with pytest.raises(RuntimeError, match="has not ended"):
            _ = stream.reply
        assert [piece async for piece in stream] == ["one", "two", "three"]
        assert stream.reply.text == "one two three"


async def test_a_stream_that_fails_raises_where_it_is_read() -> None:
    agent, _ = agent_of(ModelFailed("gone"))
    with pytest.raises(ModelFailed, match="gone"):
        async with agent.stream("count") as stream:
            async for _ in stream:
                pass


async def test_a_stream_may_be_left_early() -> None:
    agent, _ = agent_of(ChatReply(text="one two three"))
    async with agent.stream("count") as stream:
        async for piece in stream:
            assert piece == "one"
            break


async def test_files_are_text_or_bytes() -> None:
    agent, port = agent_of(ReadFileReply(path="a", data=b"h\xffi"), WriteFileReply(path="a"))
    assert await agent.read("a") == "h\ufffdi"
    await agent.write("a", "\u00e9")
    assert port.calls == [ReadFile(path="a"), WriteFile(path="a", data=b"\xc3\xa9")]


async def test_wait_gives_the_result_or_raises_what_happened() -> None:
    done = ProcessInfo(pid=2, parent=7, program="p", task="", state=ProcessState.DONE, result="r")
    failed = done.model_copy(
        update={"state": ProcessState.FAILED, "result": None, "error": NotFound("no file").to_wire()}
    )
    agent, port = agent_of(SpawnReply(pid=2), WaitReply(process=done), WaitReply(process=failed))
    assert await agent.run("p", "t") == "r"
    assert port.calls == [Spawn(program="p", task="t"), Wait(pid=2)]
    with pytest.raises(AgentFailed, match=r"process 2 \(p\) failed: no file"):
        await agent.wait(2)


async def test_gather_keeps_the_order_and_raises_the_first_error() -> None:
    async def value(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        if number == 9:
            raise NotFound("nine")
        return number

    assert await gather(value(3), value(1), value(2)) == [3, 1, 2]
    with pytest.raises(NotFound, match="nine"):
        await gather(value(1), value(9))


def use(text: str = "") -> ChatReply:
    return ChatReply(text=text, tool_uses=(ToolUse(id="c1", name="add", arguments={"a": 1}),), finish="tool_use")


def asked(port: Script) -> Sequence[Chat]:
    return [call for call in port.calls if isinstance(call, Chat)]


async def test_solve_calls_tools_until_the_model_answers() -> None:
    agent, port = agent_of(ListToolsReply(tools=(ADD,)), use("wait"), CallToolReply(value=3), ChatReply(text=" three "))
    assert await solve(agent, "1 + 2", ["add"], choice="write") == "three"
    assert port.calls[0] == ListTools(names=("add",))
    assert port.calls[2] == CallTool(tool="add", arguments={"a": 1})
    first, second = asked(port)
    assert (first.tools, first.tool_choice) == ((ADD,), "auto")
    assert second.messages[-2:] == (
        Message(role="assistant", content="wait", tool_uses=use().tool_uses),
        Message(role="tool", content="3", tool_use_id="c1"),
    )


async def test_solve_hands_a_failed_call_back_as_text() -> None:
    agent, port = agent_of(ListToolsReply(tools=(ADD,)), use(), ToolFailed("add broke"), ChatReply(text="sorry"))
    assert await solve(agent, "1 + 2", ["add"], choice="write") == "sorry"
    assert asked(port)[1].messages[-1].content == "error: add broke"


async def test_solve_requires_a_call_first_and_stops_at_its_steps() -> None:
    agent, port = agent_of(ListToolsReply(tools=(ADD,)), use(), CallToolReply(value=1), ChatReply(text="done"))
    await solve(agent, "?", ["add"], require=True, choice="write")
    assert [chat.tool_choice for chat in asked(port)] == ["required", "none"]
    agent, port = agent_of(
        ListToolsReply(tools=(ADD,)),
        use(),
        CallToolReply(value=1),
        use(),
        CallToolReply(value=1),
        ChatReply(text="enough"),
    )
    assert await solve(agent, "?", ["add"], steps=2, choice="write") == "enough"
    assert [chat.tool_choice for chat in asked(port)] == ["auto", "auto", "none"]


SUM = ToolSpec(name="add", description="Add numbers.")
DAY = ToolSpec(name="day", description="Tell the day.")


async def test_solve_ranks_then_fills_in_then_answers() -> None:
    agent, port = agent_of(
        ListToolsReply(tools=(SUM, DAY)),
        ranking("Add numbers.", NO_TOOL, "Tell the day."),
        use(),
        CallToolReply(value=3),
        ChatReply(text=" three "),
    )
    assert await solve(agent, "1 + 2", ["add", "day"], system="brief") == "three"
    rank = port.calls[1]
    assert isinstance(rank, Rank)
    assert rank.options == (NO_TOOL, "Add numbers.", "Tell the day.")
    assert "1 + 2" in rank.evidence
    assert rank.neutral
    filled, answered = asked(port)
    assert (filled.tools, filled.tool_choice) == ((SUM,), "required")
    assert filled.messages == (Message(role="system", content="brief"), Message(role="user", content="1 + 2"))
    assert (answered.tool_choice, answered.messages[-1].content) == ("none", "3")


async def test_solve_goes_on_to_the_next_tool_with_the_error_in_the_talk() -> None:
    agent, port = agent_of(
        ListToolsReply(tools=(SUM, DAY)),
        ranking("Add numbers.", "Tell the day."),
        use(),
        ToolFailed("add broke"),
        ChatReply(text='{"name": "day", "argu', finish="length"),
        ChatReply(text="sorry"),
    )
    assert await solve(agent, "?", ["add", "day"], require=True) == "sorry"
    assert [chat.tools for chat in asked(port)[:2]] == [(SUM,), (DAY,)]
    assert asked(port)[1].messages[-1].content == "error: add broke"
    assert len(asked(port)[2].messages) == 3


async def test_solve_answers_by_itself_where_no_tool_fits_or_steps_allow_none() -> None:
    for order, steps in (([NO_TOOL, "Add numbers."], 4), (["Add numbers.", NO_TOOL], 0)):
        agent, port = agent_of(ListToolsReply(tools=(SUM,)), ranking(*order), ChatReply(text="hello"))
        assert await solve(agent, "hi", ["add"], steps=steps) == "hello"
        assert [chat.tool_choice for chat in asked(port)] == ["none"]


async def test_solve_writes_where_the_model_cannot_rank() -> None:
    refusal = BadRequest("cannot rank", "model")
    agent, port = agent_of(ListToolsReply(tools=(SUM,)), refusal, ChatReply(text="hello"))
    assert await solve(agent, "hi", ["add"]) == "hello"
    assert [chat.tool_choice for chat in asked(port)] == ["auto"]
    for choice, error in (("rank", refusal), (None, BadRequest("too long", "messages"))):
        agent, _ = agent_of(ListToolsReply(tools=(SUM,)), error)
        with pytest.raises(BadRequest, match=error.message):
            await solve(agent, "hi", ["add"], choice=choice)  # type: ignore[arg-type]


async def test_tools_are_ranked_by_descriptions_that_differ() -> None:
    twins = [ToolSpec(name="a", description="Do\nit."), ToolSpec(name="b", description="Do it."), ToolSpec(name="c")]
    agent, port = agent_of(ranking("c", "b: Do it.", "Do it."))
    assert await rank_tools(agent, "?", twins, require=True) == [twins[2], twins[1], twins[0]]
    assert await rank_tools(agent, "?", twins[:1], require=True) == twins[:1]
    assert await rank_tools(agent, "?", ()) == [None]
    assert len(port.calls) == 1


async def test_a_conversation_remembers_its_turns_and_what_the_model_wrote() -> None:
    port = Script(ChatReply(text=" Hello."), ModelFailed("down"), ChatReply(text="Blue."))
    talk = Agent(port, 1).conversation("Be brief.")
    assert await talk.ask("Hi") == "Hello."
    with pytest.raises(ModelFailed):
        await talk.ask("Colour?")
    await talk.say("Colour?", max_tokens=9)
    assert port.calls[-1] == Chat(
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="user", content="Hi"),
            Message(role="assistant", content=" Hello.", generated=True),
            Message(role="user", content="Colour?"),
        ),
        max_tokens=9,
    )
    assert [message.role for message in talk.messages[-2:]] == ["user", "assistant"]


def test_only_plain_replies_are_marked_as_generated() -> None:
    called = ChatReply(text="", tool_uses=(ToolUse(id="1", name="add"),))
    assert not called.message.generated
    with pytest.raises(BadRequest, match="only an assistant's plain text"):
        Message(role="user", content="x", generated=True)


async def test_a_budget_goes_with_the_program_that_it_is_for() -> None:
    agent, port = agent_of(SpawnReply(pid=2), SpawnReply(pid=3))
    await agent.spawn("a", "x")
    await agent.spawn("b", budget=Budget(calls=3))
    assert port.calls == [Spawn(program="a", task="x"), Spawn(program="b", budget=Budget(calls=3))]


async def test_what_is_left_is_in_ones_own_row() -> None:
    rows = [
        ProcessInfo(pid=pid, parent=0, program="a", task="", state=ProcessState.RUNNING, left=Budget(calls=pid))
        for pid in range(1, 20)
    ]
    agent, _ = agent_of(ListProcessesReply(processes=tuple(rows)), ListProcessesReply(processes=()))
    assert await agent.left() == Budget(calls=agent.pid)
    with pytest.raises(NotFound, match="process table"):
        await agent.left()


async def test_feedback_names_the_answer_by_its_number() -> None:
    agent, port = agent_of(GiveFeedbackReply(), GiveFeedbackReply())
    await agent.feedback(ChatReply(text="hi", call="7.1"), 0.5)
    await agent.feedback("7.2", 1)
    assert port.calls == [GiveFeedback(answered="7.1", score=0.5), GiveFeedback(answered="7.2", score=1)]
    with pytest.raises(BadRequest, match="feedback: score"):
        await agent.feedback("7.2", 2)
    with pytest.raises(BadRequest, match="feedback: answered"):
        await agent.feedback(ChatReply(text="of no kernel"), 1)


async def test_what_must_stay_on_this_machine_says_so() -> None:
    agent, port = agent_of(ChatReply(text=""), ranking("a", "b"), EmbedReply(vectors=(), dimension=1, model="m"))
    await agent.chat("hi", local_only=True)
    await agent.rank("hi", ["a", "b"], local_only=True)
    await agent.embed(["hi"], local_only=True)
    assert all(call.local_only for call in port.calls if isinstance(call, Chat | Rank | Embed))
    assert len(port.calls) == 3
