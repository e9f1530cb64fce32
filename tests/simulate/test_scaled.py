"""Workloads made small."""

from __future__ import annotations

from aios.simulate import A10G, check
from aios.simulate.generate import generate, scaled


def test_scaled_programs_are_whole_and_as_much_smaller_as_they_are_said_to_be() -> None:
    programs = generate("mixed", 1, 30, 0.8, A10G, 8)
    small = scaled(programs, 4, 8, 16, 12)
    assert len(small) == len(programs)
    for whole, part in zip(programs, small, strict=True):
        assert len(check(part).calls) == min(12, len(whole.calls))
        for before, after in zip(whole.calls, part.calls, strict=False):
            assert after.prompt == max(1, round(before.prompt / 4))
            assert after.output == max(1, round(before.output / 8))
            assert after.wait_us == round(before.wait_us / 16)
            assert after.after == before.after
