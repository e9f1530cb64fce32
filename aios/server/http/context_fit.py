"""Whether a prompt and its answer fit a model's context, told before a call is made."""

from __future__ import annotations

from collections.abc import Callable

from aios.server.door import Door, ModelInfo
from aios.server.http.refusal import HttpRefusal
from aios_syscalls import Chat

RESERVE = 2048
"""Tokens of a context that a prompt must leave: a client that is to shorten it asks for that in the same context."""
RESERVED_SHARE = 1 / 8
"""Of a context, where that is less."""
BYTES_PER_TOKEN = 4
"""Of a prompt whose tokens nobody has counted."""
FRAME = 64
"""Tokens of a message or tool beside its text, at most."""
PREAMBLE = 1024
"""Tokens that a template puts in front, at most."""

TooLong = Callable[[int, int], HttpRefusal]


class ContextFit:
    """Counts prompts where that could matter, and cuts the answer's limit to what is left."""

    def __init__(self, door: Door, unlimited: int) -> None:
        self._door = door
        self._unlimited = unlimited
        """The limit of an answer whose request names none, where nobody can tell what is left for it."""

    async def count(self, chat: Chat) -> int:
        """Tokens of the prompt, guessed where the model's tokenizer is not known."""
        tokens = await self._door.count_tokens(chat)
        return 1 + _bytes(chat) // BYTES_PER_TOKEN if tokens is None else tokens

    async def fitted(self, chat: Chat, info: ModelInfo | None, unlimited: bool, refuse: TooLong) -> tuple[Chat, int]:
        """The call with its limit cut to what the context leaves, and the prompt's tokens (0: not counted).

        Raises HttpRefusal for a prompt that is too long.
        """
        context = info.context if info else None
        if context is None or (not unlimited and _at_most(chat) + chat.max_tokens <= context):
            return chat, 0
        tokens = await self._door.count_tokens(chat)
        if tokens is None:
            return _limited(chat, self._unlimited) if unlimited else chat, 0
        most = context - min(RESERVE, int(context * RESERVED_SHARE))
        if tokens > most:
            raise refuse(tokens, most)
        left = context - tokens
        return _limited(chat, left), tokens


def _limited(chat: Chat, most: int) -> Chat:
    return chat if chat.max_tokens <= most else chat.model_copy(update={"max_tokens": most})


def _at_most(chat: Chat) -> int:
    """Tokens that the prompt has at most: no token has less than a byte."""
    return PREAMBLE + _bytes(chat) + FRAME * (len(chat.messages) + len(chat.tools))


def _bytes(chat: Chat) -> int:
    size = sum(_length(message.content) + _length(message.reasoning) for message in chat.messages)
    size += sum(len(str(use.arguments)) + len(use.name) for message in chat.messages for use in message.tool_uses)
    return size + sum(len(tool.description) + len(str(tool.parameters)) for tool in chat.tools)


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
