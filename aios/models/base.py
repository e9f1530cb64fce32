"""What the kernel needs of a model, local or remote."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from aios.context import Snapshot
from aios_syscalls import Chat, ChatReply, Embed, EmbedReply, LlmCall, Rank, RankReply, ToolSpec

Emit = Callable[[str], None]
"""Takes the next piece of generated text, as soon as it is final; never blocks."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a generation is for, and how things stand where it runs."""

    pid: int = 0
    program: str = "user"
    crowded: Callable[[int], bool] = lambda _tokens: True
    """Whether, after so many tokens of this slice, somebody waits who is to have the slot first."""


NOBODY = Caller()


class Backend(Protocol):
    """What serves calls of the llm family. Entering it makes it ready to serve, leaving it frees everything.

    Raises BadRequest for a call that it can never serve, ModelFailed for one that it could not serve now.
    """

    @property
    def name(self) -> str:
        """What a call's `model` field says to get this one."""

    @property
    def slots(self) -> int:
        """How many calls it runs at once."""

    @property
    def healthy(self) -> bool:
        """Whether a call sent now has a chance; the router asks."""

    @property
    def local(self) -> bool:
        """Whether what it is asked stays on this machine."""

    @property
    def wait_s(self) -> float:
        """How long a call has to wait on its slot before it is served, in seconds: for rate limits, say."""

    def refusal(self, call: LlmCall) -> str:
        """Why it can never serve `call`, to be read after its name; empty as far as that can be told in advance."""

    async def count_tokens(self, chat: Chat) -> int | None:
        """The tokens that it would read of a chat, told without waiting for a slot; None where that is not known."""

    def demote(self, pid: int) -> None:
        """Nobody is about to need what is kept of process `pid`: it may go first."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


class Model(Backend, Protocol):
    """A source of chat replies."""

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit, caller: Caller = NOBODY
    ) -> ChatReply | Snapshot:
        """Start `chat`, or continue it from `snapshot`, for at most `budget` tokens (None: to its end).

        A Snapshot means that the budget is used up. The reply's text is whole, whatever the slices; `emit` gets
        each piece once. When cancelled, everything held for this generation is freed.
        """


class Ranker(Backend, Protocol):
    """A source of likelihoods."""

    async def rank(self, call: Rank) -> RankReply:
        """How likely the options are; takes one slot, and has no slices, for it generates nothing."""


class Embedder(Backend, Protocol):
    """A source of vectors."""

    async def embed(self, call: Embed) -> EmbedReply:
        """The vectors of the call's texts: the same whatever else runs."""


NO_LIKELIHOODS = "tells no likelihood of a given text; let it write one under a response_schema with an enum"
"""The refusal of texts to rank."""
NO_VECTORS = "generates text; only a local model with embed = true embeds any"
"""The refusal of a text to embed."""
ONLY_VECTORS = "only embeds texts"
"""The refusal of all else."""

CHARS_PER_TOKEN = 3.0
"""Few tokenizers make more of European languages or code; of others they do."""


def guess_tokens(call: LlmCall) -> int:
    """About how many tokens a call's texts have, rather too many than too few."""
    if isinstance(call, Embed):
        return math.ceil(sum(map(len, call.texts)) / CHARS_PER_TOKEN)
    chars = sum(len(message.content) + 12 for message in call.messages)
    chars += sum(len(tool.description) + 50 * (1 + len(_properties(tool))) for tool in call.tools)
    return math.ceil(chars / CHARS_PER_TOKEN)


def _properties(tool: ToolSpec) -> Collection[Any]:
    found = tool.parameters.get("properties")
    return found if isinstance(found, dict) else ()


def attachments_refusal(call: LlmCall, takes: Collection[str] = ()) -> str:
    """A refusal of a chat with pictures or files that a model does not take; empty if there are none."""
    if not isinstance(call, Chat):
        return ""
    for number, message in enumerate(call.messages):
        for part in message.attachments:
            if part.type not in takes:
                return (
                    f"takes no {part.type}s, and message {number} has one; leave it out, or say in words what it shows"
                )
    return ""


def too_long(call: Chat | Rank, context: int) -> str:
    """A refusal of a conversation that surely has no room in `context` tokens; empty if it may have.

    A token holds no two words, whatever the model: tokenizers split texts at white space before anything else.
    """
    texts = [message.content for message in call.messages]
    if sum(map(len, texts)) < 2 * context or (isinstance(call, Chat) and call.truncate):
        return ""
    least = sum(map(_words, texts))
    return f"holds {context} tokens, and the messages have {least} or more" if least >= context else ""


@lru_cache(16)
def _words(text: str) -> int:
    """How many words a text has, or rather fewer: a router asks it of every model, for texts of a megabyte too."""
    data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    blank = (data == 32) | ((data >= 9) & (data <= 13))
    return int(np.count_nonzero(blank[:-1] & ~blank[1:])) + int(len(data) > 0 and not blank[0])
