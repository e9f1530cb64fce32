"""How many tokens a prompt has by its length, as a lane learns it from what its model counts."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from aios.context import Snapshot
from aios.cores.prompt_lengths import Length, PromptLengths
from aios.kernel import Turn
from aios.scheduler import Fifo, Job
from aios_syscalls import Chat, ChatReply, Message, Reply, ToolSpec, ToolUse, Usage

pytestmark = pytest.mark.anyio


def test_a_length_is_of_all_that_is_read() -> None:
    asked = Message(role="user", content="12345")
    used = Message(role="assistant", tool_uses=(ToolUse(id="1", name="add", arguments={"a": 1}),))
    tool = ToolSpec(name="add", description="sums", parameters={})
    assert Length.of(Chat(messages=(asked,))) == Length(1, 5)
    assert Length.of(Chat(messages=(asked, used))) == Length(2, 5 + 3 + len('{"a":1}'))
    assert Length.of(Chat(messages=(asked,), tools=(tool,))) == Length(2, 5 + 3 + 4 + len("{}"))


@pytest.mark.parametrize(("frame", "token"), [(12, 0.2), (4, 0.5), (8, 1.0)])
def test_a_tokenizer_and_a_template_are_learnt(frame: float, token: float) -> None:
    random, lengths = Random(1), PromptLengths()
    for _ in range(100):
        length = Length(random.randint(1, 8), random.randint(100, 4_000))
        lengths.observe(0, length, round(20 + frame * length.parts + token * length.characters))
    for length in (Length(1, 100), Length(8, 4_000)):
        truth = 20 + frame * length.parts + token * length.characters
        assert abs(lengths.guess(0, length) - truth) < 0.1 * truth


def test_what_was_learnt_gives_way_to_what_is_so_now() -> None:
    lengths = PromptLengths()
    for token in (0.2, 0.6):
        for number in range(200):
            lengths.observe(0, Length(1, 500 + number), round(token * (500 + number)))
        assert abs(lengths.guess(0, Length(1, 600)) - token * 600) < 0.1 * token * 600


def test_a_conversation_goes_on_from_what_was_counted() -> None:
    lengths = PromptLengths()
    for _ in range(50):
        lengths.observe(0, Length(1, 1_000), 250)
    lengths.observe(7, Length(2, 1_000), 900)
    alone = lengths.guess(7, Length(1, 400))
    assert lengths.guess(7, Length(4, 1_400)) == pytest.approx(900 + 100, abs=30)
    # A shorter one is another one, and so is another run's, and that of the user, who is no run.
    assert alone == lengths.guess(8, Length(1, 400)) == lengths.guess(0, Length(1, 400)) < 130
    lengths.ended(7)
    assert lengths.guess(7, Length(4, 1_400)) < 400


class Counted(Fifo):
    """Notes the contexts of calls when they come and when they are done."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[int] = []
        self.left: list[int] = []

    def add(self, job: Job, now: int = 0) -> None:
        assert job.prompt == job.context
        self.came.append(job.context)
        super().add(job, now)

    def done(self, job: Job, now: int = 0) -> None:
        self.left.append(job.context)
        super().done(job, now)


class Dense:
    """A model whose tokens are characters."""

    estimated = False

    async def run(self, turn: Turn) -> Reply | Snapshot:
        assert isinstance(turn.call, Chat)
        tokens = sum(len(message.content) for message in turn.call.messages)
        return ChatReply(text="x", usage=Usage(prompt_tokens=tokens, completion_tokens=1, estimated=self.estimated))


@pytest.mark.parametrize(("estimated", "truncate"), [(False, False), (True, False), (False, True)])
async def test_a_lane_tells_its_policy_what_its_model_counts(
    opened: Any, say: Any, estimated: bool, truncate: bool
) -> None:
    core, policy = Dense(), Counted()
    core.estimated = estimated
    async with opened(core, policy) as bench:
        for _ in range(20):
            await bench.run.submit(say("x" * 400, truncate=truncate))
    assert policy.came[0] == 115
    learns = not (estimated or truncate)
    assert policy.came[-1] == pytest.approx(400 if learns else 115, abs=25 if learns else 0)
    assert policy.left == policy.came if estimated else [400] * 20
