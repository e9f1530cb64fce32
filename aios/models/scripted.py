"""A model that says what it is told: a test double for everyone who tests with the kernel."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from types import TracebackType
from typing import Self

import anyio

from aios.context import Snapshot
from aios.models.base import NO_VECTORS, NOBODY, Caller, Emit
from aios_syscalls import (
    AiosError,
    Chat,
    ChatReply,
    Embed,
    KernelBug,
    LlmCall,
    ModelFailed,
    Rank,
    Ranked,
    RankReply,
    Usage,
)

Script = str | ChatReply | AiosError | Callable[[Chat], str | ChatReply]
"""What one call gets: a text, a whole reply, an error to raise, or a function of the call."""

TOKEN = re.compile(r"\s*\S+\s*|\s+")
"""A word with the white space around it, so that a text is exactly its tokens joined."""

PLAIN = ChatReply(text="")


class ScriptedSnapshot(Snapshot):
    """A scripted reply, paused after its first `tokens` tokens; continues at most once."""

    def __init__(self, model: ScriptedModel, reply: ChatReply, pieces: Sequence[str], tokens: int) -> None:
        self.tokens = tokens
        self._model, self._reply, self._pieces = model, reply, pieces
        self._live = True
        model.held += 1

    def take(self) -> tuple[ChatReply, Sequence[str], int]:
        """Hand over the reply, its tokens and the position. Raises KernelBug when that, or a drop, was done before."""
        if not self._live:
            raise KernelBug("a snapshot was continued after it had been continued or dropped")
        self._live = False
        self._model.held -= 1
        return self._reply, self._pieces, self.tokens

    def drop(self) -> None:
        if self._live:
            self.take()
            self._model.dropped += 1


class ScriptedModel:
    """Answers each new call with the next of `replies`, or every call with the one that is no sequence.

    A token is a word; each takes `delay_s` seconds, is emitted by itself, and counts in slices, limits and usage.
    With a delay of 0 a slice has no checkpoint: it cannot be cancelled halfway and lets nobody else run, so a loop
    around it must have its own. A cancelled slice holds nothing.

    A ranking's best option is the one that `choose` names, or else the first.

    `calls` keeps the last `record` new chats, `rankings` the last rankings, `held` counts the snapshots that are
    neither continued nor dropped.
    """

    def __init__(
        self,
        replies: Script | Iterable[Script],
        name: str = "scripted",
        slots: int = 8,
        delay_s: float = 0.0,
        record: int = 1000,
        choose: Callable[[Rank], str] = lambda call: call.options[0],
    ) -> None:
        self.name, self.slots = name, slots
        self.healthy, self.local, self.wait_s = True, True, 0.0
        self.refuses = ""
        """What `refusal` says of each chat."""
        self.calls: deque[Chat] = deque(maxlen=record)
        self.rankings: deque[Rank] = deque(maxlen=record)
        self.dropped = self.held = 0
        self._delay_s, self._choose = delay_s, choose
        if isinstance(replies, str | ChatReply | AiosError) or callable(replies):
            self._replies: Iterator[Script] = repeat(replies)
        else:
            self._replies = iter(replies)

    async def count_tokens(self, chat: Chat) -> int | None:  # noqa: ARG002
        return None

    def demote(self, pid: int) -> None:
        pass

    def refusal(self, call: LlmCall) -> str:
        """As `Backend.refusal`."""
        return self.refuses or (NO_VECTORS if isinstance(call, Embed) else "")

    async def generate(
        self,
        chat: Chat,
        snapshot: Snapshot | None,
        budget: int | None,
        emit: Emit,
        caller: Caller = NOBODY,  # noqa: ARG002 - a pause costs nothing here
    ) -> ChatReply | Snapshot:
        """As `Model.generate`; raises ModelFailed when the replies have run out."""
        if snapshot is None:
            reply, pieces, start = *self._begin(chat), 0
        elif isinstance(snapshot, ScriptedSnapshot):
            reply, pieces, start = snapshot.take()
        else:
            raise KernelBug(f"model {self.name!r} cannot continue a {type(snapshot).__name__}")
        end = len(pieces) if budget is None else min(start + budget, len(pieces))
        for piece in pieces[start:end]:
            if self._delay_s:
                await anyio.sleep(self._delay_s)
            emit(piece)
        return reply if end == len(pieces) else ScriptedSnapshot(self, reply, pieces, end)

    async def rank(self, call: Rank) -> RankReply:
        """A score of 0 for the chosen option and of -1 for the others. Raises KernelBug for a choice that is none."""
        self.rankings.append(call)
        choice = self._choose(call)
        if choice not in call.options:
            raise KernelBug(f"model {self.name!r} chose {choice!r}, which is none of {call.options}; mend its `choose`")
        scores = [0.0 if option == choice else -1.0 for option in call.options]
        return RankReply(
            options=tuple(
                Ranked(option=option, log_likelihood=score, score=score)
                for option, score in zip(call.options, scores, strict=True)
            ),
            best=call.options.index(choice),
            model=self.name,
            usage=Usage(prompt_tokens=_count(call)),
        )

    def _begin(self, chat: Chat) -> tuple[ChatReply, Sequence[str]]:
        self.calls.append(chat)
        script = next(self._replies, None)
        if script is None:
            raise ModelFailed(f"model {self.name!r} has no reply left; give it more replies, or one for every call")
        if isinstance(script, AiosError):
            raise script.with_traceback(None)
        if callable(script):
            script = script(chat)
        return self._limit(chat, script, PLAIN) if isinstance(script, str) else self._limit(chat, script.text, script)

    def _limit(self, chat: Chat, text: str, reply: ChatReply) -> tuple[ChatReply, Sequence[str]]:
        found = [at for stop in chat.stop if stop and (at := text.find(stop)) >= 0]
        pieces = TOKEN.findall(text[: min(found)] if found else text)
        finish, uses = ("stop", ()) if found else (reply.finish, reply.tool_uses)
        if len(pieces) > chat.max_tokens:
            pieces, finish, uses = pieces[: chat.max_tokens], "length", ()
        usage = Usage(prompt_tokens=_count(chat), completion_tokens=len(pieces))
        if "usage" in reply.model_fields_set:
            usage = reply.usage
        told = ChatReply(
            text="".join(pieces),
            tool_uses=uses,
            finish=finish,
            model=reply.model or self.name,
            mode=reply.mode,
            usage=usage,
            margin=reply.margin,
            reasoning=reply.reasoning,
            call=reply.call,
        )
        return told, pieces

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _count(call: Chat | Rank) -> int:
    return sum(len(message.content.split()) for message in call.messages)
