"""Likelihoods on the real model: a plain recompute's, whatever else runs, with the common beginning read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import pytest

from aios.context.tiers import Tiers
from aios.models.local.engine.chunk_sizer import ChunkSizer
from aios.models.local.engine.engine import Engine
from aios.models.local.engine.generation import Generation
from aios.models.local.engine.llama import LlamaContext, LlamaModel, ModelShape, pack
from aios.models.local.engine.ranking import Known, Ranking, log_softmax
from aios.models.local.engine.template import Template
from aios_syscalls import AiosError, BadRequest, Chat, Message, ModelFailed, Rank, RankReply, Sampling

pytestmark = pytest.mark.whole

CONTEXT = 256
NEUTRAL = ("N/A", "Hello.")
OPTIONS = ("calculator", "calculator two", "clock", "the clock on the wall")
LONG = "You help with numbers, dates and times, and you are brief and polite. " * 4

MakeEngine = Callable[..., Engine]
Rankings = Callable[[Rank], Ranking]

ids = count(1000)


def asking(question: str, options: Sequence[str] = OPTIONS, **fields: object) -> Rank:
    messages = (Message(role="system", content=LONG), Message(role="user", content=question))
    return Rank(messages=messages, options=tuple(options), **fields)


CALLS = (
    asking("What is 3 plus 4?", prefix="I need the "),
    asking("What is 3 plus 4?", prefix="I need the ", neutral=NEUTRAL),
    asking("Who are you?", prefix="Tool: ", evidence="\nRequest: What is 3 plus 4?", neutral=("\nRequest: N/A",)),
    asking("Is it late?", ("yes", "no")),
)


@pytest.fixture
def ranking(llama: LlamaModel, template: Template) -> Rankings:
    known = Known()
    return lambda call: Ranking(next(ids), llama, template, call, CONTEXT, known)


def finish(engine: Engine, *rankings: Ranking) -> list[RankReply]:
    """Run rankings together, each one job at a time, as the worker does."""
    waiting = {each.id: each for each in rankings}
    for each in rankings:
        engine.run(next(each.jobs), None)
    while waiting:
        for output in engine.step():
            if output.generation.id not in waiting:
                continue
            if isinstance(output.end, AiosError):
                raise output.end
            job = next(waiting[output.generation.id].jobs, None)
            if job is None:
                del waiting[output.generation.id]
            else:
                engine.run(job, None)
    return [each.reply() for each in rankings]


@pytest.fixture(scope="module")
def alone(llama: LlamaModel, template: Template, tmp_path_factory: pytest.TempPathFactory) -> list[RankReply]:
    """What each of `CALLS` finds on an engine of its own."""
    replies = []
    for call in CALLS:
        engine = Engine(llama, ModelShape(1, CONTEXT, threads_batch=2), Tiers(0, 0, tmp_path_factory.mktemp("none")))
        replies += finish(engine, Ranking(next(ids), llama, template, call, CONTEXT, Known()))
        engine.close()
    return replies


def recomputed(llama: LlamaModel, template: Template, call: Rank) -> list[float]:
    """The likelihoods of a call's options, each text computed whole in an empty context."""
    prompt = template.tokens(Chat(messages=call.messages))
    texts = [prompt + llama.tokenize(call.prefix + option + call.evidence) for option in call.options]
    starts = [len(prompt + llama.tokenize(call.prefix + option)) for option in call.options]
    if not call.evidence:
        shortest = min(map(len, texts))
        differ = (n for n in range(shortest) if len({text[n] for text in texts}) > 1)
        starts = [min(next(differ, shortest), shortest - 1)] * len(texts)
    found = []
    for start, text in zip(starts, texts, strict=True):
        context = LlamaContext(llama, ModelShape(1, CONTEXT, threads_batch=2))
        rows = context.decode(
            pack(text), pack(range(len(text))), pack([0] * len(text)), pack(range(start - 1, len(text) - 1))
        ).astype(np.float64)
        context.close()
        chosen = rows[np.arange(len(rows)), text[start:]]
        found.append(float((chosen - np.log(np.exp(rows).sum(axis=1))).sum()))
    return found


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_likelihoods_are_those_of_a_plain_recompute(
    llama: LlamaModel, template: Template, alone: list[RankReply], number: int
) -> None:
    call, reply = CALLS[number], alone[number]
    assert [each.option for each in reply.options] == list(call.options)
    expected = recomputed(llama, template, call)
    assert [each.log_likelihood for each in reply.options] == pytest.approx(expected, rel=1e-9)
    scores = expected
    if call.neutral:
        last = call.messages[-1]
        others = [
            call.model_copy(update={"evidence": each})
            if call.evidence
            else call.model_copy(update={"messages": (*call.messages[:-1], last.model_copy(update={"content": each}))})
            for each in call.neutral
        ]
        usual = np.mean([recomputed(llama, template, other) for other in others], axis=0)
        scores = [value - mean for value, mean in zip(expected, usual, strict=True)]
    assert [each.score for each in reply.options] == pytest.approx(scores, rel=1e-9)
    assert reply.best == scores.index(max(scores))


