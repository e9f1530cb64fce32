"""How few steps the calls of a program can take, some of which come after others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aios.simulate.program import SimulatedProgram, following, order


def least_steps(program: SimulatedProgram, slots: int) -> float:
    """Steps within which no order ends a program; each lets at most `slots` running calls write a token.

    What lies between a call and a later one begins when the first has ended, and ends before the second begins: the
    longest way to the first, the work between over the slots, the longest way from the second on (after Fernandez
    and Bussell, 1973). That is at least the critical path, and at least all work over the slots.
    """
    outputs = [call.output for call in program.calls]
    numbers = order(program)
    heads, before = _ways(numbers, [call.after for call in program.calls], outputs)
    tails, behind = _ways(numbers[::-1], following(program), outputs)
    every = (1 << len(outputs)) - 1
    # Of calls before the same ones, or after the same ones, only the longest way counts.
    firsts = {every: (0, every)}
    lasts = {every: 0}
    for number in numbers:
        firsts[behind[number]] = max(firsts.get(behind[number], (0, 0)), (heads[number], 1 << number))
        lasts[before[number]] = max(lasts.get(before[number], 0), tails[number])
    return max(
        head + sum(output for number, output in enumerate(outputs) if after & until & 1 << number) / slots + tail
        for after, (head, first) in firsts.items()
        for until, tail in lasts.items()
        if first & until
    )


def _ways(
    numbers: Iterable[int], nexts: Sequence[Sequence[int]], outputs: Sequence[int]
) -> tuple[list[int], list[int]]:
    """For each call the tokens on the longest way that ends in it, and a bit for each call on any of these ways."""
    longest, passed = [0] * len(outputs), [0] * len(outputs)
    for number in numbers:
        longest[number] = outputs[number] + max((longest[each] for each in nexts[number]), default=0)
        for each in nexts[number]:
            passed[number] |= passed[each] | 1 << each
    return longest, passed
