"""Policies by configuration: for all lanes, for one, and with tenants' weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios.boot import DEFAULT_MODEL, boot, scheduler
from aios.config import Config, LaneConfig, LocalModelConfig, RemoteModelConfig, SchedulerConfig, load
from aios.models.local.file.memory import KeptContexts
from aios.models.scripted import ScriptedModel
from aios.record import Event, History, Kind
from aios.routing.speed import Speed
from aios.scheduler import POLICIES, AdmissionControl, Fifo, Gittins, RoundRobin
from aios.scheduler.quantum import MIN_SLICE
from aios_syscalls import BadRequest, Chat, Message


def config(**fields: object) -> Config:
    return Config(scheduler=SchedulerConfig.model_validate(fields))


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_can_be_chosen_by_name(policy: str) -> None:
    assert len(scheduler(config(policy=policy), 4)) == 0


def test_a_lane_may_have_a_policy_and_a_slice_of_its_own() -> None:
    chosen = config(policy="round_robin", slice=16, lanes={"big": {"policy": "gittins"}, "small": {"slice": 4}})
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


MODELS = {
    "here": LocalModelConfig(path=Path("here.gguf"), context=512),
    "there": RemoteModelConfig.model_validate({"kind": "openai", "base_url": "http://host/v1", "model": "large"}),
}
KEPT = KeptContexts(4, 512, 1_000, 1 << 30, 2 << 30)


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Every file is of a model whose tokens take 1,000 bytes; what was asked of it."""
    asked: list[tuple[object, ...]] = []

    def answer(*arguments: object) -> KeptContexts:
        asked.append(arguments)
        return KEPT

    monkeypatch.setattr("aios.boot.lanes.kept", answer)
    return asked


def test_a_local_models_memory_is_what_it_keeps_and_a_remote_one_has_no_bound(
    readable: list[tuple[object, ...]],
) -> None:
    chosen = Config(models=MODELS)
    here = scheduler(chosen, 4, "here")
    assert isinstance(here, AdmissionControl)
    assert here.places.capacity == KEPT.capacity > 4 * 512 + 2_000_000
    assert readable == [(Path("here.gguf"), 4, 512, 1 << 30, 2 << 30)]
    assert here.slice == chosen.scheduler.slice
    assert isinstance(scheduler(chosen, 4, "there"), Gittins)
    assert isinstance(scheduler(Config(), 4, DEFAULT_MODEL), AdmissionControl)


def test_a_memory_is_tokens_auto_or_unlimited_for_all_lanes_or_for_one(readable: list[tuple[object, ...]]) -> None:
    chosen = config(memory="unlimited", lanes={"small": {"memory": 1_000}, "here": {"memory": "auto"}})
    chosen = chosen.model_copy(update={"models": MODELS})
    small = scheduler(chosen, 4, "small")
    assert isinstance(small, AdmissionControl)
    assert small.places.capacity == 1_000
    assert isinstance(scheduler(chosen, 4, "here"), AdmissionControl)
    assert isinstance(scheduler(chosen, 4, DEFAULT_MODEL), Gittins)
    assert len(readable) == 1
    for wrong in (0, -5, "none", 1.5, True):
        with pytest.raises(BadRequest, match="no memory for contexts; give tokens, 1 or more, auto, or unlimited"):
            load({"scheduler": {"memory": wrong}})


def test_a_model_that_cannot_be_read_has_no_bound_until_somebody_loads_it() -> None:
    assert isinstance(scheduler(Config(models=MODELS), 4, "here"), Gittins)


def test_what_reading_takes_is_what_the_model_took_unless_it_is_said(readable: list[tuple[object, ...]]) -> None:
    def kept_us(chosen: Config, speed: Speed | None) -> float:
        room = scheduler(chosen, 1, "here", None, speed)
        assert isinstance(room, AdmissionControl)
        return room.places._worth_us(512)

    speed = Speed()
    assert kept_us(Config(models=MODELS), speed) == pytest.approx(kept_us(Config(models=MODELS), None))
    said = config(read_us=1_000).model_copy(update={"models": MODELS})
    before = kept_us(said, speed)
    for read in range(100, 2_000, 10):
        speed.observe(read, 5, 0.1 + read * 0.004)
    assert kept_us(Config(models=MODELS), speed) == pytest.approx(4 * before, rel=0.1)
    assert kept_us(said, speed) == before


def test_a_slice_is_tokens_or_auto() -> None:
    assert scheduler(config(slice="auto"), 4).slice == MIN_SLICE
    assert load({"scheduler": {"slice": "16"}}).scheduler.slice == 16
    for wrong in ("0", "-3", "fast", 0, 1.5, True):
        with pytest.raises(BadRequest, match="no length of a slice; give tokens, 1 or more, or auto"):
            load({"scheduler": {"slice": wrong}})


@pytest.mark.whole
@pytest.mark.anyio
@pytest.mark.parametrize(("slice", "told"), [("auto", [32, 64, 32]), (32, [None] * 4)])
async def test_a_measured_slice_is_in_the_record(tmp_path: Path, slice: object, told: list[object]) -> None:
    events: list[Event] = []
    model = ScriptedModel("word " * 100)
    chosen = config(slice=slice).model_copy(update={"root": tmp_path})
    async with boot(chosen, models=[model], observers=[events.append], directory=tmp_path / "run") as run:
        await run.run.submit(Chat(messages=(Message(role="user", content="hi"),), max_tokens=100))
    history = History.of(events)
    assert history.facts["slice"] == slice
    assert [each.data.get("slice") for each in events if each.kind is Kind.STARTED] == told
    assert list(history.slices.values()) == told[-1:] * (slice == "auto")