def test_a_small_model_knows_what_fits(llama: LlamaModel, ranking: Rankings, make_engine: MakeEngine) -> None:
    questions = {"What time is it in Paris?": "clock", "How much is 12 times 7?": "calculator"}
    calls = [asking(question, ("calculator", "clock"), prefix="I need the ", neutral=NEUTRAL) for question in questions]
    assert [reply.choice for reply in finish(make_engine(), *map(ranking, calls))] == list(questions.values())


@pytest.mark.parametrize("chunk", [5, 64])
def test_what_runs_beside_and_ran_before_changes_nothing(
    llama: LlamaModel,
    template: Template,
    ranking: Rankings,
    make_engine: MakeEngine,
    alone: list[RankReply],
    chunk: int,
) -> None:
    class Steady(ChunkSizer):
        def budget(self, beside: bool) -> int:
            return chunk

    engine = make_engine(slots=len(CALLS) + 2, pace=Steady())
    for question in ("Write a story about a sailor.", "Count to ten."):
        prompt = template.tokens(Chat(messages=(Message(role="user", content=question),)))
        engine.run(Generation(next(ids), llama, prompt, Sampling(), room=CONTEXT, max_tokens=60), None)
    assert finish(engine, *map(ranking, CALLS)) == alone
    assert finish(engine, *map(ranking, reversed(CALLS))) == alone[::-1]


def test_a_conversation_with_answers_of_the_model_is_ranked_too(ranking: Rankings, make_engine: MakeEngine) -> None:
    turns = (Message(role="assistant", content="Good morning.", generated=True), Message(role="user", content="Late?"))
    call = CALLS[1].model_copy(update={"messages": (*CALLS[1].messages, *turns)})
    engine = make_engine()
    first = finish(engine, ranking(call))
    assert finish(engine, ranking(CALLS[3]), ranking(call))[1:] == first


def test_the_common_beginning_is_read_once(ranking: Rankings, make_engine: MakeEngine, template: Template) -> None:
    engine = make_engine(slots=1)
    call = CALLS[0]
    finish(engine, ranking(call))
    prompt = len(template.tokens(Chat(messages=call.messages)))
    assert prompt > 64
    assert engine.statistics()["read_tokens"] < prompt + 8 * len(call.options)


def test_neutral_prompts_are_read_once(ranking: Rankings, make_engine: MakeEngine) -> None:
    engine = make_engine()
    first, second = asking("What is 3 plus 4?", neutral=NEUTRAL), asking("Is it late?", neutral=NEUTRAL)
    fresh = finish(engine, ranking(first), ranking(second))
    before = engine.statistics()["steps"]
    again = finish(engine, ranking(second))
    assert again == fresh[1:]
    assert engine.statistics()["steps"] - before <= len(OPTIONS)


def test_a_prompt_that_is_too_long_is_the_callers_fault(ranking: Rankings) -> None:
    with pytest.raises(BadRequest, match=rf"a slot holds {CONTEXT}") as caught:
        ranking(asking("Why? " * CONTEXT))
    assert caught.value.field == "messages"


def test_logits_that_are_no_numbers_are_the_models_fault() -> None:
    with pytest.raises(ModelFailed, match="not numbers"):
        log_softmax(np.array([1.0, np.nan], np.float32))
    assert np.exp(log_softmax(np.array([1e4, -1e4, 1e4], np.float32))) == pytest.approx([0.5, 0, 0.5])
