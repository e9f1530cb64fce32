"""How well each strategy tells which questions need the strong model, on questions that both models were asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aios.bench import route_data
from aios.bench.route_data import Floats, Questions, Split
from aios.routing.features import QuestionText
from aios.routing.knn import NearestQuestions
from aios.routing.quality import Linear, Quality

USUAL = {"weak": 0.5, "strong": 0.5}
"""Nothing is known of either model beforehand."""
ALIKE = 244
"""Characters of a usual question: a text that says it has so many is judged by its words alone."""
NEAREST_SEEDS, NEAREST_TEST = 2, 400
"""How many splits and questions of each the nearest-neighbour strategy gets: each takes it some 50 ms."""
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Of strong calls, for charts."""
DRAWN, CHARTS = ("learned", "length", "knn", "random", "oracle"), ("mmlu_unseen", "mmlu_seen")
"""Which strategies are in a chart, on which questions."""

STRATEGIES = ("learned", "length", "prompt_length", "tfidf", "knn", "random", "oracle")


@dataclass(frozen=True, slots=True)
class RoutingCase:
    """A split of a set of questions."""

    name: str
    seed: int
    questions: Questions
    split: Split


def cases(sets: Mapping[str, Questions], seeds: Sequence[int], most: int | None) -> Iterator[RoutingCase]:
    """MMLU with subjects seen and unseen, GSM8K: a split for each seed, with at most so many to learn from."""
    mmlu, gsm8k = sets["mmlu"], sets["gsm8k"]
    for seed in seeds:
        yield RoutingCase("mmlu_seen", seed, mmlu, _part(route_data.seen(len(mmlu), seed), seed, most))
        yield RoutingCase("mmlu_unseen", seed, mmlu, _part(route_data.unseen(mmlu.subjects, seed), seed, most))
        yield RoutingCase("gsm8k", seed, gsm8k, _part(route_data.seen(len(gsm8k), seed), seed, most))


def measure(cases: Sequence[RoutingCase], tell: Callable[[str], None]) -> dict[str, list[float]]:
    """Each figure of each strategy, on every split that it is measured on."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for case in cases:
        tell(f"{case.name}, split {case.seed}: every strategy learns one part and is asked the other")
        for strategy in STRATEGIES:
            if strategy == "knn" and case.seed >= NEAREST_SEEDS:
                continue
            test = case.split.test[:NEAREST_TEST] if strategy == "knn" else case.split.test
            scores = _scores(strategy, case, [case.questions.prompts[at] for at in test])
            weak, strong = case.questions.weak[test], case.questions.strong[test]
            figures = _figures(scores, weak, strong)
            if strategy in DRAWN and case.name in CHARTS:
                figures |= {f"at_{each:.0%}"[:-1]: route_data.recovered(scores, weak, strong, each) for each in SHARES}
            for name, value in figures.items():
                found[f"{prefix(strategy)}{case.name}_{name}"].append(value)
    learned, length = found["mmlu_unseen_apgr"], found["length.mmlu_unseen_apgr"]
    found["mmlu_unseen_minus_length"] = [one - other for one, other in zip(learned, length, strict=True)]
    return dict(found)


def prefix(strategy: str) -> str:
    """What a strategy's figures begin with."""
    return "" if strategy == "learned" else f"{strategy}."


def _figures(score: Floats, weak: Floats, strong: Floats) -> dict[str, float]:
    return {
        "apgr": route_data.apgr(score, weak, strong),
        "cpt50": route_data.cpt(score, weak, strong, 0.5),
        "cpt80": route_data.cpt(score, weak, strong, 0.8),
        "regret": route_data.regret(score, weak, strong),
    }


def _scores(strategy: str, case: RoutingCase, asked: Sequence[str]) -> Floats:
    """How much better the strong model's answer is expected to be, for each question."""
    match strategy:
        case "random":
            return route_data.chance(len(asked), case.seed)
        case "oracle":
            return route_data.oracle(case.questions.weak[case.split.test], case.questions.strong[case.split.test])
        case "prompt_length":
            return np.array([float(len(prompt)) for prompt in asked])
        case "tfidf":
            return _learnt(Linear(USUAL), case, asked, ALIKE)
        case "length":
            return _learnt(Linear(USUAL, words=False), case, asked)
        case "knn":
            return _learnt(NearestQuestions(USUAL), case, asked)
        case _:
            return _learnt(Linear(USUAL), case, asked)


def _learnt(quality: Quality, case: RoutingCase, asked: Sequence[str], length: int | None = None) -> Floats:
    questions = case.questions
    for at in case.split.fit:
        text = QuestionText.of(questions.prompts[at], length)
        quality.learn(text, "weak", float(questions.weak[at]))
        quality.learn(text, "strong", float(questions.strong[at]))
    quality.settle()
    texts = [QuestionText.of(prompt, length) for prompt in asked]
    return np.array([quality.predict(text, "strong") - quality.predict(text, "weak") for text in texts])


def _part(split: Split, seed: int, most: int | None) -> Split:
    """A split in a random order, so that a part of it is a fair one."""
    dice = np.random.default_rng(seed)
    return Split(dice.permutation(split.fit)[:most], dice.permutation(split.test)[:most])
