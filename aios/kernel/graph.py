"""A graph of calls on its way: who may start, what it is given, and who is not run after all."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

import anyio
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from aios_syscalls import (
    AiosError,
    BadRequest,
    CallTool,
    CallToolReply,
    Chat,
    ChatReply,
    InputFailed,
    Node,
    Outcome,
    Output,
    Reply,
    RunGraph,
    RunGraphReply,
    Syscall,
)
from aios_syscalls.base import MAX_CALL_BYTES, MAX_REPLY_BYTES


class RunningGraph:
    """Submits each node as soon as what it needs is there and it has a place, the longest way to an end first.

    One node at a time needs no place: it has that of the graph's own call. So a graph always goes on, however many
    there are. `place` takes one more, if there is one, and `vacate` gives it back.
    """

    def __init__(
        self,
        call: RunGraph,
        depths: Mapping[str, int],
        submit: Callable[[str, Syscall[Any]], Awaitable[Reply]],
        place: Callable[[], bool],
        vacate: Callable[[], None],
    ) -> None:
        self._nodes = {node.id: node for node in call.nodes}
        self._submit, self._place, self._vacate = submit, place, vacate
        self._rank = {id: (-depths[id], index) for index, id in enumerate(self._nodes)}
        self._missing = {id: set(node.needs) for id, node in self._nodes.items()}
        self._dependents: dict[str, list[str]] = {id: [] for id in self._nodes}
        for id, node in self._nodes.items():
            for need in node.needs:
                self._dependents[need].append(id)
        self._ready: list[tuple[int, int, str]] = []
        self._ended: dict[str, Reply | AiosError] = {}
        self._running = 0

    async def run(self) -> RunGraphReply:
        """How each node ended, once all have. Cancelled, it cancels those under way and starts no other."""
        async with anyio.create_task_group() as self._tasks:
            for id, missing in self._missing.items():
                if not missing:
                    self._push(id)
            self.advance()
        return self._reply()

    def advance(self) -> None:
        """Start the nodes that can."""
        while self._ready and (self._running == 0 or self._place()):
            self._running += 1
            self._tasks.start_soon(self._one, heapq.heappop(self._ready)[-1])

    async def _one(self, id: str) -> None:
        try:
            self._end(id, await self._outcome(id))
        except BaseException:
            self._ready.clear()
            raise
        finally:
            self._running -= 1
            if self._running:
                self._vacate()
            self.advance()

    async def _outcome(self, id: str) -> Reply | AiosError:
        try:
            return await self._submit(id, fill(self._nodes[id], self._ended))
        except AiosError as error:
            return error

    def _end(self, id: str, outcome: Reply | AiosError) -> None:
        """Note how a node ended, and whose turn it is then."""
        self._ended[id] = outcome
        if isinstance(outcome, AiosError):
            self._skip(id, outcome)
            return
        for each in self._dependents[id]:
            self._missing[each].discard(id)
            if not self._missing[each]:
                self._push(each)

    def _skip(self, failed: str, error: AiosError) -> None:
        """End all that need a node that failed, however many others are between."""
        doomed = [*self._dependents[failed]]
        while doomed:
            id = doomed.pop()
            if id not in self._ended:
                why = f"node {id!r} was not run: {failed!r}, which it needs, failed: {error.message}"
                self._ended[id] = InputFailed(why, node=failed, cause=error.code)
                doomed += self._dependents[id]

    def _push(self, id: str) -> None:
        heapq.heappush(self._ready, (*self._rank[id], id))

    def _reply(self) -> RunGraphReply:
        outcomes: dict[str, Outcome] = {}
        room = MAX_REPLY_BYTES
        for id in self._nodes:
            outcome = _told(self._ended[id])
            size = len(outcome.model_dump_json())
            if size > room:
                outcome = _told(_no_room(id, size))
            else:
                room -= size
            outcomes[id] = outcome
        return RunGraphReply(outcomes=outcomes)


def fill(node: Node, outputs: Mapping[str, Reply | AiosError]) -> Chat | CallTool:
    """The node's call with the outputs in their places. Raises BadRequest when it gets too large."""
    values = {part.output: _output(outputs[part.output]) for part in _parts(node) if isinstance(part, Output)}
    texts = {id: _text(value) for id, value in values.items()}
    _check_size(node, texts)
    call = node.run
    if isinstance(call, Chat):
        messages = list(call.messages)
        for each in node.fill:
            index = int(each.at[1])
            messages[index] = messages[index].model_copy(update={"content": _joined(each.parts, texts)})
        return call.model_copy(update={"messages": tuple(messages)})
    arguments = copy.deepcopy(call.arguments)
    for each in node.fill:
        place: Any = arguments
        for step in each.at[1:-1]:
            place = place[step]
        match each.parts:
            case (Output(output=id),):
                place[each.at[-1]] = copy.deepcopy(values[id])
            case _:
                place[each.at[-1]] = _joined(each.parts, texts)
    return call.model_copy(update={"arguments": arguments})


def _parts(node: Node) -> Iterator[str | Output]:
    return (part for each in node.fill for part in each.parts)


def _joined(parts: Iterable[str | Output], texts: Mapping[str, str]) -> str:
    return "".join(texts[part.output] if isinstance(part, Output) else part for part in parts)


def _check_size(node: Node, texts: Mapping[str, str]) -> None:
    """Before anything is joined: a call of a mebibyte may name an output of sixteen very often."""
    sizes = {id: len(text.encode("utf-8", "backslashreplace")) for id, text in texts.items()}
    size = sum(sizes[part.output] for part in _parts(node) if isinstance(part, Output))
    if size > MAX_CALL_BYTES:
        raise BadRequest(
            f"node {node.id!r} takes {size} bytes of other nodes, and a call has {MAX_CALL_BYTES} at most; let them "
            "answer in fewer tokens, or pass a file's path"
        )


def _output(reply: Reply | AiosError) -> JsonValue:
    match reply:
        case ChatReply():
            return reply.text
        case CallToolReply():
            return reply.value
        case _:
            raise TypeError(f"{type(reply).__name__} is no output of a node")


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _told(outcome: Reply | AiosError) -> Outcome:
    match outcome:
        case AiosError():
            # As the wire has it: an error's data may hold what is JSON only once it is written.
            return Outcome(error=from_json(to_json(outcome.to_wire(), inf_nan_mode="null")))
        case ChatReply() | CallToolReply():
            return Outcome(ok=outcome)
        case _:
            raise TypeError(f"{type(outcome).__name__} is no reply of a node")


def _no_room(id: str, size: int) -> BadRequest:
    return BadRequest(
        f"node {id!r} answered with {size} bytes, for which the graph's reply, of {MAX_REPLY_BYTES} at most, has no "
        "room; make it a call of its own, or let a tool write a file"
    )
