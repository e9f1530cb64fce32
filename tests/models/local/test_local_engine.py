"""The promise of the engine: an answer depends on nothing but its own call."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count, repeat
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aios.context.tiers import Tiers
from aios.models.local.engine.chunk_sizer import ChunkSizer
from aios.models.local.engine.engine import Engine
from aios.models.local.engine.generation import Generation
from aios.models.local.engine.grammar import Grammar, to_gbnf
from aios.models.local.engine.llama import LlamaModel, ModelShape
from aios.models.local.engine.template import Template
from aios.models.local.engine.text import ShownText
from aios_syscalls import Chat, Message, Sampling

pytestmark = pytest.mark.whole

MakeEngine = Callable[..., Engine]

QUESTIONS = (
    "Tell me about cats.",
    "Write a story about a sailor and the sea. " * 4,
    "What is two and two?",
    "List five fruits.",
    "Count to ten. " * 12,
    "Name a colour.",
)
GREEDY = Sampling()
SAMPLED = Sampling(temperature=0.9, top_k=20, min_p=0.02, repeat_penalty=1.2)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
TOKENS = 12

ids = count(1)


class Bench:
    """Makes generations and runs them to their end."""

    def __init__(self, llama: LlamaModel, template: Template) -> None:
        self._llama, self._template = llama, template

    def prompt(self, question: str) -> list[int]:
        return self._template.tokens(Chat(messages=(Message(role="user", content=question),)))

    def generation(
        self,
        question: str,
        sampling: Sampling = GREEDY,
        schema: dict[str, Any] | None = None,
        tokens: int = TOKENS,
        **more: Any,
    ) -> Generation:
        grammar = Grammar(self._llama, to_gbnf([schema])) if schema else None
        return Generation(
            next(ids),
            self._llama,
            self.prompt(question),
            sampling,
            room=256,
            max_tokens=tokens,
            seed=5,
            grammar=grammar,
            **more,
        )

    def mixed(self, got: Iterator[list[int]] | None = None) -> list[Generation]:
        """Greedy, sampled and constrained answers, which have got so far."""
        got = got or repeat([])
        return [
            *(self.generation(question, generated=next(got)) for question in QUESTIONS),
            *(self.generation(question, SAMPLED, generated=next(got)) for question in QUESTIONS[:3]),
            self.generation("Give a person as JSON.", SAMPLED, PERSON, generated=next(got)),
        ]


@pytest.fixture(scope="module")
def bench(llama: LlamaModel, template: Template) -> Bench:
    return Bench(llama, template)


def finish(engine: Engine, generations: Sequence[Generation]) -> list[list[int]]:
    """Run generations together, without slices."""
    for generation in generations:
        engine.run(generation, None)
    while engine.busy:
        engine.step()
    return [generation.generated for generation in generations]


@pytest.fixture(scope="module")
def alone(bench: Bench, llama: LlamaModel, tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    """What each of `Bench.mixed` answers when it has an engine to itself."""
    answers = []
    for generation in bench.mixed():
        engine = Engine(llama, ModelShape(1, 256, threads_batch=2), Tiers(0, 0, tmp_path_factory.mktemp("none")))
        answers += finish(engine, [generation])
        engine.close()
    assert len({tuple(answer) for answer in answers}) > 5
    return answers


def test_batch_mates_change_nothing(bench: Bench, make_engine: MakeEngine, alone: list[list[int]]) -> None:
    engine = make_engine(slots=len(alone))
    assert engine.exact()
    assert finish(engine, bench.mixed()) == alone


@pytest.mark.parametrize("chunk", [5, 17, 255])
def test_the_size_of_chunks_changes_nothing(
    bench: Bench, make_engine: MakeEngine, alone: list[list[int]], chunk: int
) -> None:
    class Steady(ChunkSizer):
        def budget(self, beside: bool) -> int:
            return chunk

    assert finish(make_engine(slots=6, pace=Steady()), bench.mixed()[:6]) == alone[:6]


@pytest.mark.parametrize(
    ("memory_bytes", "disk_bytes", "longest", "cuts", "tier"),
    [
        (1 << 28, 0, 2, 60, "memory_hits"),
        (8 << 20, 1 << 28, 2, 60, "disk_hits"),
        (1 << 28, 0, 2, 60, "resident"),
        (0, 0, 5, 20, "again_tokens"),
    ],
)
def test_where_it_is_preempted_and_kept_changes_nothing(
    bench: Bench,
    make_engine: MakeEngine,
    alone: list[list[int]],
    memory_bytes: int,
    disk_bytes: int,
    longest: int,
    cuts: int,
    tier: str,
) -> None:
    """200 random preemptions in all: the same tokens, each generated once."""
    engine = make_engine(len(alone) - 2 if tier == "resident" else 3, memory_bytes, disk_bytes)
    running = 3
    random = Random(tier)
    # Computing everything again after each cut is slow: fewer do for that.
    generations = bench.mixed() if memory_bytes else bench.mixed()[3:]
    alone = alone[-len(generations) :]
    waiting, preempted, busy = deque(generations), 0, 0
    while waiting or busy:
        while waiting and busy < running:
            engine.run(waiting.popleft(), random.randint(1, longest))
            busy += 1
        for output in engine.step():
            busy -= bool(output.end or output.paused)
            if output.paused:
                preempted += 1
                waiting.append(output.generation)
    statistics = engine.statistics()
    assert [generation.generated for generation in generations] == alone
    assert statistics["written_tokens"] == sum(map(len, alone))
    assert preempted >= cuts
    assert statistics[tier] > 0


def test_altered_files_are_computed_again(
    bench: Bench, make_engine: MakeEngine, alone: list[list[int]], tmp_path: Path
) -> None:
    engine = make_engine(slots=1, memory_bytes=2 << 20)
    generations = bench.mixed()[:3]
    for generation in generations:
        engine.run(generation, 5)
        while engine.busy:
            engine.step()
    files = list(tmp_path.iterdir())
    for file in files:
        file.write_bytes(bytes(file.stat().st_size))
    assert [finish(engine, [generation])[0] for generation in generations] == alone[:3]
    assert engine.statistics()["altered"] == len(files) > 0


def test_a_generation_continues_on_another_engine_from_its_tokens(
    bench: Bench, make_engine: MakeEngine, alone: list[list[int]]
) -> None:
    halves = iter([answer[: len(answer) // 2] for answer in alone])
    assert finish(make_engine(slots=len(alone)), bench.mixed(halves)) == alone


def test_a_shared_beginning_is_read_once_and_changes_nothing(bench: Bench, make_engine: MakeEngine) -> None:
    shared = "You sort words into groups. Answer with one word. " * 6
    questions = [shared + last for last in ("apple", "hammer and nails", "the sea", "apple pie")]
    separate = [finish(make_engine(slots=1), [bench.generation(question, tokens=6)])[0] for question in questions]
    engine = make_engine(slots=2)
    together = [finish(engine, [bench.generation(question, tokens=6)])[0] for question in questions]
    assert together == separate
    statistics = engine.statistics()
    assert statistics["shared_tokens"] > 3 * 60
    assert statistics["read_tokens"] < len(bench.prompt(questions[0])) + 3 * 30
    # A conversation goes on: the next prompt begins with the last one and its answer.
    longer = questions[-1] + " and then some more of it"
    assert finish(engine, [bench.generation(longer, tokens=6)]) == finish(
        make_engine(slots=1), [bench.generation(longer, tokens=6)]
    )


def test_running_sequences_become_neighbours(bench: Bench, make_engine: MakeEngine, alone: list[list[int]]) -> None:
    engine = make_engine(slots=6)
    short = {0, 2, 3}
    generations = [
        bench.generation(question, tokens=3 if number in short else TOKENS) for number, question in enumerate(QUESTIONS)
    ]
    answers = finish(engine, generations)
    assert engine.statistics()["moves"] > 0
    assert answers == [answer[:3] if number in short else answer for number, answer in enumerate(alone[:6])]


def test_dropped_generations_free_their_place(bench: Bench, make_engine: MakeEngine, alone: list[list[int]]) -> None:
    engine = make_engine(slots=2)
    for _ in range(3):
        running, reading = bench.generation(QUESTIONS[1]), bench.generation(QUESTIONS[4])
        engine.run(running, None)
        engine.run(reading, None)
        engine.step()
        engine.drop(running.id)
        engine.drop(reading.id)
        engine.drop(10**9)
    assert not engine.busy
    assert engine.step() == []
    assert finish(engine, bench.mixed()[:2]) == alone[:2]
    assert (engine.statistics()["running"], engine.statistics()["paused"]) == (0, 0)


def test_answers_under_a_schema_are_valid(bench: Bench, make_engine: MakeEngine, llama: LlamaModel) -> None:
    engine = make_engine(slots=10)
    subjects = ("a person", "a king", "Ada", "someone old", "a child")
    generations = [
        bench.generation(f"Describe {subject} as JSON.", sampling, PERSON, tokens=60)
        for subject in subjects * 2
        for sampling in (Sampling(), SAMPLED)
    ]
    for batch in (generations[:10], generations[10:]):
        finish(engine, batch)
    values = [json.loads(generation.text.value) for generation in generations]
    assert len(values) == 20
    assert all(set(value) == {"name", "age"} and isinstance(value["age"], int) for value in values)
    assert all(generation.finish is None for generation in generations)


def test_a_generation_ends_for_length_for_context_and_for_a_stop_string(bench: Bench, make_engine: MakeEngine) -> None:
    engine = make_engine(slots=4)
    cut = bench.generation("Write a long story.", tokens=4)
    full = bench.generation("word " * 200 + "Go on.", tokens=1000, text=ShownText())
    unfinished = bench.generation("A person.", schema=PERSON, tokens=5)
    stopped = bench.generation(QUESTIONS[0], tokens=TOKENS, text=ShownText(stop=(" ",)))
    for generation in (cut, full, unfinished, stopped):
        engine.run(generation, None)
    ends: dict[int, Any] = {}
    while engine.busy:
        ends |= {output.generation.id: output.end for output in engine.step() if output.end}
    assert [ends[each.id] for each in (cut, unfinished, stopped)] == ["length", "length", "stop"]
    assert (ends[full.id], len(full.tokens)) in [("length", 256), ("stop", len(full.tokens))]
    assert " " not in stopped.text.value
