"""The judge: arithmetic worked out again, schemas, how an answer ended, and what labelled answers teach."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios.routing.arithmetic import equations, numbers, value
from aios.routing.evidence import SIGNS, JudgedAnswer
from aios.routing.judge import Judge
from aios_syscalls import BadRequest

QUESTION = "Ann has 12 boxes of 7 pens and gives 4 pens away. How many pens are left?"
RIGHT = "She has 12 * 7 = 84 pens.\nShe gives 4 away, so 84 - 4 = 80 are left.\nThe answer is 80."
WRONG = "She has 12 + 7 = 29 of them\nthen 31 - 5 = 23.5"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer"}},
    "required": ["age"],
    "additionalProperties": False,
}

LITERALS = st.integers(0, 999).map(str) | st.decimals(0, 99, places=2).map(str)
EXPRESSIONS = st.recursive(
    LITERALS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("-{}".format),
    ),
    max_leaves=10,
).filter(lambda text: len(text) <= 200)


def python(expression: str) -> float | None:
    try:
        return float(eval(expression, {"__builtins__": {}}))
    except ZeroDivisionError:
        return None


@given(EXPRESSIONS)
def test_expressions_come_to_what_they_come_to_in_python(expression: str) -> None:
    ours, theirs = value(expression), python(expression)
    assert ours == theirs or (ours is not None and theirs is not None and math.isclose(ours, theirs, rel_tol=1e-9))


@given(st.integers(-9, 9), st.integers(0, 3), st.integers(0, 3))
def test_powers_bind_as_in_python(base: int, power: int, next_power: int) -> None:
    expression = f"{base} ^ {power} ^ {next_power}"
    assert value(expression) == python(expression.replace("^", "**"))


@given(EXPRESSIONS, st.floats(0.02, 0.5))
def test_a_stated_result_holds_if_it_is_the_result(expression: str, off: float) -> None:
    result = python(expression)
    if result is None or not 1 < result < 1e9 or len(numbers(expression)) < 2 or expression[0] == "-":
        return
    assert equations(f"So {expression} = {result:.6f}.") == [True]
    assert equations(f"So {expression} = {result * (1 + off):.6f}.") == [False]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("$1,234.50 * 2", 2469),
        ("20% of 50", 10),
        ("3 x 4", 12),
        ("6 × 7 ÷ 2 − 1", 20),
        (".5 + .25", 0.75),
        ("2(3)", None),
        ("1 / 0", None),
        ("10 ^ 9999", None),
        ("(-8) ^ .5", None),
        ("2 3", None),
        ("1 +", None),
        ("(1", None),
        ("", None),
        ("__import__('os')", None),
        ("(" * 90 + "1" + ")" * 90, None),
        ("1+" * 150 + "1", None),
    ],
)
def test_value(expression: str, result: float | None) -> None:
    assert value(expression) == result


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("3 + 4 = 7", [True]),
        ("3 + 4 = 8", [False]),
        ("12 * $2 = $<<12*2=24>>24 a day", [True, True]),
        ("2 + 3 + 1 = 5 + 1 = 6", [True, True]),
        ("so y = 2 * 3 = 6, and 2 + 2 = 5.", [True, False]),
        ("10 / 3 = 3.33, about 3", [True]),
        ("10 / 3 = 3.2", [False]),
        ("3 / 4 = 75% or 3 / 4 * 100 = 75%, not 3 / 4 = 70%", [True, True, False]),
        ("It weighs 3 + 4 = 7kg", [True]),
        ("x + 2 = 5 and 10 = 4 + 3x and 2n + 1 = 7", []),
        ("age = 5, 7 = 7", []),
        ("- 3 + 4 = 7", []),
        ("if a == b: c = 2", []),
        ("no arithmetic here", []),
    ],
)
def test_equations(text: str, held: list[bool]) -> None:
    assert equations(text) == held


def test_signs_tell_a_careful_answer_from_a_careless_one() -> None:
    def signs(answer: str) -> dict[str, float]:
        return dict(zip(SIGNS, JudgedAnswer(QUESTION, answer).signs, strict=True))

    right, wrong = signs(RIGHT), signs(WRONG)
    for more in (
        "equations that hold",
        "share of the question's numbers used",
        "ends in a whole number",
        "ends in a sentence",
        "states a conclusion",
    ):
        assert right[more] > wrong[more], more
    for less in ("equations that do not", "numbers of the question unused", "numbers from nowhere"):
        assert right[less] < wrong[less], less


def test_of_an_unknown_kind_of_answer_it_says_so() -> None:
    verdict = Judge().judge("Who was it?", "It was Ann.")
    assert (verdict.good, verdict.reason) == (0.5, "nothing is known of such answers")


def test_a_false_equation_counts_before_anything_is_learnt() -> None:
    verdict = Judge().judge(QUESTION, WRONG)
    assert verdict.good < 0.4
    assert "equation" in verdict.reason


@pytest.mark.parametrize("answer", ["", " \n"])
def test_an_empty_answer_is_bad_unless_it_uses_a_tool(answer: str) -> None:
    assert Judge().judge(QUESTION, answer).good < 0.1
    assert Judge().judge(QUESTION, answer, finish="tool_use", schema=SCHEMA).good == 0.5


def test_an_answer_that_was_cut_off_is_doubtful() -> None:
    judge = Judge()
    verdict = judge.judge(QUESTION, "She has", finish="length")
    assert 0.1 < verdict.good < 0.3
    assert verdict.reason == "cut off"
    judge.learn(QUESTION, RIGHT, 1)
    assert judge.judge(QUESTION, RIGHT, finish="length").good < judge.judge(QUESTION, RIGHT).good


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I am 3", "not JSON"),
        ('```json\n{"age": 3}\n```', "not JSON"),
        ('{"age": NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{}", "off its schema at $: required"),
        ('{"age": "3"}', "off its schema at $.age: type"),
        ('{"age": 3, "name": 1}', "off its schema at $: additionalProperties"),
    ],
)
def test_an_answer_off_its_schema_is_bad(answer: str, reason: str) -> None:
    judge = Judge()
    judge.learn(QUESTION, answer, 1)
    verdict = judge.judge(QUESTION, answer, schema=SCHEMA, margin=1)
    assert verdict.good < 0.1
    assert verdict.reason == reason


def test_an_answer_that_fits_its_schema_is_rather_good() -> None:
    verdict = Judge().judge(QUESTION, '{"age": 3}', schema=SCHEMA)
    assert verdict.good > 0.5
    assert verdict.reason == "fits its schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#"},
        {"type": "object", "patternProperties": {"(": {}}},
    ],
)
def test_a_schema_that_cannot_be_applied_says_nothing_against_an_answer(schema: dict[str, Any]) -> None:
    assert Judge().judge(QUESTION, '{"age": 3}', schema=schema).good >= 0.5


def test_a_wide_margin_speaks_for_an_answer_and_a_narrow_one_against_it() -> None:
    goods = [Judge().judge(QUESTION, RIGHT, margin=margin).good for margin in (-1, 0, 0.3, 0.5, 0.9, 1, 7)]
    assert goods == sorted(goods)
    assert goods[0] == goods[1] < 0.3 < goods[3] == Judge().judge(QUESTION, RIGHT, margin=math.nan).good == 0.5
    assert goods[-1] == goods[-2] > 0.7


def test_labelled_answers_vote() -> None:
    judge = Judge()
    for number in range(10, 16):
        question = QUESTION.replace("12", str(number))
        judge.learn(question, RIGHT.replace("12", str(number)), 1)
        judge.learn(question, WRONG.replace("12", str(number)), 0)
    good, bad = judge.judge(QUESTION, RIGHT), judge.judge(QUESTION, WRONG)
    assert bad.good < 0.4 < 0.6 < good.good
    assert "12 labelled answers" in good.reason


def test_every_label_moves_its_own_kind_of_answer() -> None:
    judge = Judge()
    for text, score in ((RIGHT, 1), (WRONG, 0)):
        for _ in range(3):
            judge.learn(QUESTION, text, score)
    before = judge.judge(QUESTION, WRONG).good
    for _ in range(30):
        judge.learn(QUESTION, WRONG, 1)
    assert judge.judge(QUESTION, WRONG).good > before


def test_only_right_or_only_wrong_answers_are_enough_to_lean() -> None:
    for score, low, high in ((1, 0.6, 1), (0.5, 0.3, 0.7), (0, 0, 0.4)):
        judge = Judge()
        for number in range(20):
            judge.learn(f"Question {number}?", f"Answer {number}.", score)
        assert low <= judge.judge("Question 30?", "Answer 30.").good <= high


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    with pytest.raises(BadRequest, match="give one from 0, wrong, to 1, right"):
        Judge().learn(QUESTION, RIGHT, score)


ARITHMETIC_LIKE = st.text(st.sampled_from("0123456789.,+-*/^%$()=x<> \nof"), max_size=400)
TEXTS = st.text(max_size=200) | ARITHMETIC_LIKE | st.just("9" * 5000) | st.just("\ud800 1/3")
LEARNT = Judge()


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS, st.none() | st.just(SCHEMA), st.none() | st.floats(), st.floats(0, 1))
def test_it_has_a_verdict_on_any_text(
    question: str, answer: str, schema: dict[str, Any] | None, margin: float | None, score: float
) -> None:
    for judge in (Judge(), LEARNT):
        assert 0 <= judge.judge(question, answer, schema=schema, margin=margin).good <= 1
    LEARNT.learn(question, answer, score)
