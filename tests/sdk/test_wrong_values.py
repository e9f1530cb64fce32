"""Whatever an agent gives to the SDK: the call is made, or an error of ours names what is wrong with it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from aios.sdk import Agent, gather, solve
from aios.sdk.conversation import Conversation
from aios.sdk.graph import Graph
from aios_syscalls import (
    AiosError,
    BadRequest,
    Budget,
    CallTool,
    Chat,
    ChatReply,
    DropFile,
    FileQuery,
    Message,
    NotFound,
    R,
    ReceiveReply,
    Sampling,
    Syscall,
    ToolSpec,
)
from aios_syscalls.port import discard
from aios_syscalls.wire import call_from_json, call_to_json

pytestmark = pytest.mark.anyio


class Reached(NotFound):
    """A call was well-formed and came as far as the kernel."""


class Wire:
    """A port that does what the socket's does with a call, and answers each with an error."""

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        call_from_json(call_to_json(call))
        raise Reached("reached")


class City(BaseModel):
    name: str


def cyclic() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(5_000):
        found = [found]
    return found


class Rude:
    """A value that cannot even say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


WRONG: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**30, -(10**400), math.nan, math.inf, -math.inf, 1j),
    *("", "\ud800", "a\x00b", "\udcff.txt", b"", b"\xff", bytearray(b"x"), "x" * 1_100_000),
    *([], {}, (), set(), [None], ["\ud800"], {"\ud800": 1}, {1: 2}, {"x": math.nan}, [b"\xff"], range(3)),
    *(object(), Rude(), int, len, City, City(name="x"), Message(role="user", content="\ud800"), datetime.min),
    *(cyclic(), deep(), {"role": "user"}, [{"role": "robot"}], Exception("x")),
)
RIGHT: dict[str, Any] = {
    **{
        "prompt": "hello",
        "form": City,
        "options": ["a", "b"],
        "texts": ["a"],
        "call": "7.1",
        "score": 0.5,
        "tool": "t",
    },
    **{"program": "p", "to": 1, "body": "b", "pid": 1, "path": "a.txt", "content": "text", "target": "b.txt", "a": 1},
    **{"at": 1, "tag": "t", "text": "text", "link": "l", "token": "t", "query": FileQuery(text="x"), "find": "x"},
    **{
        "replace": "y",
        "task": "t",
        "tools": ["t"],
        "agent": None,
        "changes": DropFile(path="a.txt"),
        "queries": FileQuery(text="x"),
        "value": 1,
        "state": {"done": 3},
        "name": "HOME",
    },
}
OWN = {"port", "pid"}
"""Attributes, not methods."""


def methods(of: type) -> list[str]:
    return [name for name in dir(of) if not name.startswith("_") and callable(getattr(of, name)) and name not in OWN]


VARIABLE = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
BY_PLACE = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY


async def outcome(function: Callable[..., Any], given: dict[str, Any]) -> BaseException | None:
    """What comes of a call, once it is awaited, entered or gone through for one step."""
    try:
        made = invoked(function, given)
        if inspect.isawaitable(made):
            await made
        elif hasattr(made, "__aenter__"):
            async with made as entered:
                if hasattr(entered, "__anext__"):
                    await anext(entered)
        elif hasattr(made, "__anext__"):
            await anext(made)
    except BaseException as error:  # judged by the caller
        return error
    return None


def invoked(function: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Call with arguments by place where one has nothing else, and by name where that can be."""
    found = inspect.signature(function).parameters
    last = max((at for at, name in enumerate(found) if name in given and found[name].kind in BY_PLACE), default=-1)
    first = list(found)[: last + 1]
    return function(*(given[name] for name in first), **{name: given[name] for name in given if name not in first})


def required(function: Callable[..., Any]) -> dict[str, Any]:
    """Right values of what a method needs."""
    return {
        name: RIGHT[name]
        for name, parameter in inspect.signature(function).parameters.items()
        if (parameter.default is inspect.Parameter.empty and parameter.kind not in VARIABLE)
        or name in ("changes", "queries")
    }


def parameters(function: Callable[..., Any]) -> list[str]:
    found = inspect.signature(function).parameters.values()
    return [each.name for each in found if each.kind is not inspect.Parameter.VAR_KEYWORD]


