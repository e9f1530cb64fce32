"""What the llm core tells of the time that chats take."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest
from trio.testing import MockClock

from aios.context import Snapshot
from aios.cores.llm import LlmCore
from aios.kernel import Turn
from aios.models.base import Backend, guess_tokens
from aios.routing.speed import Speed
from aios_syscalls import Chat, ChatReply, Message, Usage
from aios_syscalls.port import discard

pytestmark = pytest.mark.anyio
CHAT = Chat(messages=(Message(role="user", content="word " * 100),))


class Paused(Snapshot):
    tokens = 4

    def drop(self) -> None:
        return None


class Sliced:
    """Reads for two seconds and writes four tokens a second and slice; nine parts in ten of the prompt are cached."""

    wait_s = 0.0

    async def generate(self, _chat: Any, snapshot: Any, _budget: Any, *_: Any) -> ChatReply | Snapshot:
        await anyio.sleep(1 if snapshot else 3)
        usage = Usage(prompt_tokens=100, completion_tokens=8, cached_tokens=90)
        return ChatReply(text="", usage=usage) if snapshot else Paused()


class Noting(Speed):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[int, int, float]] = []
        self.all: list[float] = []

    def observe(self, read: int, written: int, seconds: float) -> None:
        self.notes.append((read, written, round(seconds, 3)))

    def served(self, seconds: float) -> None:
        self.all.append(round(seconds, 3))


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
async def test_only_what_had_to_be_read_counts_and_that_is_known_at_the_end() -> None:
    speed = Noting()
    core = LlmCore(cast(Backend, Sliced()), speed)
    outcome = await core.run(Turn(CHAT, 1, 4, None, discard))
    assert isinstance(outcome, Snapshot)
    assert speed.notes == []
    await core.run(Turn(CHAT, 1, 4, outcome, discard))
    assert speed.notes == [(0, 4, 1.0), (round(guess_tokens(CHAT) * 0.1), 4, 3.0)]
    assert speed.all == [4.0]
