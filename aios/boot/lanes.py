"""Each model's lane: its core, its policy by configuration, what was learnt before, and the memory that there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from aios.artifacts import model_path
from aios.boot.models import DEFAULT_MODEL
from aios.config import MEBIBYTE, Config, LaneConfig, LocalModelConfig
from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.kernel import Lane
from aios.kernel.service_history import ServiceHistory
from aios.models import Backend
from aios.models.local.file.memory import kept
from aios.routing.speed import Speed
from aios.scheduler import POLICIES, READ_US, AdmissionControl, Quantum, SchedulingPolicy, ServiceDistributions
from aios.scheduler.quantum import MIN_SLICE
from aios_syscalls import BadRequest, ModelFailed


def llm_lane(config: Config, model: Backend, speed: Speed, totals: ServiceHistory | None) -> Lane:
    """The lane of a model whose speed is learnt in `speed`, and what its programs take in `totals`."""
    quantum = Quantum()
    auto = quantum if _slice(config, model.name) == "auto" else None
    learnt = totals.learnt(model.name) if totals is not None else None
    policy = scheduler(config, model.slots, model.name, learnt, speed, model.demote)
    return Lane(
        f"llm:{model.name}", LlmCore(model, speed, quantum.observe), policy, model.slots, auto, meter=ChatMeter()
    )


def scheduler(
    config: Config,
    slots: int = 1,
    model: str = "",
    learnt: ServiceDistributions | None = None,
    speed: Speed | None = None,
    on_left: Callable[[int], None] = lambda _pid: None,
) -> SchedulingPolicy:
    """A new scheduler for a model's lane of so many slots. Raises BadRequest for a policy that there is not.

    `learnt` is what is known of programs and `speed` what the model is known to take; `on_left` hears of processes
    whose contexts have no place any more.
    """
    lane = config.scheduler.lanes.get(model, LaneConfig())
    policy, field = lane.policy or config.scheduler.policy, "scheduler.policy"
    if lane.policy:
        field = f"scheduler.lanes.{model}.policy"
    make = POLICIES.get(policy)
    if make is None:
        known = ", ".join(sorted(POLICIES))
        raise BadRequest(f"no scheduling policy {policy!r}; there are {known}", field)
    slice = _slice(config, model)
    # What it chooses itself is what it would if switching were free; the lane lengthens that.
    made = make(MIN_SLICE if slice == "auto" else slice, slots, config.scheduler.weights, learnt)
    return _in_room(made, config, slots, model, speed, on_left)


def _in_room(
    policy: SchedulingPolicy,
    config: Config,
    slots: int,
    model: str,
    speed: Speed | None,
    on_left: Callable[[int], None],
) -> SchedulingPolicy:
    """A policy for as many programs as a model has memory for; the policy itself where there is no bound."""
    lane = config.scheduler.lanes.get(model, LaneConfig())
    memory = lane.memory or config.scheduler.memory
    measured = READ_US if speed is None else lambda: speed.read_us
    read_us = config.scheduler.read_us or measured
    if isinstance(memory, int):
        return AdmissionControl(policy, memory, read_us, on_left=on_left)
    local = config.models.get(model, LocalModelConfig(path=model_path()) if model == DEFAULT_MODEL else None)
    if memory == "unlimited" or not isinstance(local, LocalModelConfig) or local.embed:
        return policy
    bytes = local.memory_mb * MEBIBYTE, local.disk_mb * MEBIBYTE
    try:
        found = kept(local.path, slots, local.context, *bytes)
    except ModelFailed:  # who loads it says so
        return policy
    return policy if found is None else AdmissionControl(policy, found.capacity, read_us, found.takes, on_left)


def _slice(config: Config, model: str) -> int | Literal["auto"]:
    lane = config.scheduler.lanes.get(model)
    return (lane and lane.slice) or config.scheduler.slice
