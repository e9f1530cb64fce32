"""The bench of the router, on made-up questions of which the long ones need the strong model."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

from aios import bench
from aios.bench.route import QUICK, RouteSize, choosing, deciding, queues, report
from aios.simulate import clock
from aios_syscalls import NotFound

TINY = RouteSize(range(2), 60, 20, 20, 10, 5, 0.02)
ISSUE = ("mmlu_seen_apgr", "mmlu_unseen_apgr", "gsm8k_apgr", "cascade_auroc", "decision_p99_ms")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    dice = random.Random(3)
    for name in ("mmlu", "gsm8k"):
        with (tmp_path / f"routellm_{name}_gpt4_vs_mixtral.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["domain", "prompt", "weak_correct", "strong_correct", "weak_response"])
            for number in range(160):
                hard = dice.random() < 0.5
                prompt = f"Question {number} of {'proof ' * 20 if hard else 'sums'}?"
                answer = "I am unsure." if hard else f"It is {number}."
                rows.writerow([f"subject {number % 8}", prompt, int(not hard), 1, answer])
        (tmp_path / f"routellm_contaminated_{name}.jsonl").write_text("")
    return tmp_path


def test_figures_have_the_names_of_the_issue_and_a_strategy_that_learns_beats_chance(data: Path) -> None:
    found = report(TINY, data)
    assert {goal.name for goal in found.targets} >= set(ISSUE)
    for name in ISSUE[:3]:
        for prefix in ("", *(f"{strategy}." for strategy in choosing.STRATEGIES[1:])):
            assert found.figures[f"{prefix}{name}"] is not None
        assert (found.figures[name] or 0) > 0.7
    assert (found.figures["oracle.mmlu_seen_regret"] or 0) == pytest.approx(0)
    assert found.figures["length.cascade_auroc"] is not None
    assert (found.figures["cascade_auroc"] or 0) > 0.8
    assert not found.missing
    assert json.loads(found.to_json())["figures"]["mmlu_unseen_cpt80"] is not None
    assert "gap recovered" in found.plot()


def test_without_data_its_figures_are_none_and_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = report(TINY, None)
    assert found.figures["mmlu_seen_apgr"] is None
    assert "--data" in found.missing["cascade_auroc"]
    assert found.figures["decision_p99_ms"] is not None
    assert "route" in bench.BENCHES


def test_data_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--data"):
        report(QUICK, tmp_path)


def test_a_decision_about_an_empty_prompt_is_timed_too() -> None:
    assert deciding.measure(["", ""], 1, 3)["decision_p99_ms"] > 0


def test_with_a_long_queue_at_one_endpoint_learned_is_faster_and_each_run_is_the_same() -> None:
    figures = queues.simulated(30, range(1))
    assert figures == queues.simulated(30, range(1))
    assert figures["sim_learned_vs_round_robin"] > 1
    assert figures["sim_learned_vs_static"] > 1


def test_the_simulator_runs_the_same_strategies_as_the_live_one() -> None:
    latency = clock.run(queues._latency, "round_robin", queues.Workload(5, 1))
    assert latency > queues.TOKENS * queues.TOKEN_S / 2
