"""Plain words to operations on files: `plan` reads a request, `run` carries it out."""

from aios.sdk.files.operations import OPERATIONS, Operation, Plan, Risk
from aios.sdk.files.planner import plan
from aios.sdk.files.request import Refused, Why
from aios.sdk.files.runner import Confirm, Outcome, needs_confirmation, run

__all__ = [
    "OPERATIONS",
    "Confirm",
    "Operation",
    "Outcome",
    "Plan",
    "Refused",
    "Risk",
    "Why",
    "needs_confirmation",
    "plan",
    "run",
]
