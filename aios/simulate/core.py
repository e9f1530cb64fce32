"""What a step of a model takes."""

from __future__ import annotations

from typing import NamedTuple

from aios.simulate.paths import least_steps
from aios.simulate.program import SimulatedProgram, order


class SimulatedCore(NamedTuple):
    """A batch is one step: step_us + prefill_us for each token read + decode_us for each call that writes a token."""

    step_us: float
    prefill_us: float
    decode_us: float
    restore_us: float = 20.0
    """For each token of a context that comes back from the host's memory: 0.5 MB of Llama-2-7B at 25 GB/s."""

    def step(self, prefill: int, running: int) -> float:
        """Microseconds that one step takes."""
        return self.step_us + self.prefill_us * prefill + self.decode_us * running

    def work(self, program: SimulatedProgram, slots: int) -> float:
        """Microseconds of this core that a program takes while all slots are in use."""
        token = self.step_us / slots + self.decode_us
        return sum(self.prefill_us * call.prompt + token * call.output for call in program.calls)

    def alone(self, program: SimulatedProgram) -> float:
        """Microseconds until a program ends that has a core of its own, without what it waits for tools."""
        ends = [0.0] * len(program.calls)
        for number in order(program):
            call = program.calls[number]
            took = self.step(call.prompt, 1) + (call.output - 1) * self.step(0, 1)
            ends[number] = took + max((ends[each] for each in call.after), default=0.0)
        return max(ends)

    def least(self, program: SimulatedProgram, slots: int) -> float:
        """Microseconds within which no order ends a program that has a core of its own and waits for no tool.

        Reading is shared out to nobody, and writing takes as many steps as the critical path, or more (paths.py).
        """
        written = sum(call.output for call in program.calls)
        read = self.prefill_us * sum(call.prompt for call in program.calls)
        return self.step_us * least_steps(program, slots) + self.decode_us * written + read

    def greedy(self, program: SimulatedProgram, slots: int) -> float:
        """Microseconds within which any order that leaves no slot idle ends a program that has a core of its own.

        Graham's bound (1969): the critical path, and the rest of the work over the slots; reading is not shared out.
        """
        token = self.step(0, slots)
        paths: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)] * len(program.calls)
        for number in order(program):
            call = program.calls[number]
            _, read, written = max((paths[each] for each in call.after), default=(0.0, 0.0, 0.0))
            read, written = read + self.prefill_us * call.prompt, written + token * call.output
            paths[number] = read + written, read, written
        longest, read, written = max(paths)
        prompts = self.prefill_us * sum(call.prompt for call in program.calls)
        return longest + prompts - read + (token * sum(call.output for call in program.calls) - written) / slots


A10G = SimulatedCore(step_us=38_000, prefill_us=400, decode_us=150)
"""Llama-2-7B on an A10G, fitted to the FCFS columns of the VTC artifact's 27-client trace."""
