"""The bench of policies, on little."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aios import bench
from aios.bench import sched, sched_live, sched_runs
from aios.bench.sched_fair import overload, weighted
from aios.scheduler import POLICIES
from aios_syscalls import BadRequest

ISSUED = [
    "vtc_overload_gap", "vtc_first_token_fcfs_s", "vtc_first_token_vtc_s", "mix_s8_mean_gain", "mix_s8_p99_gain",
    "mix_s1_mean_gain", "worst_mean_gain", "worst_p99_gain", "pressure_mean_gain", "makespan_ratio", "decision_p99_us",
    "events_per_s", "live_log_error",
]  # fmt: skip


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sched_runs, "COUNT", 8)
    monkeypatch.setitem(sched.PROGRAMS, True, 20)
    monkeypatch.setattr(sched, "QUEUED", 200)
    monkeypatch.setattr(sched, "SEEDS", range(1_000, 1_002))


@pytest.mark.usefixtures("little")
def test_every_policy_has_a_row_and_the_figures_have_names() -> None:
    report = sched.main(quick=True)
    told = json.loads(report.to_json())
    assert set(ISSUED) <= set(told["figures"])
    assert "traces" in told["missing"]["vtc_first_token_fcfs_s"]
    assert "--live" in told["missing"]["live_log_error"]
    assert "live_log_error" not in [target["name"] for target in told["targets"]]
    for name in [*POLICIES, "srpt_oracle"]:
        assert told["figures"][f"mixed_s8_95_{name}_mean_s"] > 0
    for name in ("gittins", "room_gittins", "room_fifo"):
        assert told["figures"][f"tight_s8_85_{name}_mean_s"] > 0
    for workload in ("huge_s1_85", "pressure_s8_85", "storm_s8_95"):
        assert told["figures"][f"{workload}_gittins_mean_s"] > 0
    assert report.plot().count("<svg") == 1
    assert told["figures"]["mixed_s8_95_fifo_mean_gain"] == 1


@pytest.mark.usefixtures("little")
def test_a_prediction_that_was_held_against_the_local_model_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sched_live, "live", lambda _quick: {"live_log_error": 0.2})
    report = bench.run("sched", True, live=True)
    (target,) = [each for each in report.targets if each.name == "live_log_error"]
    assert (target.value, target.bound, target.met) == (0.2, "<= 0.15", False)
    assert "live_log_error" not in report.missing
    with pytest.raises(BadRequest, match="takes no live; leave --live out"):
        bench.run("overhead", True, live=True)


def test_traces_are_read_where_they_are(tmp_path: Path) -> None:
    for file in sched.TRACES.values():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("session_id,round_idx,prefix_len,input_len,output_len\n0,0,0,9,5\n0,1,14,9,5\n")
    cases = sched._traces(tmp_path, quick=True)
    assert {case.label for case in cases} >= {"tau_s8_95", "azure_s1_85"}
    assert all(len(case.make(1)) == sched_runs.COUNT for case in cases)


def test_fifo_lets_the_gap_grow_and_vtc_does_not() -> None:
    figures = overload()
    assert figures["vtc_fifo_overload_gap"] > 100_000
    assert figures["vtc_fifo_overload_growth"] > 1.9
    assert figures["vtc_overload_gap"] <= 7_947
    assert figures["vtc_overload_growth"] < 1.5
    assert figures["vtc_preempting_overload_worst_gap"] < figures["vtc_overload_worst_gap"]


def test_weights_are_kept_to_within_a_twentieth_over_any_minute() -> None:
    assert weighted() <= 0.05
