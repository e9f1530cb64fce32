"""In which order models are tried: the strategies of the router, by name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from aios.routing.features import QuestionText
from aios.routing.knn import NearestQuestions
from aios.routing.quality import Linear, Quality


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that could serve a call, and what is expected of it.

    `usd` is None where nobody knows the price. `wait_s` is the time until it begins, `service_s` what it takes then.
    `quality` and `score` are None where the strategy does not ask. `why` it does not come into question, if so.
    """

    name: str
    usd: float | None = None
    wait_s: float = 0.0
    service_s: float = 0.0
    reliability: float = 1.0
    quality: float | None = None
    score: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a dollar and a second are worth, in quality from 0 to 1; and how much a model that is little known may gain
    by being tried."""

    usd: float = 5.0
    second: float = 0.005
    explore: float = 0.05


class Strategy(Protocol):
    """Orders the models that could serve a call."""

    cascades: bool
    """Whether an answer is judged, and the next model asked where it is not good enough."""

    def order(self, text: QuestionText, candidates: Sequence[Candidate]) -> tuple[list[Candidate], str]:
        """The candidates, best first, with what was found out about them, and the reason in a few words."""

    def learn(self, text: QuestionText, model: str, score: float) -> None:
        """A model's answer to a text was so good, from 0 to 1."""

    def settle(self) -> None:
        """Make the most of what has been learnt, after much at once."""


class SimpleStrategy:
    """A strategy that learns nothing about quality."""

    cascades = False

    def learn(self, text: QuestionText, model: str, score: float) -> None:
        pass

    def settle(self) -> None:
        pass


class Explicit(SimpleStrategy):
    """The order of the configuration."""

    def order(self, text: QuestionText, candidates: Sequence[Candidate]) -> tuple[list[Candidate], str]:  # noqa: ARG002
        return list(candidates), "it is the first in the configuration that can"


class ByTurns(SimpleStrategy):
    """Each in turn."""

    def __init__(self) -> None:
        self._turns = itertools.count()

    def order(self, text: QuestionText, candidates: Sequence[Candidate]) -> tuple[list[Candidate], str]:  # noqa: ARG002
        first = next(self._turns) % len(candidates)
        return [*candidates[first:], *candidates[:first]], "it is its turn"


class LeastWait(SimpleStrategy):
    """Who is expected to have answered first."""

    def order(self, text: QuestionText, candidates: Sequence[Candidate]) -> tuple[list[Candidate], str]:  # noqa: ARG002
        return sorted(candidates, key=lambda each: each.wait_s + each.service_s), "it will have answered first"


class Cheapest(SimpleStrategy):
    """Who costs least; whose price nobody knows comes last."""

    def order(self, text: QuestionText, candidates: Sequence[Candidate]) -> tuple[list[Candidate], str]:  # noqa: ARG002
        return sorted(candidates, key=_price), "it costs least"


class Best:
    """The largest quality - usd * dollars - second * (wait + service).

    A model that fails now and then is worth less by as much. Where some prices are known and one is not, it counts as
    the dearest. A model of which little is known has a bonus, which shrinks as it is tried (UCB1, Auer et al. 2002).
    """

    cascades = False

    def __init__(self, quality: Quality, weights: Weights) -> None:
        self._quality, self._weights = quality, weights

    def order(self, text: QuestionText, candidates: Sequence[Candidate]) -> tuple[list[Candidate], str]:
        dearest = max((each.usd for each in candidates if each.usd is not None), default=0.0)
        seen = {each.name: self._quality.seen(each.name) for each in candidates}
        total = sum(seen.values())
        scored = []
        for each in candidates:
            quality = self._quality.predict(text, each.name)
            bonus = self._weights.explore * math.sqrt(math.log1p(total) / (1 + seen[each.name])) if total else 0.0
            price = self._weights.usd * (dearest if each.usd is None else each.usd)
            time = self._weights.second * (each.wait_s + each.service_s)
            scored.append(replace(each, quality=quality, score=(quality + bonus) * each.reliability - price - time))
        scored.sort(key=lambda each: -(each.score or 0.0))
        return scored, _reason(scored, self._weights)

    def learn(self, text: QuestionText, model: str, score: float) -> None:
        self._quality.learn(text, model, score)

    def settle(self) -> None:
        self._quality.settle()


class Cascade(Best):
    """The cheapest first; its answer is judged, and the next dearer one asked where it is not good enough.

    FrugalGPT (Chen et al. 2023). Of equal prices the one with the smaller usual quality is the cheaper.
    """

    cascades = True

    def order(self, text: QuestionText, candidates: Sequence[Candidate]) -> tuple[list[Candidate], str]:
        scored, _ = super().order(text, candidates)
        scored.sort(key=lambda each: (_price(each), each.quality))
        return scored, "it costs least, and its answer is judged"


def _price(candidate: Candidate) -> float:
    return math.inf if candidate.usd is None else candidate.usd


def _reason(scored: Sequence[Candidate], weights: Weights) -> str:
    if len(scored) < 2:
        return "it is the only one that can"
    first, second = scored[:2]
    gains = {
        "a better answer": (first.quality or 0.0) - (second.quality or 0.0),
        "fewer failures": first.reliability - second.reliability,
        "a lower price": weights.usd * ((second.usd or 0.0) - (first.usd or 0.0)),
        "a faster answer": weights.second * (second.wait_s + second.service_s - first.wait_s - first.service_s),
    }
    best = max(gains, key=lambda name: gains[name])
    return f"{best} than {second.name!r} is expected" if gains[best] > 0 else "all are alike, and it comes first"


Usual = Mapping[str, float]

STRATEGIES: Mapping[str, Callable[[Usual, Weights], Strategy]] = {
    "explicit": lambda _usual, _weights: Explicit(),
    "round_robin": lambda _usual, _weights: ByTurns(),
    "least_wait": lambda _usual, _weights: LeastWait(),
    "cheapest": lambda _usual, _weights: Cheapest(),
    "length": lambda usual, weights: Best(Linear(usual, words=False), weights),
    "knn": lambda usual, weights: Best(NearestQuestions(usual), weights),
    "learned": lambda usual, weights: Best(Linear(usual), weights),
    "cascade": lambda usual, weights: Cascade(Linear(usual), weights),
}
"""Name -> maker, which takes each model's usual quality and what dollars and seconds are worth."""
