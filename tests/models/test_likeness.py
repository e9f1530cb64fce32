"""How like the past a text is, and that words count for little where it is like nothing."""

from __future__ import annotations

import pytest

from aios.routing import quality
from aios.routing.features import Precedents, QuestionText, WordCounts
from aios.routing.quality import Linear

PAST = ("why do glaciers calve into fjords", "which enzyme splits lactose in the gut")


def precedents() -> Precedents:
    vocabulary = WordCounts()
    found = Precedents(vocabulary)
    for text in map(QuestionText.of, PAST):
        found.add(text)
        vocabulary.add(text)
    return found


def test_a_text_of_the_past_is_all_like_one_and_a_strange_one_like_none() -> None:
    assert precedents().likeness(QuestionText.of(PAST[0])) == pytest.approx(1)
    assert precedents().likeness(QuestionText.of("quarks gluons bosons")) == 0
    assert precedents().likeness(QuestionText.of("")) == 0


def test_the_more_is_shared_with_one_text_the_more_alike_two_are() -> None:
    near, far = QuestionText.of("why do glaciers melt"), QuestionText.of("why not")
    assert 0 < precedents().likeness(far) < precedents().likeness(near) < 1


def test_words_from_two_texts_are_no_precedent_of_both() -> None:
    assert 0 < precedents().likeness(QuestionText.of("glaciers lactose")) < 0.5


def test_of_a_text_that_is_like_no_other_words_are_believed_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt = Linear({})
    for number in range(100):
        learnt.learn(QuestionText.of(f"frequent{number % 2} subject{number} thing{number}"), "m", float(number % 2))
    learnt.settle()

    def words(rest: str) -> float:
        one, other = (learnt.predict(QuestionText.of(f"frequent{last} {rest}"), "m") for last in (1, 0))
        return one - other

    little, much = words("other things"), words("subject1 thing1")
    monkeypatch.setattr(quality, "LEAST_TRUST", 1.0)
    assert little == pytest.approx(words("other things") * 0.3)
    assert much == pytest.approx(words("subject1 thing1"))
