"""What a model is asked, in its short forms."""

from __future__ import annotations

from collections.abc import Sequence

from aios.sdk import marks
from aios_syscalls import BadRequest, Message

Prompt = str | Sequence[Message]


def turns(prompt: Prompt, system: str | None) -> tuple[Message, ...]:
    """A text, or the turns of a conversation, after what the model is told beforehand."""
    head = (Message(role="system", content=system),) if system else ()
    body = (Message(role="user", content=prompt),) if isinstance(prompt, str) else tuple(prompt)
    return head + body


def messages(prompt: Prompt, system: str | None) -> tuple[Message, ...]:
    """The same, for a call that is made now. Raises BadRequest where an answer in it is still to come."""
    found = turns(prompt, system)
    if any(marks.within(each.content) for each in found):
        raise BadRequest("the prompt has a future in it, of which there is no answer yet; await it, or use graph.chat")
    return found
