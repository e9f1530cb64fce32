"""A chat of several turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aios.sdk.given import known
from aios_syscalls import ChatReply, Message

if TYPE_CHECKING:
    from aios.sdk.agent import Agent


class Conversation:
    """Questions and the model's replies; a local model reads only what is new in each turn."""

    def __init__(self, agent: Agent, system: str | None = None) -> None:
        self.messages: list[Message] = [Message(role="system", content=system)] if system else []
        self._agent = agent

    async def say(self, text: str, **options: Any) -> ChatReply:
        """The reply to the next question, which becomes part of the conversation; an error leaves that as it was."""
        known(options, type(self._agent).chat)
        question = Message(role="user", content=text)
        reply = await self._agent.chat([*self.messages, question], **options)
        self.messages += [question, reply.message]
        return reply

    async def ask(self, text: str, **options: Any) -> str:
        """As `say`, but the text alone, stripped."""
        return (await self.say(text, **options)).text.strip()
