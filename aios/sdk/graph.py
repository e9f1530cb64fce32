"""Calls that are written down now and answered later: many in one syscall, each on the answers of others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from typing import Any, Generic, Self, TypeVar, cast

import anyio
from pydantic import JsonValue
from pydantic_core import to_json

from aios.sdk import placeholders as marks
from aios.sdk.given import fields_of
from aios.sdk.prompt import Prompt, turns
from aios_syscalls import (
    AiosError,
    BadRequest,
    CallTool,
    CallToolReply,
    Cancelled,
    Chat,
    ChatReply,
    Fill,
    Node,
    Outcome,
    Output,
    RunGraph,
)
from aios_syscalls.port import Port

T = TypeVar("T")
NodeReply = ChatReply | CallToolReply
NUMBERS = itertools.count(1)
STRANGER = "this is a future of another graph; await it, or make both calls in one graph"


class Future(Generic[T]):
    """The answer of a graph's call: await it, write it into a later call's text, or make it a tool's argument.

    `f"Mend this: {draft}"` has a mark in it, which the graph takes out again before anything is sent.
    """

    def __init__(self, graph: Graph, index: int, value: Callable[[NodeReply], T]) -> None:
        self._graph, self._index, self._value = graph, index, value

    @property
    def id(self) -> str:
        """The node that it is in the graph, on record too."""
        return str(self._index)

    def after(self, *others: Future[Any]) -> Self:
        """Run this call once the others have answered, though it takes nothing of theirs; before it is submitted."""
        self._graph._order(self.id, others)
        return self

    def __str__(self) -> str:
        return marks.mark(self._graph._number, self._index)

    def __format__(self, spec: str) -> str:
        if spec:
            raise BadRequest(f"{self!r} is not there yet, so it cannot be formatted as {spec!r}; await it first")
        return str(self)

    def __repr__(self) -> str:
        return f"<answer {self.id} of a graph>"

    def __await__(self) -> Generator[Any, None, T]:
        return self._answer().__await__()

    async def _answer(self) -> T:
        if self.id not in self._graph._ended:
            await self._graph.run()
        return self._value(self._graph._ended[self.id].reply())


class Graph:
    """Calls on each other's answers; awaiting one of them, or `run`, submits all that are new in one syscall.

    graph = agent.graph()
    draft = graph.chat("Write about the sea.")
    short = graph.chat(f"In one sentence: {draft}")
    return (await short).text
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._number, self._last = next(NUMBERS), 0
        self._new: dict[str, Node] = {}
        self._ended: dict[str, Outcome] = {}
        self._running = anyio.Lock()

    def chat(
        self, prompt: Prompt, *, system: str | None = None, schema: dict[str, Any] | None = None, **options: Any
    ) -> Future[ChatReply]:
        """As `agent.chat`, but later."""
        fills: list[Fill] = []
        messages = [
            turn.model_copy(update={"content": self._blank(turn.content, ("messages", index, "content"), fills)})
            for index, turn in enumerate(turns(prompt, system))
        ]
        call = Chat(messages=tuple(messages), response_schema=schema, **fields_of(options))
        return self._add(call, fills, lambda reply: cast(ChatReply, reply))

    def call(self, tool: str, /, **arguments: Any) -> Future[JsonValue]:
        """As `agent.call`, but later; an argument that is a future becomes what it answers."""
        fills: list[Fill] = []
        try:
            blank = self._blank(arguments, ("arguments",), fills)
        except RecursionError:
            raise BadRequest("the arguments hold themselves, or are too deep for JSON", "arguments") from None
        call = CallTool(tool=tool, arguments=blank)
        return self._add(call, fills, lambda reply: cast(CallToolReply, reply).value)

    async def run(self) -> dict[str, Outcome]:
        """How each call ended, by its future's id: those that are new are submitted now, and waited for.

        A call's error is raised where it is awaited; what this raises is the error of the one syscall, and of them all.
        """
        async with self._running:
            if self._new:
                new, self._new = self._new, {}
                await self._submit(new)
        return dict(self._ended)

    async def _submit(self, nodes: dict[str, Node]) -> None:
        error: AiosError = Cancelled("whoever ran the graph was cancelled, and its calls with it; make a new graph")
        try:
            self._ended |= (await self._port.submit(RunGraph(nodes=tuple(nodes.values())))).outcomes
        except AiosError as failure:
            error = failure
            raise
        finally:
            for id in nodes:
                self._ended.setdefault(id, Outcome(error=error.to_wire()))

    def _add(self, call: Chat | CallTool, fills: list[Fill], value: Callable[[NodeReply], T]) -> Future[T]:
        self._last += 1
        future = Future(self, self._last, value)
        self._new[future.id] = Node(id=future.id, run=call, fill=tuple(fills))
        return future

    def _order(self, id: str, others: tuple[Future[Any], ...]) -> None:
        node = self._new.get(id)
        if node is None:
            raise BadRequest(f"call {id} of the graph is submitted already; say what it comes after before that")
        after = tuple(other.id for other in others if self._answer(other) is None)
        self._new[id] = node.model_copy(update={"after": (*node.after, *after)})

    def _blank(self, value: Any, at: tuple[str | int, ...], fills: list[Fill]) -> Any:
        """A value with an empty text wherever an answer is still to come, which `fills` then tell."""
        match value:
            case Future():
                if (answer := self._answer(value)) is not None:
                    return _output(answer)
                fills.append(Fill(at=at, parts=(Output(output=value.id),)))
            case str():
                parts = [part if isinstance(part, str) else self._part(*part) for part in marks.cut(value)]
                if all(isinstance(part, str) for part in parts):
                    return "".join(map(str, parts))
                # The empty text makes it a text, where it is one answer and nothing else.
                fills.append(Fill(at=at, parts=(*parts, "")))
            case dict():
                return {key: self._blank(item, (*at, key), fills) for key, item in value.items()}
            case list() | tuple():
                return [self._blank(item, (*at, index), fills) for index, item in enumerate(value)]
            case _:
                return value
        return ""

    def _part(self, graph: int, index: int) -> str | Output:
        """What a mark stands for: what has been answered is a text by now."""
        if graph != self._number:
            raise BadRequest(STRANGER)
        if (outcome := self._ended.get(str(index))) is None:
            return Output(output=str(index))
        output = _output(outcome.reply())
        return output if isinstance(output, str) else to_json(output).decode()

    def _answer(self, future: Future[Any]) -> NodeReply | None:
        """What there is of an answer. Raises its error, or BadRequest for another graph's."""
        if future._graph is not self:
            raise BadRequest(STRANGER)
        outcome = self._ended.get(future.id)
        return outcome.reply() if outcome else None


def _output(reply: NodeReply) -> JsonValue:
    return reply.text if isinstance(reply, ChatReply) else reply.value
