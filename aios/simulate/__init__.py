"""Policies in virtual time: what a scheduler does to thousands of programs, in seconds and always the same.

`clock` runs the kernel itself, whole, on a virtual clock.
"""

from aios.simulate.core import A10G, Core
from aios.simulate.engine import Simulation
from aios.simulate.log import Kind
from aios.simulate.program import Call, Program, chain, check
from aios.simulate.result import Result
from aios.simulate.task import Task

__all__ = ["A10G", "Call", "Core", "Kind", "Program", "Result", "Simulation", "Task", "chain", "check"]
