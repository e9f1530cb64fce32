"""What a model is asked, in its short forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aios.sdk import placeholders as marks
from aios_syscalls import BadRequest, Message

Prompt = str | Sequence[Message]


def turns(prompt: Prompt, system: str | None) -> tuple[Message, ...]:
    """A text, or the turns of a conversation, after what the model is told beforehand."""
    head = (Message(role="system", content=system),) if system else ()
    return head + ((Message(role="user", content=prompt),) if isinstance(prompt, str) else _talk(prompt))


def _talk(prompt: Any) -> tuple[Message, ...]:
    if not isinstance(prompt, Iterable) or isinstance(prompt, bytes):
        raise BadRequest(f"the prompt is {type(prompt).__name__}; give a text, or a list of Message", "prompt")
    return tuple(_turn(index, turn) for index, turn in enumerate(prompt))


def _turn(index: int, turn: Any) -> Message:
    match turn:
        case Message():
            return turn
        case dict() if all(isinstance(key, str) for key in turn):
            return Message(**turn)
        case _:
            field = f"prompt.{index}"
            raise BadRequest(f"{field} is {type(turn).__name__}; give Message(role=..., content=...)", field)


def messages(prompt: Prompt, system: str | None) -> tuple[Message, ...]:
    """The same, for a call that is made now. Raises BadRequest where an answer in it is still to come."""
    found = turns(prompt, system)
    if any(marks.within(each.content) for each in found):
        raise BadRequest("the prompt has a future in it, of which there is no answer yet; await it, or use graph.chat")
    return found
