"""Plain words to operations on files: `plan` reads a request, `run` carries it out."""

from aios.fs.operations import OPERATIONS, Operation, OperationPlan, Risk
from aios.fs.planner import plan
from aios.fs.request import RequestRefused, Why
from aios.fs.runner import Confirm, OperationOutcome, needs_confirmation, run

__all__ = [
    "OPERATIONS",
    "Confirm",
    "Operation",
    "OperationOutcome",
    "OperationPlan",
    "RequestRefused",
    "Risk",
    "Why",
    "needs_confirmation",
    "plan",
    "run",
]
