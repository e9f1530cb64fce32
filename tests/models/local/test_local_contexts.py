"""What is kept of prompts and answers, where, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random
from typing import Any

import pytest

from aios.models.local.engine.chunk_sizer import ChunkSizer
from aios.models.local.engine.engine import Engine
from aios.models.local.engine.generation import Generation
from aios.models.local.engine.llama import Floats, LlamaModel
from aios_syscalls import Sampling

pytestmark = pytest.mark.whole

MakeEngine = Callable[..., Engine]
PREFIX = [int(number) for number in Random(1).sample(range(100, 40_000), 80)]


@pytest.fixture
def say(llama: LlamaModel) -> Any:
    numbers = iter(range(1, 10_000))

    def make(tail: Sequence[int], prefix: Sequence[int] = PREFIX, tokens: int = 4, **more: Any) -> Generation:
        return Generation(next(numbers), llama, [*prefix, *tail], Sampling(), room=256, max_tokens=tokens, **more)

    return make


def run(engine: Engine, *generations: Generation) -> list[list[int]]:
    for generation in generations:
        engine.run(generation, None)
    while engine.busy:
        engine.step()
    return [generation.generated for generation in generations]


def test_followers_that_come_together_wait_for_their_leader(make_engine: MakeEngine, say: Any) -> None:
    engine = make_engine(slots=4)
    run(engine, *(say([7, 8, number]) for number in range(4)))
    assert engine.statistics()["read_tokens"] <= len(PREFIX) + 4 * 3
    assert engine.statistics()["shared_tokens"] >= 3 * len(PREFIX)


def test_what_is_salted_is_shared_with_its_like_alone(make_engine: MakeEngine, say: Any) -> None:
    engine = make_engine(slots=4)
    first, second, third = say([1, 2]), say([1, 3], salt="a"), say([1, 4], salt="a")
    run(engine, first)
    run(engine, second)
    assert engine.statistics()["shared_tokens"] == 0
    run(engine, third)
    assert engine.statistics()["shared_tokens"] == len(PREFIX)
    assert engine.statistics()["missed"] == 2


@pytest.mark.parametrize(("memory_bytes", "tier"), [(1 << 28, "memory_hits"), (6 << 20, "disk_hits")])
@pytest.mark.parametrize("marked", [True, False])
def test_conversations_that_lost_their_place_go_on_from_below(
    make_engine: MakeEngine, say: Any, memory_bytes: int, tier: str, marked: bool
) -> None:
    """Many agents on few slots, three turns each: only what is new is read, and the last answer if it is not marked."""
    engine, plain = make_engine(slots=2, memory_bytes=memory_bytes), make_engine(slots=1, memory_bytes=0)
    talks = [[1000 + number, *PREFIX[number:]] for number in range(5)]
    for turn in range(3):
        before = engine.statistics()["read_tokens"]
        asked = [say([], prefix=talk) for talk in talks]
        answers = [run(engine, generation)[0] for generation in asked]
        read = engine.statistics()["read_tokens"] - before
        if turn:
            assert read == 5 * (2 if marked else 4 + 2)
            # As when nothing is kept: then an earlier answer is computed as it was.
            assert answers[:2] == [run(plain, say([], prefix=talk, salt=f"{turn}{marked}"))[0] for talk in talks[:2]]
        talks = [
            [*talk, *(~token if marked else token for token in answer), 500, 501]
            for talk, answer in zip(talks, answers, strict=True)
        ]
    assert engine.statistics()[tier] >= 5
    assert engine.statistics()["again_tokens"] == (10 if marked else 0)
    assert 0 < engine.statistics()["hit_rates"][tier.removesuffix("_hits")] <= 1


def test_a_longer_conversation_takes_the_place_of_the_shorter(make_engine: MakeEngine, say: Any) -> None:
    engine = make_engine(slots=2, disk_bytes=0)
    first = say([1, 2, 3])
    run(engine, first)
    run(engine, say([], prefix=[*first.tagged, 5, 6]))
    # The last token of the first answer is computed only now: alone, as the rest of it.
    assert engine.statistics()["shared_tokens"] == len(first.tagged) - 1
    run(engine, say([1], prefix=[9] * 40))
    # The first place was taken over, so that the other was still empty.
    assert engine.statistics()["saved"] == 0
    assert engine.statistics()["resident"] == 1


class Recorded(Generation):
    """Keeps a digest of the logits that each token was drawn from."""

    digests: list[bytes]

    def draw(self, logits: Floats) -> tuple[int, str] | None:
        if not self.generated:
            self.digests = []
        self.digests.append(blake2b(logits.tobytes()).digest())
        return super().draw(logits)


class Fickle(ChunkSizer):
    """Pieces of random sizes."""

    def __init__(self, dice: Random) -> None:
        super().__init__()
        self._dice = dice

    def budget(self, beside: bool) -> int:
        return self._dice.choice([5, 17, 32, 64, 200])


@pytest.mark.timeout(600)
def test_two_hundred_answers_have_the_bits_of_those_alone(make_engine: MakeEngine, llama: LlamaModel) -> None:
    """Random batch-mates, pieces, pauses, drops, shared beginnings, seats, and tiers that overflow."""
    dice = Random(3)

    def make(id: int, prompt: list[int], kind: int, salt: str = "") -> Recorded:
        sampling = (Sampling(), Sampling(temperature=0.9, repeat_penalty=1.2, seed=kind))[kind % 2]
        return Recorded(id, llama, prompt, sampling, room=256, max_tokens=4, seed=kind, salt=salt)

    def prompt() -> list[int]:
        """A beginning, perhaps an earlier answer in it, and a few tokens."""
        codes = PREFIX[: dice.choice([10, 40, 60, 80])]
        if dice.random() < 0.5:
            codes = [*codes[:35], *(~code for code in codes[35:38]), *codes[38:]]
        return [*codes, *(2000 + dice.randrange(3) for _ in range(dice.randrange(1, 6)))]

    prompts = [prompt() for _ in range(25)]
    plain = make_engine(slots=1, memory_bytes=0)
    alone = []
    for number, codes in enumerate(prompts):
        alone.append(make(-1 - number, codes, number, salt=str(number)))
        plain.run(alone[-1], None)
        while plain.busy:
            plain.step()

    engine = make_engine(slots=4, memory_bytes=6 << 20, disk_bytes=9 << 20, pace=Fickle(dice))
    waiting: list[Generation] = []
    running: list[Generation] = []
    begun, ended = 0, 0
    while ended < 200:
        while len(waiting) < 8:
            which = dice.randrange(len(prompts))
            waiting.append(make(begun * len(prompts) + which, prompts[which], which))
            begun += 1
        while len(running) < dice.choice([2, 3, 4]):
            running.append(waiting.pop(dice.randrange(len(waiting))))
            engine.run(running[-1], dice.choice([1, 2, 3, None]))
        for output in engine.step():
            generation = output.generation
            assert isinstance(generation, Recorded)
            if output.paused or output.end:
                running.remove(generation)
            if output.end:
                expected = alone[generation.id % len(prompts)]
                assert generation.digests == expected.digests
                assert generation.generated == expected.generated
                ended += 1
            elif output.paused and dice.random() < 0.1:
                engine.drop(generation.id)
            elif output.paused:
                waiting.append(generation)
    statistics = engine.statistics()
    assert min(statistics[name] for name in ("resident", "memory_hits", "disk_hits", "lost", "moves")) > 0


def test_throughput_mode_keeps_answers_for_the_next_turn(make_engine: MakeEngine, say: Any) -> None:
    engine = make_engine(slots=2, exact=False)
    first = say([5, 6], tokens=12, exact=False)
    (answer,) = run(engine, first)
    before = engine.statistics()["read_tokens"]
    run(engine, say([5, 6, *answer, 7, 8, 9], exact=False))
    # All but the last token of the answer, whose state nobody needed.
    assert engine.statistics()["read_tokens"] - before == 1 + 3
