"""The judge of a cascade: whether a cheap model's answer will do, or a stronger model should be asked."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from aios.routing.evidence import SIGNS, JudgedAnswer
from aios.routing.features import BUCKETS, Floats, Ints, WordCounts
from aios.routing.ridge import Ridge
from aios_syscalls import BadRequest

WORTHLESS = 0.02
"""How good an answer is that says nothing, or is not what its schema asks for: a judge may err, so not 0."""
CUT_OFF = -1.5
FALSE_EQUATION = -1.0
FITS = 0.5
MARGIN = 3.0
"""What evidence of which nothing is learnt adds to the logarithm of the odds; the margin's is per unit from .5."""
LEARNT, VOTERS = 2000, 400
"""How many labelled answers are learnt from, and how many of them, the newest, vote; more cost time and say no more."""
LEAST_SLOPE = 0.3
"""Of the odds over the share of the votes: more votes are never worse."""
STRENGTH, SCALE, REPLAY = 5.0, 0.4, 16
"""Of the ridge: what was best on the answers of a 47B model to 650 grade-school problems, and no worse for 20."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How likely the answer is right, 0 to 1, and in a few words why."""

    good: float
    reason: str


class Judge:
    """What is to be seen of an answer, and how it compares with answers of which somebody said how good they are."""

    def __init__(self) -> None:
        self._questions, self._answers = WordCounts(), WordCounts()
        self._ridge = Ridge(len(SIGNS), STRENGTH, SCALE, LEARNT)
        self._voters: deque[tuple[float, float]] = deque(maxlen=VOTERS)
        self._votes = _Votes(np.empty(0), np.empty(0))

    def learn(self, question: str, answer: str, score: float) -> None:
        """An answer of the past and how good it was, 0 to 1. Raises BadRequest for another score."""
        if not 0 <= score <= 1:
            raise BadRequest(f"the score of an answer is {score:g}; give one from 0, wrong, to 1, right", "score")
        seen = JudgedAnswer(question, answer)
        self._questions.add(seen.question)
        self._answers.add(seen.answer)
        words, weights = self._words(seen)
        # What it would have said before it knew: said afterwards, all that was right would look right (Dawid 1984).
        self._voters.append((sum(self._ridge.predict(seen.signs, words, weights)), score))
        self._ridge.add(seen.signs, words, weights, score - 0.5, REPLAY)
        self._votes = _Votes(*np.array(self._voters).T)

    def judge(
        self,
        question: str,
        answer: str,
        *,
        finish: str = "stop",
        schema: Mapping[str, Any] | None = None,
        margin: float | None = None,
    ) -> Verdict:
        """The verdict on an answer that ended for the reason `finish`.

        `margin` is by how much the model preferred its own words to others, 0 to 1, None if that is not known.
        """
        if not answer.strip() and finish != "tool_use":
            return Verdict(WORTHLESS, "empty")
        fits = schema is not None and finish != "tool_use"
        if schema is not None and fits and (fault := misfit(answer, schema)):
            return Verdict(WORTHLESS, fault)
        odds, reasons = self._evidence(JudgedAnswer(question, answer), fits)
        if finish == "length":
            odds += CUT_OFF
            reasons.append("cut off")
        if margin is not None and not math.isnan(margin):
            odds += MARGIN * (min(1.0, max(0.0, margin)) - 0.5)
            reasons.append(f"margin {margin:.2f}")
        return Verdict(1 / (1 + math.exp(-odds)), "; ".join(reasons) or "nothing is known of such answers")

    def _evidence(self, seen: JudgedAnswer, fits: bool) -> tuple[float, list[str]]:
        """The logarithm of the odds, and why: what was learnt, or else what is likely."""
        if self._voters:
            votes = self._votes.of(sum(self._ridge.predict(seen.signs, *self._words(seen))))
            return self._votes.odds(votes), [f"{votes:.0%} of the votes of {len(self._voters)} labelled answers"]
        odds, reasons = 0.0, []
        if fits:
            odds += FITS
            reasons.append("fits its schema")
        if not all(seen.checks):
            odds += FALSE_EQUATION
            reasons.append("states an equation that does not hold")
        return odds, reasons

    def _words(self, seen: JudgedAnswer) -> tuple[Ints, Floats]:
        """The words of the question and, as other features, those of the answer."""
        asked, asked_weights = self._questions.weigh(seen.question)
        said, said_weights = self._answers.weigh(seen.answer)
        return np.append(asked, (said + BUCKETS // 2) % BUCKETS), np.append(asked_weights, said_weights)


class _Votes:
    """Pairwise votes against a few labelled answers, as in Meta Ranking (Liu et al. 2024), and what they are worth.

    There a model compares two answers; here what is learnt does. A wrong answer votes for one that beats it, a right
    one for one that reaches it, and nearly so if nearly. How likely a share of the votes means right is fitted to the
    voters' own shares by a logistic curve (Platt 1999), with priors that hold it level while there are few.
    """

    def __init__(self, scores: Floats, labels: Floats) -> None:
        self._scores, self._labels = scores, labels
        self._level, self._slope = 0.0, 1.0
        self._middle, self._width, self._spread = 0.0, 1.0, 1.0
        if len(scores):
            self._spread = max(0.1, float(scores.std()))
            self._fit(_logit(self._shares(scores)))

    def of(self, score: float) -> float:
        """The share of the votes that an answer gets, the right ones and the wrong ones counting half each."""
        return float(self._shares(np.array([score]))[0])

    def odds(self, share: float) -> float:
        """The logarithm of the odds that an answer with this share of the votes is right."""
        curve = self._slope * (_logit(np.array([share])) - self._middle) / self._width + self._level
        return float(curve[0])

    def _shares(self, scores: Floats) -> Floats:
        votes = 1 / (1 + np.exp(np.clip((self._scores - scores[:, None]) / self._spread, -30, 30)))
        right, wrong = self._labels, 1 - self._labels
        shares: Floats = (votes @ right + 0.5) / (right.sum() + 1) + (votes @ wrong + 0.5) / (wrong.sum() + 1)
        return shares / 2

    def _fit(self, logits: Floats, steps: int = 12, prior: tuple[float, float] = (2.0, 2.0)) -> None:
        """Newton's method, towards a level of 0 and a slope of 1 as strongly as `prior` says."""
        self._middle, self._width = float(logits.mean()), max(1.0, float(logits.std()))
        features = np.stack([np.ones(len(logits)), (logits - self._middle) / self._width])
        usual, pull = np.array([0.0, 1.0]), np.array(prior)
        curve = usual
        for _ in range(steps):
            chances = 1 / (1 + np.exp(-np.clip(curve @ features, -30, 30)))
            slope = features @ (chances - self._labels) + pull * (curve - usual)
            curve = curve - np.linalg.solve((features * chances * (1 - chances)) @ features.T + np.diag(pull), slope)
        self._level, self._slope = float(curve[0]), max(LEAST_SLOPE, float(curve[1]))


def _logit(shares: Floats) -> Floats:
    logits: Floats = np.log(shares / (1 - shares))
    return logits


def misfit(answer: str, schema: Mapping[str, Any]) -> str | None:
    """Why an answer is not JSON that satisfies a schema, None if it is, or if the schema is none."""
    try:
        value = json.loads(answer, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return "not JSON"
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    try:
        error = next(_validator(json.dumps(dict(schema))).iter_errors(value), None)
    except (SchemaError, Unresolvable, RecursionError, re.error):
        return None
    if error is None:
        return None
    where = error.json_path if len(error.json_path) < 40 else error.json_path[:37] + "..."
    return f"off its schema at {where}: {error.validator or 'nothing fits'}"


@lru_cache(32)
def _validator(schema: str) -> Any:
    """A validator that fetches nothing: a reference out of the schema is not followed. Raises SchemaError."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY

    read = json.loads(schema)
    kind = validator_for(read, default=Draft202012Validator)
    kind.check_schema(read)
    return kind(read, registry=REGISTRY)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
