"""Policies by configuration: for all lanes, for one, and with tenants' weights."""

from __future__ import annotations

import pytest

from aios.boot import scheduler
from aios.config import Config, LaneConfig, SchedulerConfig, load
from aios.scheduler import POLICIES, Fifo, Gittins, RoundRobin
from aios.scheduler.quantum import LEAST
from aios_syscalls import BadRequest


def config(**fields: object) -> Config:
    return Config(scheduler=SchedulerConfig.model_validate(fields))


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_can_be_chosen_by_name(policy: str) -> None:
    assert len(scheduler(config(policy=policy), 4)) == 0


def test_a_lane_may_have_a_policy_and_a_slice_of_its_own() -> None:
    chosen = config(slice=16, lanes={"big": {"policy": "gittins"}, "small": {"slice": 4}})
    assert isinstance(scheduler(chosen, 4, "big"), Gittins)
    assert scheduler(chosen, 4, "big").slice == 16
    small = scheduler(chosen, 4, "small")
    assert isinstance(small, RoundRobin)
    assert small.slice == 4
    assert isinstance(scheduler(config(policy="fifo"), 4, "other"), Fifo)


def test_an_unknown_policy_is_told_with_those_that_there_are() -> None:
    with pytest.raises(BadRequest, match=r"no scheduling policy 'lottery'; there are atlas, .*vtc") as caught:
        scheduler(config(policy="lottery"))
    assert caught.value.field == "scheduler.policy"
    with pytest.raises(BadRequest, match="lottery") as caught:
        scheduler(config(lanes={"big": LaneConfig(policy="lottery")}), 1, "big")
    assert caught.value.field == "scheduler.lanes.big.policy"


def test_a_weight_of_zero_is_refused_where_it_is_written() -> None:
    with pytest.raises(BadRequest, match="bob"):
        load({"scheduler": {"policy": "vtc", "weights": {"alice": 1, "bob": 0}}})


def test_a_slice_is_tokens_or_auto() -> None:
    assert scheduler(config(slice="auto"), 4).slice == LEAST
    assert load({"scheduler": {"slice": "16"}}).scheduler.slice == 16
    for wrong in ("0", "-3", "fast", 0, 1.5, True):
        with pytest.raises(BadRequest, match="no length of a slice; give tokens, 1 or more, or auto"):
            load({"scheduler": {"slice": wrong}})
