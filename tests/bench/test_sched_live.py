"""The simulator against the local model: what is made of measurements, on ones that are made up."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random

import anyio
import pytest
from trio.testing import MockClock

from aios.bench import sched_live
from aios.bench.paired import Pairs, interval, ratio
from aios.bench.sched_fit import Batch, core
from aios.bench.sched_live import LiveTook, figures, run, simulate, workload
from aios.context import Snapshot
from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.program import Main
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Run, by_family, lone_run
from aios.models.base import NOBODY, Caller, Emit
from aios.models.scripted import ScriptedModel
from aios.record import MemoryJournal
from aios.scheduler import SchedulingPolicy
from aios.simulate import SimulatedCore
from aios_syscalls import Chat, ChatReply, Usage

CORE = SimulatedCore(step_us=6_000, prefill_us=1_000, decode_us=5_000)
BESIDE = 30


def batches(noise: float) -> dict[Batch, float]:
    random = Random(1)
    found = {}
    for width in (1, 2, 4):
        for words, tokens in ((40, 8), (40, 32), (150, 8)):
            batch = (tokens, width * words, width * tokens)
            exact = 0.006 * batch[0] + 0.001 * batch[1] + 0.005 * batch[2]
            found[batch] = exact * random.lognormvariate(0, noise)
    return found


def test_a_fit_finds_the_core_that_batches_were_made_with() -> None:
    found = core(batches(0))
    assert found[:3] == pytest.approx(CORE[:3])


def test_a_fit_of_noisy_batches_is_near_and_nothing_in_it_is_below_zero() -> None:
    found = core(batches(0.1))
    assert min(found) >= 0
    assert found.step(0, 4) == pytest.approx(CORE.step(0, 4), rel=0.15)


def rounds(gain: float, noise: float, count: int = 6) -> list[Pairs]:
    random = Random(2)
    return [
        [((each := random.uniform(1, 10)) * gain * random.lognormvariate(0, noise), each) for _ in range(20)]
        for _ in range(count)
    ]


def test_an_interval_holds_the_ratio_and_is_wider_where_there_is_more_noise() -> None:
    calm, wild = rounds(1.3, 0.05), rounds(1.3, 0.5)
    low, high = interval(calm, Random(3))
    assert low < ratio(calm) < high
    assert low < 1.3 < high
    wide = interval(wild, Random(3))
    assert wide[1] - wide[0] > 3 * (high - low)


def test_an_interval_of_what_never_differs_is_a_point_and_is_the_same_each_time() -> None:
    same = [[(2.0, 1.0)] * 5] * 3
    assert interval(same, Random(4)) == (2.0, 2.0)
    assert interval(rounds(1.1, 0.3), Random(5)) == interval(rounds(1.1, 0.3), Random(5))


def test_a_round_that_went_otherwise_widens_the_interval() -> None:
    odd = [*rounds(1.0, 0.01, 5), *rounds(2.0, 0.01, 1)]
    low, high = interval(odd, Random(6))
    assert low < 1.02
    assert high > 1.3


def test_the_error_is_the_worse_of_the_two_and_paced_it_knows_no_moods_of_the_machine() -> None:
    def one(scale: float, all: float) -> LiveTook:
        return LiveTook([scale, 3 * scale], all)

    simulated = {"fifo": [one(2, 9)] * 2, "round_robin": [one(1, 9)] * 2, "gittins": [one(1, 9)] * 2}
    # Round robin ran while the machine was half as fast, both times.
    took = {"fifo": [one(2, 9)] * 2, "round_robin": [one(2, 18)] * 2, "gittins": [one(1, 9)] * 2}
    found = figures(took, simulated, Random(7))
    assert found["live_log_error"] == pytest.approx(math.log(2))
    assert found["live_paced_log_error"] == pytest.approx(0)
    assert (found["live_round_robin_gain"], found["live_round_robin_gain_simulated"]) == (1, 2)
    assert found["live_gittins_gain_low"] <= found["live_gittins_gain"] <= found["live_gittins_gain_high"]


def test_programs_are_small_and_the_same_for_a_seed_and_have_room_for_what_is_beside_their_words() -> None:
    programs = workload(1, CORE, BESIDE)
    assert programs == workload(1, CORE, BESIDE)
    assert programs != workload(2, CORE, BESIDE)
    calls = [call for program in programs for call in program.calls]
    assert len(calls) <= sched_live.COUNT * sched_live.CALLS
    assert all(call.prompt > BESIDE and not call.prefix for call in calls)
    assert max(call.prompt + call.output for call in calls) < 1024
    assert len({program.name for program in programs}) > 1


class Paused(Snapshot):
    """Where an answer of a batched model stands."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def drop(self) -> None:
        pass


class Batched(ScriptedModel):
    """A model in virtual time whose batches take what those of CORE do."""

    def __init__(self) -> None:
        super().__init__("", slots=sched_live.SLOTS)
        self._left: dict[int, list[int]] = {}
        """Of each running slice: tokens to read, and to write."""
        self._over: dict[int, anyio.Event] = {}
        self._wanted = anyio.Event()

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit, caller: Caller = NOBODY
    ) -> ChatReply | Snapshot:
        had = snapshot.tokens if snapshot else 0
        count = chat.max_tokens - had if budget is None else min(budget, chat.max_tokens - had)
        read = BESIDE + len(chat.messages[0].content.split())
        key = id(over := anyio.Event())
        self._left[key], self._over[key] = [0 if snapshot else read, count], over
        self._wanted.set()
        await over.wait()
        if had + count < chat.max_tokens:
            return Paused(had + count)
        return ChatReply(text="", usage=Usage(prompt_tokens=read, completion_tokens=chat.max_tokens))

    async def step(self) -> None:
        """Compute for ever."""
        while True:
            await self._wanted.wait()
            left = list(self._left.items())
            await anyio.sleep(CORE.step(sum(read for _, (read, _) in left), len(left)) / 1e6)
            for key, tokens in left:
                tokens[:] = 0, tokens[1] - 1
                if not tokens[1]:
                    del self._left[key]
                    self._over.pop(key).set()
            # Whoever has ended is followed by the next before the next step, as in the engine.
            await anyio.sleep(1e-9)
            if not self._left:
                self._wanted = anyio.Event()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
@pytest.mark.parametrize("name", ["fifo", "round_robin", "gittins"])
async def test_a_kernel_over_a_model_that_is_as_its_core_takes_what_the_simulator_says(name: str) -> None:
    @asynccontextmanager
    async def over(scheduler: SchedulingPolicy, mains: Mapping[str, Main]) -> AsyncIterator[Run]:
        async with anyio.create_task_group() as tasks:
            model = Batched()
            tasks.start_soon(model.step)
            lane = Lane("llm", LlmCore(model), scheduler, model.slots, meter=ChatMeter())
            async with lone_run([lane], by_family, TaskHost(mains=mains), MemoryJournal()) as kernel:
                yield kernel
            tasks.cancel_scope.cancel()

    programs = workload(3, CORE, BESIDE)
    live, simulated = await run(over, name, programs, BESIDE), simulate(name, programs, CORE)
    assert sum(live.net) == pytest.approx(sum(simulated.net), rel=0.03)
    assert live.all == pytest.approx(simulated.all, rel=0.02)
