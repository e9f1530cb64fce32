"""What is kept of prompts and answers, where, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from aios.models.local.engine import Engine
from aios.models.local.generation import Generation
from aios.models.local.llama import LlamaModel
from aios_syscalls import Sampling

MakeEngine = Callable[..., Engine]
PREFIX = [int(number) for number in Random(1).sample(range(100, 40_000), 80)]


@pytest.fixture
def say(llama: LlamaModel) -> Any:
    numbers = iter(range(1, 10_000))

    def make(tail: Sequence[int], prefix: Sequence[int] = PREFIX, tokens: int = 4, salt: str = "") -> Generation:
        prompt = [*prefix, *tail]
        return Generation(next(numbers), llama, prompt, Sampling(), room=256, max_tokens=tokens, salt=salt)

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
def test_conversations_that_lost_their_place_go_on_from_below(
    make_engine: MakeEngine, say: Any, memory_bytes: int, tier: str
) -> None:
    """Many agents on few slots, three turns each: only what is new, and the last answer, is read."""
    engine, plain = make_engine(slots=2, memory_bytes=memory_bytes), make_engine(slots=1, memory_bytes=0)
    talks = [[1000 + number, *PREFIX[number:]] for number in range(5)]
    for turn in range(3):
        before = engine.statistics()["read_tokens"]
        asked = [say([], prefix=talk) for talk in talks]
        answers = [run(engine, generation)[0] for generation in asked]
        read = engine.statistics()["read_tokens"] - before
        if turn:
            assert read == 5 * (4 + 2)
        else:
            assert answers == [run(plain, say([], prefix=talk))[0] for talk in talks]
        talks = [[*talk, *answer, 500, 501] for talk, answer in zip(talks, answers, strict=True)]
    assert engine.statistics()[tier] >= 5
    assert 0 < engine.statistics()["hit_rates"][tier.removesuffix("_hits")] <= 1


def test_a_longer_conversation_takes_the_place_of_the_shorter(make_engine: MakeEngine, say: Any) -> None:
    engine = make_engine(slots=2, disk_bytes=0)
    run(engine, say([1, 2, 3]))
    run(engine, say([1, 2, 3, 4, 5, 6]))
    run(engine, say([1], prefix=[9] * 40))
    # The first place was taken over, so that the other was still empty.
    assert engine.statistics()["saved"] == 0
    assert engine.statistics()["resident"] == 1


def test_random_traffic_changes_no_answer(make_engine: MakeEngine, say: Any) -> None:
    """Shared beginnings of all lengths, pauses, drops, and tiers that overflow; each answer as if alone."""
    dice = Random(3)
    engine, plain = make_engine(slots=3, memory_bytes=4 << 20, disk_bytes=6 << 20), make_engine(slots=1, memory_bytes=0)
    tails = [[2000 + dice.randrange(3) for _ in range(dice.randrange(1, 6))] for _ in range(40)]
    begins = [PREFIX[: dice.choice([10, 40, 60, 80])] for _ in tails]
    waiting = [say(tail, prefix=prefix, tokens=3) for tail, prefix in zip(tails, begins, strict=True)]
    expected = {each.id: run(plain, say(each.prompt, prefix=[], tokens=3))[0] for each in waiting}
    ended: dict[int, list[int]] = {}
    running: list[Generation] = []
    while waiting or running:
        while waiting and len(running) < 3:
            running.append(waiting.pop(dice.randrange(min(6, len(waiting)))))
            engine.run(running[-1], dice.choice([1, 2, None]))
        for output in engine.step():
            if output.paused or output.end:
                running.remove(output.generation)
            if output.end:
                ended[output.generation.id] = output.generation.generated
            elif output.paused and dice.random() < 0.1:
                engine.drop(output.generation.id)
            elif output.paused:
                waiting.append(output.generation)
    assert len(ended) > 25
    assert ended == {id: expected[id] for id in ended}


def test_throughput_mode_keeps_answers_for_the_next_turn(make_engine: MakeEngine, say: Any) -> None:
    engine = make_engine(slots=2, exact=False)
    first = say([5, 6], tokens=12)
    (answer,) = run(engine, first)
    before = engine.statistics()["read_tokens"]
    run(engine, say([5, 6, *answer, 7, 8, 9]))
    # All but the last token of the answer, whose state nobody needed.
    assert engine.statistics()["read_tokens"] - before == 1 + 3
