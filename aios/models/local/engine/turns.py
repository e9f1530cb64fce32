"""The forms in which a conversation can be handed to a chat template, from what it may know to plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from aios.models.local.engine.jinja import to_json
from aios_syscalls import Message, ToolSpec, ToolUse

TOOLS = """You may call functions. They are, with the JSON Schema of their arguments:
{tools}
To call one, answer with only <tool_call>{{"name": function, "arguments": {{...}}}}</tool_call>."""

REPLY, END = "\ue0f3", "\ue0f4"
"""Around what a model wrote in an earlier turn: private-use characters, which no template knows."""
MADE_UP = "call00000"
"""Ids of calls have nine letters and digits: some templates refuse all others."""

Turn = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """How a template gets a conversation; by default as one that knows of everything expects it."""

    parts: frozenset[str] = frozenset()
    """The roles whose content is a list of parts, not a string."""
    system: bool = True
    """Whether there is a system role; without one its text comes before the user's."""
    tools: bool = True
    """Whether the template describes tools; else the system text does."""
    calls: bool = True
    """Whether it has calls and the role of their results; else both are text."""
    spelled: bool = False
    """Whether a call's arguments are JSON text, not a mapping."""
    absent: bool = False
    """Whether a call without text has None for its content."""
    listed: bool = False
    """Whether no tools are an empty list, not None."""
    joined: bool = False
    """Whether neighbours of one role are one message."""
    transcript: bool = False
    """Whether the whole conversation is one user message."""

    def alone(self) -> Form:
        """The same, but everything is in one message of the user's."""
        return replace(self, system=False, tools=False, calls=False, joined=True, transcript=True)

    def fallbacks(self) -> Iterator[Form]:
        """This form, and then ever plainer ones, for conversations that a template refuses in it."""
        plain = replace(self, calls=False)
        described = replace(plain, tools=False)
        joined = replace(described, joined=True)
        merged = replace(joined, system=False)
        forms = [self, replace(self, joined=True), plain, replace(plain, joined=True), described, joined, merged]
        yield from dict.fromkeys([*forms, self.alone()])


def arrange(messages: Sequence[Message], tools: Sequence[Turn], form: Form) -> list[Turn]:
    """A conversation's turns in a form; `tools` are described in the text where the form says so."""
    turns = _with_calls(messages, form) if form.calls else [_plain(message) for message in messages]
    if tools and not form.tools:
        turns = _introduced(turns, tools)
    if not form.system:
        turns = [turn | {"role": "user"} if turn["role"] == "system" else turn for turn in turns]
    if form.transcript:
        turns = [_transcript(turns)]
    if form.joined or not form.system:
        turns = _joined(turns)
    return [_in_parts(turn) if turn["role"] in form.parts else turn for turn in turns]


def function(tool: ToolSpec) -> Turn:
    """A tool as templates expect it."""
    return {"type": "function", "function": tool.model_dump()}


def _with_calls(messages: Sequence[Message], form: Form) -> list[Turn]:
    numbers: dict[str, str] = {}
    names = {use.id: use.name for message in messages for use in message.tool_uses}

    def known(id: str) -> str:
        return numbers.setdefault(id, f"{MADE_UP[:4]}{len(numbers):05d}")

    def call(use: ToolUse) -> Turn:
        arguments = to_json(use.arguments) if form.spelled else use.arguments
        return {"id": known(use.id), "type": "function", "function": {"name": use.name, "arguments": arguments}}

    turns = []
    for message in messages:
        turn: Turn = {"role": message.role, "content": _marked(message, message.content)}
        if message.tool_uses:
            turn["tool_calls"] = [call(use) for use in message.tool_uses]
            turn["content"] = None if form.absent and not message.content else message.content
        if message.tool_use_id is not None:
            turn["tool_call_id"] = known(message.tool_use_id)
        if message.tool_use_id in names:
            turn["name"] = names[message.tool_use_id]
        turns.append(turn)
    return turns


def _plain(message: Message) -> Turn:
    """A message for templates that know nothing of tools: calls and answers as text."""
    calls = [
        f"<tool_call>{to_json({'name': use.name, 'arguments': use.arguments})}</tool_call>" for use in message.tool_uses
    ]
    content = "\n".join(filter(None, [message.content, *calls]))
    if message.role == "tool":
        return {"role": "user", "content": f"<tool_response>{content}</tool_response>"}
    return {"role": message.role, "content": _marked(message, content)}


def _marked(message: Message, content: str) -> str:
    return f"{REPLY}{content}{END}" if message.generated else content


def _introduced(turns: list[Turn], tools: Sequence[Turn]) -> list[Turn]:
    """The turns with a system text that describes the tools."""
    text = TOOLS.format(tools="\n".join(to_json(tool["function"]) for tool in tools))
    if turns[0]["role"] == "system":
        return [{"role": "system", "content": f"{turns[0]['content']}\n\n{text}"}, *turns[1:]]
    return [{"role": "system", "content": text}, *turns]


def _joined(turns: list[Turn]) -> list[Turn]:
    """Neighbours of one role as one turn each; calls and their results stay what they are."""
    joined: list[Turn] = []
    for role, group in groupby(turns, lambda turn: None if "tool_calls" in turn else turn["role"]):
        neighbours = list(group)
        if role in (None, "tool"):
            joined += neighbours
        else:
            joined.append({"role": role, "content": "\n\n".join(turn["content"] for turn in neighbours)})
    return joined


def _transcript(turns: list[Turn]) -> Turn:
    if len(turns) == 1:
        return {"role": "user", "content": turns[0]["content"]}
    names = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}
    return {"role": "user", "content": "\n\n".join(f"{names[turn['role']]}: {turn['content']}" for turn in turns)}


def _in_parts(turn: Turn) -> Turn:
    return turn if turn["content"] is None else turn | {"content": [{"type": "text", "text": turn["content"]}]}
