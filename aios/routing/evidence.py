"""What can be seen of an answer beside its question, without knowing what is right."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from aios.routing.arithmetic import equations, numbers
from aios.routing.features import Floats, QuestionText

SIGNS: Mapping[str, tuple[float, float]] = {
    "equations that hold": (1.4, 0.7),
    "equations that do not": (0.1, 0.3),
    "share of the question's numbers used": (0.8, 0.25),
    "numbers of the question unused": (0.4, 0.45),
    "numbers from nowhere": (0.3, 0.5),
    "numbers in the question": (1.4, 0.5),
    "numbers in the answer": (2.6, 0.6),
    "length of the answer": (5.8, 0.7),
    "length of the question": (5.4, 0.5),
    "length beside the question": (0.8, 0.4),
    "lines": (1.6, 0.5),
    "length of sentences": (4.3, 0.6),
    "ends in a whole number": (0.85, 0.35),
    "ends in a large number": (3.8, 2.0),
    "ends in a number of the question": (0.2, 0.4),
    "ends in a sentence": (0.3, 0.45),
    "states a conclusion": (0.7, 0.45),
    "reasons": (0.7, 0.6),
    "hedges": (0.15, 0.35),
    "conditions in the question": (0.8, 0.6),
}
"""Each sign with its middle and its width over answers of some hundred words, so that all weigh alike."""

_COUNTS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
WORDS = {"half": 0.5, "once": 1.0, "twice": 2.0, "double": 2.0, "thrice": 3.0, "dozen": 12.0} | {
    word: float(number) for number, word in enumerate(_COUNTS)
}
COMMON = frozenset({*range(13), 24, 30, 52, 60, 100, 365, 1000, 0.5, 0.25, 0.75})
"""Numbers that need no source: small counts, parts of a year, a day or an hour, shares."""
CONCLUDES = frozenset({"answer", "therefore", "thus", "hence", "conclusion", "overall", "total", "boxed"})
REASONS = frozenset({"therefore", "thus", "hence", "so", "because", "since", "then", "total"})
HEDGES = frozenset({"however", "but", "unsure", "unclear", "cannot", "assume", "assuming", "perhaps", "maybe", "sorry"})
CONDITIONS = frozenset({"if", "but", "unless", "except", "each", "every", "half", "rest", "remaining", "other", "than"})
SENTENCE = re.compile(r"[.?!]\s")
_WORD = re.compile(r"[a-z]+")
_TOLD = 1e12
"""Larger numbers tell nothing more."""


class JudgedAnswer:
    """An answer beside its question, read when it is asked about."""

    def __init__(self, question: str, answer: str) -> None:
        self.question, self.answer = QuestionText.of(question), QuestionText.of(answer)

    @cached_property
    def checks(self) -> list[bool]:
        """The equations that it states: which of them hold."""
        return equations(self.answer.content)

    @cached_property
    def signs(self) -> Floats:
        """The SIGNS, in their order, each about 0 and 1 wide."""
        middles, widths = np.array([*SIGNS.values()]).T
        signs: Floats = np.clip((np.array(self._signs()) - middles) / widths, -3, 3)
        return signs

    def _signs(self) -> list[float]:
        question, answer = self.question.content, self.answer.content.strip()
        asked, said = numbers(question), numbers(answer)
        asking, saying = _WORD.findall(question.lower()), _WORD.findall(answer.lower())
        given = {*asked, *(WORDS[word] for word in asking if word in WORDS)}
        stated, found = {*asked}, {*said}
        held, last = sum(self.checks), min(said[-1], _TOLD) if said else 0.0
        final = answer.rpartition("\n")[2]
        return [
            math.log1p(held),
            math.log1p(len(self.checks) - held),
            len(stated & found) / len(stated) if stated else 1.0,
            math.log1p(len(stated - found)),
            math.log1p(len(_strange(self.answer.content, given))),
            math.log1p(len(stated)),
            math.log1p(len(said)),
            math.log1p(self.answer.length),
            math.log1p(self.question.length),
            math.log1p(self.answer.length / max(1, self.question.length)),
            math.log1p(answer.count("\n") + 1),
            math.log1p(len(answer) / (1 + len(SENTENCE.findall(answer)))),
            float(bool(said) and last == int(last)),
            math.log1p(last),
            float(bool(said) and last in given),
            float(answer[-1:] in (".", "!", "?")),
            float("####" in final or not CONCLUDES.isdisjoint(_WORD.findall(final.lower()))),
            math.log1p(sum(word in REASONS for word in saying)),
            math.log1p(sum(word in HEDGES for word in saying)),
            math.log1p(sum(word in CONDITIONS for word in asking)),
        ]


def _strange(answer: str, given: set[float]) -> set[float]:
    """Numbers that an answer works with, though neither the question nor an earlier equation has them."""
    known, strange = given | COMMON, set()
    for piece in answer.split("\n"):
        before, *results = piece.split("=")
        for number in numbers(before):
            if number not in known:
                strange.add(number)
        for result in results:
            known.update(numbers(result))
        known.update(numbers(before))
    return strange