def subjects() -> list[Callable[..., Any]]:
    agent = Agent(Wire(), 7)
    found: list[Callable[..., Any]] = [getattr(agent, name) for name in methods(Agent) if name != "gather"]
    found += [getattr(Conversation(agent.chat), name) for name in methods(Conversation)]
    return [*found, Graph(Wire()).chat, Graph(Wire()).call, Agent.conversation.__get__(agent)]


async def test_every_method_answers_a_wrong_value_with_an_error_of_ours() -> None:
    foreign: list[str] = []
    tried = 0
    for function in subjects():
        for name in parameters(function):
            for value in WRONG:
                error = await outcome(function, required(function) | {name: value})
                tried += 1
                if error is not None and not isinstance(error, AiosError):
                    foreign.append(f"{function.__qualname__}({name}={type(value).__name__}): {error!r:.150}")
    assert tried > 3_000
    assert not foreign, "\n".join([f"{len(foreign)} of {tried}", *foreign[:40]])


async def test_right_values_reach_the_kernel() -> None:
    for function in subjects():
        error = await outcome(function, required(function))
        assert error is None or isinstance(error, Reached), (function.__qualname__, error)


OPTIONS: dict[str, tuple[Any, ...]] = {
    "max_tokens": (0, -1, "ten", 1.5, None, math.nan, 10**30),
    "stop": ("ab", 5, [1], ["x"] * 17),
    "sampling": ({"temperature": 9}, 3),
    "schema": ("x", 3, ["a"]),
    "deadline_s": (0, -1, math.nan, "soon"),
    "priority": (101, "high"),
    "tools": ("clock", [1], 7),
    "tool_choice": ("maybe",),
    "system": (5, b"\xff"),
}


FIELDS = {"schema": "response_schema", "system": "content"}
"""Options whose field in the call has another name."""


@pytest.mark.parametrize("option", OPTIONS)
async def test_an_option_of_a_chat_that_is_wrong_is_named(option: str) -> None:
    agent = Agent(Wire(), 7)
    for value in OPTIONS[option]:
        for function in (agent.chat, agent.ask, Conversation(agent.chat).say, Graph(Wire()).chat):
            with pytest.raises(BadRequest) as caught:
                await function("x", **{option: value})
            assert caught.value.field.partition(".")[0] == FIELDS.get(option, option), (value, caught.value)


@pytest.mark.parametrize(
    ("build", "field", "shown"),
    [
        (lambda: Budget(calls=-1), "calls", "-1"),
        (lambda: Sampling(temperature=9), "temperature", "9"),
        (lambda: Message(role="robot", content="x"), "role", "'robot'"),
        (lambda: ToolSpec(name="no spaces"), "name", "'no spaces'"),
        (lambda: FileQuery(text="x", limit=0), "limit", "0"),
        (lambda: Chat(messages=(), max_tokens="ten"), "messages", "()"),
    ],
)
def test_a_value_that_an_agent_builds_is_refused_by_name_with_what_it_was(
    build: Callable[[], Any], field: str, shown: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        build()
    assert caught.value.field == field
    assert shown in caught.value.message
    assert "pydantic" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("text", ["\ud800", "ab\udfff", "\ud83d \ude00"])
async def test_half_a_surrogate_pair_is_named_by_its_place(text: str) -> None:
    agent = Agent(Wire(), 7)
    for call, field in (
        (agent.ask(text), "messages.0.content"),
        (agent.ask("x", system=text), "messages.0.content"),
        (agent.call("t", a={"b": [1, text]}), "arguments.a.b.1"),
        (agent.call("t", a={text: 1}), "arguments.a"),
        (agent.write(text, b""), "path"),
        (agent.write("a.txt", text), "content"),
        (agent.send(3, text), "body"),
        (agent.spawn("p", text), "task"),
        (agent.rank("x", ["a", text]), "options.1"),
        (agent.embed([text]), "texts.0"),
        (agent.ask("x", schema={"enum": [text]}), "response_schema.enum.0"),
    ):
        with pytest.raises(BadRequest) as caught:
            await call
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "at", "words"),
    [
        (math.nan, "", "is nan, which JSON has not"),
        ([1, {"y": -math.inf}], ".1.y", "is -inf"),
        (10**4_200, "", "too many digits"),
        ({"\ud800": 1}, "", "a key that is not Unicode"),
        (deep()[:1], ".0.0", "nested in more than|too deep for JSON"),
    ],
)
async def test_what_json_has_not_is_refused_and_never_becomes_another_value(value: Any, at: str, words: str) -> None:
    agent = Agent(Wire(), 7)
    for call, field in (
        (agent.call("t", x=value), "arguments.x"),
        (agent.ask("x", schema={"x": value}), "response_schema.x"),
        (agent.stream("x", schema={"x": value}).__aenter__(), "response_schema.x"),
    ):
        with pytest.raises(BadRequest, match=words) as caught:
            await call
        assert caught.value.field == field + at
    with pytest.raises(BadRequest, match=words):
        Graph(Wire()).call("t", x=value)


