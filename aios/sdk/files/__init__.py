"""Plain words to operations on files: `plan` reads a request, `run` carries it out."""

from aios.sdk.files.operations import OPERATIONS, Operation, OperationPlan, Risk
from aios.sdk.files.planner import plan
from aios.sdk.files.request import RequestRefused, Why
from aios.sdk.files.runner import Confirm, OperationOutcome, needs_confirmation, run

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
