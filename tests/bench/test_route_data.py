"""Routing data and its figures, on a few questions with figures that can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aios.bench.route_data import apgr, auroc, chance, cpt, gsm8k, mmlu, oracle, regret, seen, unseen
from aios_syscalls import BadRequest, NotFound

WEAK = np.array([1.0, 0.0, 0.0, 1.0])
STRONG = np.array([0.0, 1.0, 1.0, 1.0])
"""The strong model gains -1, 1, 1 and 0: a gap of 1."""
BEST = np.array([0.0, 3.0, 2.0, 1.0])
WORST = -BEST

MMLU = "routellm_mmlu_gpt4_vs_mixtral.csv"
GSM8K = "routellm_gsm8k_gpt4_vs_mixtral.csv"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / MMLU).write_text(
        'domain,prompt,weak_correct,strong_correct\na,"one,\ntwo",1,0\nb,été,0,1\nb,out,1,1\n', "utf-8"
    )
    (tmp_path / GSM8K).write_text(
        "prompt,weak_correct,strong_correct,weak_response,strong_response\nq,True,0.0, 7 ,8\n", "utf-8"
    )
    for name, prompts in (("mmlu", ["out", "elsewhere"]), ("gsm8k", [])):
        lines = "".join(json.dumps({"eval_prompt": prompt}) + "\n" for prompt in prompts)
        (tmp_path / f"routellm_contaminated_{name}.jsonl").write_text(lines, "utf-8")
    return tmp_path


def test_mmlu_has_subjects_and_no_contaminated_prompts(data: Path) -> None:
    questions = mmlu(data)
    assert len(questions) == 2
    assert questions.prompts == ["one,\ntwo", "été"]
    assert questions.subjects == ["a", "b"]
    assert (questions.weak.tolist(), questions.strong.tolist()) == ([1, 0], [0, 1])
    assert questions.answers == []


def test_gsm8k_has_answers(data: Path) -> None:
    questions = gsm8k(data)
    assert (questions.prompts, questions.answers, questions.subjects) == (["q"], [" 7 "], [])
    assert (questions.weak.tolist(), questions.strong.tolist()) == ([1], [0])


@pytest.mark.parametrize("name", [MMLU, "routellm_contaminated_mmlu.jsonl"])
def test_a_missing_file_is_named(data: Path, name: str) -> None:
    (data / name).unlink()
    with pytest.raises(NotFound, match=f"there is no .*{name}; name the directory"):
        mmlu(data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (MMLU, "prompt,weak_correct,strong_correct\nq,1,1\n", "no column domain;"),
        (MMLU, "", "no column prompt, weak_correct, strong_correct, domain;"),
        (MMLU, "domain,prompt,weak_correct,strong_correct\n", "no question"),
        (MMLU, "domain,prompt,weak_correct,strong_correct\na,q,1,maybe\n", "'maybe' in strong_correct"),
        (MMLU, "domain,prompt,weak_correct,strong_correct\na,q,1\n", "'' in strong_correct"),
        (MMLU, "domain,prompt\udce9", "no table"),
        ("routellm_contaminated_mmlu.jsonl", "{}\n", ":1 is no JSON object with an eval_prompt"),
        ("routellm_contaminated_mmlu.jsonl", '\n"x"\n', ":2 is no JSON object with an eval_prompt"),
        ("routellm_contaminated_mmlu.jsonl", "no\n", ":1 is no JSON object with an eval_prompt"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(data: Path, name: str, content: str, message: str) -> None:
    (data / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadRequest, match=message):
        mmlu(data)


def test_halves_are_all_questions_and_the_seed_s() -> None:
    split = seen(7, 3)
    assert (len(split.fit), len(split.test)) == (3, 4)
    assert sorted([*split.fit, *split.test]) == list(range(7))
    assert split.fit.tolist() == np.random.default_rng(3).permutation(7)[:3].tolist() == seen(7, 3).fit.tolist()


def test_whole_subjects_are_held_out() -> None:
    subjects = ["d", "a", "b", "c", "a", "d", "b"]
    for seed in range(5):
        split = unseen(subjects, seed)
        held = {subjects[at] for at in split.test}
        assert held == {np.random.default_rng(seed).permutation(["a", "b", "c", "d"])[0]}
        assert held.isdisjoint(subjects[at] for at in split.fit)
        assert sorted([*split.fit, *split.test]) == list(range(7))


def test_apgr() -> None:
    # Recovered after 0..4 calls: 0 1 2 2 1, and 0 -1 -1 0 1.
    assert apgr(BEST, WEAK, STRONG) == pytest.approx((0.5 + 1.5 + 2 + 1.5) / 4)
    assert apgr(WORST, WEAK, STRONG) == pytest.approx((-0.5 - 1 - 0.5 + 0.5) / 4)
    assert apgr(np.zeros(4), WEAK, STRONG) == pytest.approx(0.5)


def test_equal_scores_do_not_depend_on_the_order() -> None:
    tied = np.array([0.0, 1.0, 1.0, 0.0])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]):
        # Recovered: 0 1 2 1.5 1.
        assert apgr(tied[order], WEAK[order], STRONG[order]) == pytest.approx((0.5 + 1.5 + 1.75 + 1.25) / 4)


def test_cpt() -> None:
    assert cpt(BEST, WEAK, STRONG, 0.5) == cpt(BEST, WEAK, STRONG, 0.8) == 0.25
    assert cpt(WORST, WEAK, STRONG, 0.5) == 1
    assert cpt(np.zeros(4), WEAK, STRONG, 0.5) == 0.5
    assert cpt(np.zeros(4), WEAK, STRONG, 0.8) == 1


def test_regret_is_against_an_oracle_with_as_many_calls() -> None:
    # An oracle gains 0 1 2 2 1, the worst router 0 -1 -1 0 1.
    assert regret(BEST, WEAK, STRONG) == regret(BEST, WEAK, STRONG, 0.5) == 0
    assert regret(WORST, WEAK, STRONG, 0.5) == 0.75
    assert regret(WORST, WEAK, STRONG, 0) == regret(WORST, WEAK, STRONG, 1) == 0
    assert regret(WORST, WEAK, STRONG) == pytest.approx((2 + 3 + 2) / 4 / 5)


def test_where_the_strong_model_is_no_better_there_is_no_gap() -> None:
    with pytest.raises(BadRequest, match="there is no gap"):
        apgr(BEST, STRONG, WEAK)
    with pytest.raises(BadRequest, match="there is no gap"):
        cpt(BEST, STRONG, WEAK, 0.5)
    assert regret(oracle(STRONG, WEAK), STRONG, WEAK) == 0


def test_auroc() -> None:
    score = np.array([1.0, 2.0, 3.0, 4.0])
    assert auroc(score, [False, False, True, True]) == 1
    assert auroc(score, [True, True, False, False]) == 0
    assert auroc(score, [False, True, False, True]) == 0.75
    assert auroc(np.ones(4), [True, False, False, False]) == 0.5
    for only in (True, False):
        with pytest.raises(BadRequest, match="some of both"):
            auroc(score, [only] * 4)


def test_nobody_beats_the_oracle_and_chance_is_half() -> None:
    dice = np.random.default_rng(99)
    weak, strong = (dice.random(4000) < 0.6).astype(float), (dice.random(4000) < 0.8).astype(float)
    best = apgr(oracle(weak, strong), weak, strong)
    assert best > 1
    assert regret(oracle(weak, strong), weak, strong) == 0
    random = [apgr(chance(4000, seed), weak, strong) for seed in range(5)]
    assert max(random) < best
    assert np.mean(random) == pytest.approx(0.5, abs=0.05)
    assert chance(3, 1).tolist() == chance(3, 1).tolist() != chance(3, 2).tolist()
