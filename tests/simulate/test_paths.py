"""The bound that no order is below."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.scheduler import POLICIES
from aios.simulate import Call, SimulatedCore, SimulatedProgram, Simulation
from aios.simulate.paths import least_steps

PIECES = SimulatedProgram(0, (Call(1, 60), *[Call(1, 100, after=(0,))] * 10, Call(1, 200, after=tuple(range(1, 11)))))


@pytest.mark.parametrize(
    ("slots", "steps"), [(1, 60 + 1_000 + 200), (4, 60 + 250 + 200), (10, 60 + 100 + 200), (99, 60 + 100 + 200)]
)
def test_pieces_between_two_calls_have_only_the_time_between_them(slots: int, steps: float) -> None:
    assert least_steps(PIECES, slots) == steps


def test_calls_of_no_order_are_bound_by_the_longest_or_by_the_slots() -> None:
    program = SimulatedProgram(0, (Call(1, 50), Call(1, 10), Call(1, 20)))
    assert least_steps(program, 2) == 50
    assert least_steps(program, 1) == 80


@given(st.lists(st.tuples(st.integers(1, 20), st.sets(st.integers(0, 9), max_size=3)), min_size=1, max_size=10))
def test_no_policy_is_below_it(drawn: list[tuple[int, set[int]]]) -> None:
    calls = [
        Call(0, output, after=tuple(sorted(each for each in after if each < number)))
        for number, (output, after) in enumerate(drawn)
    ]
    program, core = SimulatedProgram(0, tuple(calls)), SimulatedCore(1_000, 0, 0)
    for name in ("fifo", "gittins", "plas"):
        for slots in (1, 3):
            took = Simulation(POLICIES[name](4, slots=slots), core, slots).run([program]).makespan_us
            assert took >= core.least(program, slots) - 1
