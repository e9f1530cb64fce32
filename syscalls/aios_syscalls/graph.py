"""Several calls at once, some of which need the outputs of others.

After the semantic variables of Parrot (Lin et al. 2024, Parrot: Efficient Serving of LLM-based Applications with
Semantic Variable, OSDI'24): whoever runs the calls sees what leads where, and need not ask the caller in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BeforeValidator,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    WrapSerializer,
    field_validator,
    model_validator,
)

from aios_syscalls.base import Effect, Frozen, Many, Reply, Syscall
from aios_syscalls.errors import from_wire
from aios_syscalls.llm import Chat, ChatReply
from aios_syscalls.tool import CallTool, CallToolReply

__all__ = [
    "Fill",
    "Node",
    "Outcome",
    "Output",
    "RunGraph",
    "RunGraphReply",
]

MAX_NODES = 256
NODE_CALLS: Mapping[str, type[Chat | CallTool]] = {cls.name: cls for cls in (Chat, CallTool)}


def _read(value: Any) -> Any:
    """A node's call from its wire form, which says its name under `call`."""
    if not isinstance(value, dict):
        return value
    name = value.get("call")
    cls = NODE_CALLS.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"no syscall {name!r} can be a node of a graph; its `call` is {' or '.join(NODE_CALLS)}")
    return cls.model_validate({key: item for key, item in value.items() if key != "call"})


def _write(value: Chat | CallTool, handler: SerializerFunctionWrapHandler) -> Any:
    return {"call": value.name, **handler(value)}


NodeCall = Annotated[Chat | CallTool, BeforeValidator(_read), WrapSerializer(_write)]


class Output(Frozen):
    """What the node of this id answers: a chat's text, a tool's value (as JSON, within a text, unless it is one)."""

    output: str


class Fill(Frozen):
    """What a text of the call is replaced with once all is known; what is put in is never looked at again.

    `at` leads to a message's content or into the arguments: `["messages", 0, "content"]`, `["arguments", "path"]`.
    An argument that is one output and nothing else gets a tool's value as it is.
    """

    at: Many[str | int]
    parts: Many[str | Output]


class Node(Frozen):
    """One call of a graph; it runs once every node that it takes an output of, or comes `after`, has answered."""

    id: str = Field(min_length=1, max_length=64)
    run: NodeCall
    fill: Many[Fill] = ()
    after: Many[str] = ()

    @property
    def needs(self) -> frozenset[str]:
        """The nodes that must have answered before."""
        parts = (part for fill in self.fill for part in fill.parts)
        return frozenset([*self.after, *(part.output for part in parts if isinstance(part, Output))])

    @model_validator(mode="after")
    def _fills_texts(self) -> Self:
        seen = set()
        for fill in self.fill:
            place = ".".join(map(str, fill.at))
            if not _is_text(self.run, fill.at):
                raise ValueError(
                    f"node {self.id!r}: {place or 'nowhere'} is no text that can be filled; name a message's content, "
                    "as messages.0.content, or a text within the arguments, be it empty"
                )
            if fill.at in seen:
                raise ValueError(f"node {self.id!r}: {place} is filled twice; put all parts into one fill")
            seen.add(fill.at)
        return self


class Outcome(Frozen):
    """How a node ended: with a reply, or with an error in its wire form."""

    ok: ChatReply | CallToolReply | None = None
    error: dict[str, JsonValue] | None = None

    def reply(self) -> ChatReply | CallToolReply:
        """The reply. Raises the AiosError that there is instead."""
        if self.ok is None:
            raise from_wire(self.error or {})
        return self.ok


class RunGraphReply(Reply):
    """How each node ended, by id, in the order of the call.

    A node of which a needed one failed was not run: its error is InputFailed, and its `node` the one that failed.
    """

    outcomes: dict[str, Outcome]


class RunGraph(Syscall[RunGraphReply]):
    """Run calls as soon as what they need is there; each is a call of its own, in the caller's name.

    No more of them run at once than the process may have calls under way. Where a node fails, those that need it are
    not run, and the others go on.
    """

    name: ClassVar[str] = "process.graph"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True

    nodes: Many[Node] = Field(min_length=1, max_length=MAX_NODES)

    @field_validator("nodes")
    @classmethod
    def _can_end(cls, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        needs = {node.id: node.needs for node in nodes}
        if len(needs) < len(nodes):
            ids = [node.id for node in nodes]
            twice = ", ".join(repr(id) for id in needs if ids.count(id) > 1)
            raise ValueError(f"more than one node is called {twice}; give each an id of its own")
        for id, needed in needs.items():
            if unknown := sorted(needed - needs.keys()):
                raise ValueError(
                    f"node {id!r} needs {', '.join(map(repr, unknown))}, which is no node; name one of the graph"
                )
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            way = " -> ".join(map(repr, error.args[1]))
            raise ValueError(f"no node of {way} can be first, as each needs the one before; cut one of them") from None
        return nodes

    def order(self) -> tuple[str, ...]:
        """The ids, each after those that it needs."""
        return tuple(TopologicalSorter({node.id: node.needs for node in self.nodes}).static_order())

    def depths(self) -> dict[str, int]:
        """For each node the nodes on the longest way from it to an end, itself included."""
        found = {node.id: 1 for node in self.nodes}
        needs = {node.id: node.needs for node in self.nodes}
        for id in reversed(self.order()):
            for need in needs[id]:
                found[need] = max(found[need], found[id] + 1)
        return found


def _is_text(value: Any, at: tuple[str | int, ...]) -> bool:
    match value, at:
        case Chat(), ("messages", int(index), "content"):
            return 0 <= index < len(value.messages)
        case CallTool(), ("arguments", str(), *_):
            return isinstance(_at(value.arguments, at[1:]), str)
        case _:
            return False


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    """What a path leads to in a JSON value; None where it leads nowhere."""
    for step in path:
        match value, step:
            case dict(), str() if step in value:
                value = value[step]
            case list(), int() if 0 <= step < len(value):
                value = value[step]
            case _:
                return None
    return value
