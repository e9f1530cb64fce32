"""The slice that follows from what a switch costs, learnt in virtual time by the object that a lane has."""

from __future__ import annotations

import pytest

from aios.scheduler import Fifo, Quantum, RoundRobin
from aios.scheduler.quantum import FIRST_SLICE, LONGER, MIN_SLICE, SHARE
from aios.simulate import Call, Result, SimulatedCore, SimulatedProgram, Simulation

STEP_US, PROMPT, OUTPUT = 100, 100_000, 20_000
SWITCH = 10
"""Tokens that could be written in the time in which a prompt's context is restored."""


def crowded(quantum: Quantum | None, restore_us: float, slice: int = MIN_SLICE, until_us: int | None = None) -> Result:
    """Two long calls that take turns on one slot, in a memory that holds one of them."""
    core = SimulatedCore(step_us=STEP_US, prefill_us=0, decode_us=0, restore_us=restore_us)
    programs = [SimulatedProgram(0, (Call(PROMPT, OUTPUT),)) for _ in range(2)]
    simulation = Simulation(RoundRobin(slice), core, 1, memory=PROMPT + OUTPUT, spill=True, quantum=quantum)
    return simulation.run(programs, until_us)


def switching(result: Result) -> float:
    """What was not writing, as a share of what was."""
    writing = 2 * OUTPUT * STEP_US
    return (result.makespan_us - writing) / writing


def test_it_grows_until_switching_takes_its_share_of_the_time_of_writing() -> None:
    restore_us = SWITCH * STEP_US / PROMPT
    quantum = Quantum()
    crowded(quantum, restore_us, until_us=3_800_000)  # while there are two yet
    assert quantum.costs is not None
    switch, token = quantum.costs
    # Contexts grow by a tenth in the mean, and what is learnt lags behind.
    assert switch * 1e6 == pytest.approx(SWITCH * STEP_US * 1.1, rel=0.15)
    assert token * 1e6 == pytest.approx(STEP_US, rel=0.02)
    assert quantum.slice > FIRST_SLICE
    assert 0.5 * SHARE < switching(crowded(Quantum(), restore_us)) < 1.1 * SHARE
    assert switching(crowded(None, restore_us, FIRST_SLICE)) > 5 * SHARE


def test_it_stays_at_the_least_where_a_context_comes_back_for_nothing() -> None:
    quantum = Quantum()
    result = crowded(quantum, 0.0)
    assert quantum.slice == MIN_SLICE
    assert switching(result) == 0
    # One slice in LONGER is twice as long, so that lengths do vary.
    usual = 2 * OUTPUT / MIN_SLICE * LONGER / (LONGER + 1)
    assert result.preemptions == pytest.approx(usual, rel=0.02)


def test_slices_without_an_end_are_left_alone() -> None:
    quantum = Quantum()
    programs = [SimulatedProgram(0, (Call(5, 100),)) for _ in range(3)]
    Simulation(Fifo(), SimulatedCore(STEP_US, 0, 0), 1, quantum=quantum).run(programs)
    assert quantum.costs is None
    assert quantum.next(1) == FIRST_SLICE


def test_a_call_that_nobody_waits_for_is_shown_slice_by_slice() -> None:
    seen: list[tuple[int, float]] = []

    class Watched(Quantum):
        def observe(self, tokens: int, seconds: float) -> None:
            seen.append((tokens, seconds))

    Simulation(RoundRobin(8), SimulatedCore(STEP_US, 10, 0), 1, quantum=Watched()).run(
        [SimulatedProgram(0, (Call(50, 110),))]
    )
    # The first slice, of FIRST_SLICE tokens, reads the prompt and is not shown.
    assert seen == [(64, 0.0064), (14, 0.0014)]
