"""A chat of several turns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aios.sdk.given import known
from aios_syscalls import ChatReply, Message


class Conversation:
    """Questions and the model's replies; a local model reads only what is new in each turn. `chat` is an agent's."""

    def __init__(self, chat: Callable[..., Awaitable[ChatReply]], system: str | None = None) -> None:
        self.messages: list[Message] = [Message(role="system", content=system)] if system else []
        self._chat = chat

    async def say(self, text: str, **options: Any) -> ChatReply:
        """The reply to the next question, which becomes part of the conversation; an error leaves that as it was."""
        known(options, self._chat)
        question = Message(role="user", content=text)
        reply = await self._chat([*self.messages, question], **options)
        self.messages += [question, reply.message]
        return reply

    async def ask(self, text: str, **options: Any) -> str:
        """As `say`, but the text alone, stripped."""
        return (await self.say(text, **options)).text.strip()