async def test_an_unknown_option_is_refused_with_the_nearest_one() -> None:
    agent = Agent(Wire(), 7)
    for options, words in (
        ({"temperature": 0}, r"give sampling=Sampling\(temperature=0\)"),
        ({"max_token": 5}, "did you mean max_tokens"),
        ({"colour": 1}, "there are system, tools"),
    ):
        for call in (
            agent.ask("x", **options),
            agent.extract("x", City, **options),
            agent.pick("x", ["a"], **options),
            agent.stream("x", **options).__aenter__(),  # type: ignore[arg-type]
            agent.conversation().say("x", **options),
        ):
            with pytest.raises(BadRequest, match=words) as caught:
                await call
            assert caught.value.field in options
    with pytest.raises(BadRequest, match="given by the method itself"):
        await agent.extract("x", City, schema={})


async def test_true_is_no_number_of_a_process_or_version() -> None:
    agent = Agent(Wire(), 7)
    for call in (agent.wait(True), agent.kill(True), agent.send(True, "x"), agent.read_at("a.txt", True)):
        with pytest.raises(BadRequest):
            await call


async def test_one_text_is_not_taken_for_its_letters() -> None:
    agent = Agent(Wire(), 7)
    for call in (agent.pick("x", "red"), agent.rank("x", "red"), agent.embed("red"), agent.ask("x", stop="red")):
        with pytest.raises(BadRequest, match="is one text; give a list"):
            await call
    with pytest.raises(BadRequest, match="is one text"):
        await solve(agent, "x", "clock")


async def test_pick_without_options_says_so() -> None:
    with pytest.raises(BadRequest, match="no options to pick from") as caught:
        await Agent(Wire(), 7).pick("x", [])
    assert caught.value.field == "options"


async def test_gather_refuses_a_width_that_would_wait_for_ever_and_what_cannot_be_awaited() -> None:
    async def answer() -> int:
        return 1

    for width in (0, -1, 1.5, True, "2"):
        awaitable = answer()
        with pytest.raises(BadRequest, match="width"):
            await gather(awaitable, width=width)  # type: ignore[arg-type]
        awaitable.close()
    with pytest.raises(BadRequest, match="nothing to be awaited"):
        await gather(3)  # type: ignore[arg-type]


async def test_turns_may_be_plain_dictionaries() -> None:
    with pytest.raises(Reached):
        await Agent(Wire(), 7).ask([{"role": "user", "content": "x"}])  # type: ignore[list-item]


def test_what_pydantic_finds_in_a_program_s_own_model_stays_pydantic_s() -> None:
    with pytest.raises(ValidationError):
        City(name=3)


def test_a_deep_or_cyclic_argument_is_refused_not_a_crash() -> None:
    for value in (cyclic(), deep()):
        with pytest.raises(AiosError):
            call_to_json(CallTool(tool="t", arguments={"x": value}))
    assert ReceiveReply(sender=1, body="x").body == "x"


class Tags(BaseModel):
    tags: set[str]
    uniqueItems: bool = True


async def test_a_set_is_asked_for_as_a_list_and_what_comes_twice_counts_once() -> None:
    asked: list[Any] = []

    class Twice:
        async def submit(self, call: Any, emit: Callable[[str], None] = discard) -> Any:
            asked.append(call.response_schema)
            return ChatReply(text='{"tags": ["a", "b", "a"]}')

    assert (await Agent(Twice(), 7).extract("x", Tags)).tags == {"a", "b"}
    assert asked[0]["properties"]["tags"] == {"items": {"type": "string"}, "title": "Tags", "type": "array"}
    assert "uniqueItems" in asked[0]["properties"]
