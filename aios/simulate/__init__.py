"""Policies in virtual time: what a scheduler does to thousands of programs, in seconds and always the same.

`clock` runs the kernel itself, whole, on a virtual clock.
"""

from aios.simulate.core import A10G, SimulatedCore
from aios.simulate.engine import Simulation
from aios.simulate.log import SimulatedEvent
from aios.simulate.program import Call, SimulatedProgram, chain, check
from aios.simulate.result import Result
from aios.simulate.task import Task

__all__ = [
    "A10G",
    "Call",
    "Result",
    "SimulatedCore",
    "SimulatedEvent",
    "SimulatedProgram",
    "Simulation",
    "Task",
    "chain",
    "check",
]
