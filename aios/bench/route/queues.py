"""Two endpoints that are equally good, one with a long queue: how long a call takes, in virtual time and in real."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anyio

from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, lone_run
from aios.models.scripted import ScriptedModel
from aios.record import MemoryJournal
from aios.routing.dispatch import Dispatch
from aios.routing.forecast import QueueLoad
from aios.routing.retries import Retries
from aios.routing.router import Router
from aios.scheduler import Fifo
from aios.simulate import clock
from aios_syscalls import Chat, Message

BUSY, IDLE = "busy", "idle"
SLOTS, TOKENS, TOKEN_S = 2, 10, 0.05
"""So an endpoint serves four calls a second."""
QUEUED, BACKGROUND_RATE, RATE = 30, 3.6, 1.0
"""Calls that name the busy endpoint: at the start, and a second after it; and calls that name none, a second."""
RIVALS = {"round_robin": "round_robin", "static": "explicit"}


@dataclass(frozen=True, slots=True)
class Workload:
    """So many calls that name no endpoint; all times are multiplied by `pace`."""

    calls: int
    seed: int
    pace: float = 1.0


def simulated(calls: int, seeds: Sequence[int]) -> dict[str, float]:
    """In virtual time: the mean latencies over all seeds, and how many times that of `learned` the others' are."""
    return _figures("sim", {name: [clock.run(_latency, name, Workload(calls, seed)) for seed in seeds] for name in ALL})


def live(calls: int, seed: int, pace: float) -> dict[str, float]:
    """The same against the real clock."""
    return _figures("live", {name: [anyio.run(_latency, name, Workload(calls, seed, pace))] for name in ALL})


ALL = ("learned", *RIVALS.values())


def _figures(how: str, latencies: dict[str, list[float]]) -> dict[str, float]:
    means = {name: statistics.fmean(values) for name, values in latencies.items()}
    ratios = {f"{how}_learned_vs_{rival}": means[name] / means["learned"] for rival, name in RIVALS.items()}
    seconds = {f"{how}_{rival}_s": means[name] for rival, name in RIVALS.items()}
    return {**ratios, f"{how}_learned_s": means["learned"], **seconds}


async def _latency(strategy: str, load: Workload) -> float:
    """The mean seconds of the calls that name no endpoint."""
    models = {name: _endpoint(name, load.pace) for name in (BUSY, IDLE)}
    lanes: dict[str, Lane] = {}

    def load_of(name: str) -> QueueLoad:
        return QueueLoad(lanes[name].running, lanes[name].waiting, lanes[name].width)

    router = Router(models, strategy, load=load_of)
    for name, model in models.items():
        lanes[name] = Lane(
            f"llm:{name}", LlmCore(model, router.forecast.speeds[name]), Fifo(), model.slots, meter=ChatMeter()
        )
    dispatch = Dispatch(router, Retries(random.Random(load.seed)))
    taken: list[float] = []
    async with (
        lone_run(lanes.values(), dispatch, TaskHost(), MemoryJournal()) as kernel,
        anyio.create_task_group() as tasks,
    ):

        async def ask(number: int, at: float, model: str | None) -> None:
            await anyio.sleep(at * load.pace)
            began = anyio.current_time()
            text = f"Question {number} of {model or 'nobody'}?"
            await kernel.submit(Chat(messages=(Message(role="user", content=text),), max_tokens=TOKENS, model=model))
            if model is None:
                taken.append(anyio.current_time() - began)

        async def foreground() -> None:
            async with anyio.create_task_group() as asked:
                for number, at in enumerate(_arrivals(random.Random(load.seed), RATE, load.calls)):
                    asked.start_soon(ask, number, at, None)
            tasks.cancel_scope.cancel()

        background = round(load.calls * BACKGROUND_RATE / RATE)
        times = [*[0.0] * QUEUED, *_arrivals(random.Random(load.seed + 1000), BACKGROUND_RATE, background)]
        for number, at in enumerate(times):
            tasks.start_soon(ask, number, at, BUSY)
        tasks.start_soon(foreground)
    return statistics.fmean(taken)


def _endpoint(name: str, pace: float) -> ScriptedModel:
    return ScriptedModel(" ".join(["word"] * TOKENS), name, SLOTS, TOKEN_S * pace)


def _arrivals(dice: random.Random, rate: float, count: int) -> Iterator[float]:
    """When calls come that know nothing of each other: a Poisson process."""
    at = 0.0
    for _ in range(count):
        at += dice.expovariate(rate)
        yield at
